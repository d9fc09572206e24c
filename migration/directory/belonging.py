"""Whose a domain is. Whoever can write to the directory of one legacy platform must not get a mailbox or an alias in
a domain of another customer."""

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mailplat.core.route import BackendHome
from mailplat.directory import tables as platform
from migration import tables as moves
from migration.directory import tables

_account, _route, _alias = platform.account.c, platform.route.c, platform.alias.c


class Belonging:
    """Of one backend, for one takeover. `named`: domains that its description names, `made`: that are new with it;
    both are its."""

    def __init__(self, backend: str, named: Collection[str], made: Collection[str]) -> None:
        self._backend = backend
        self._known = dict.fromkeys([*named, *made], True)

    def is_ours(self, connection: Connection, domain: str) -> bool:
        """Also one that has no account and no alias yet: somebody has made it for this."""
        found = self._known.get(domain)
        if found is None:
            found = self._known[domain] = self._has_some(connection, domain) or _is_empty(connection, domain)
        return found

    def _has_some(self, connection: Connection, domain: str) -> bool:
        """An account that lives or has lived on the backend, or what came from its directory."""
        mine = sa.select(sa.literal(1)).where(_account.domain == domain)
        asked = (
            mine.join(platform.route, _route.account_id == _account.id).where(
                _route.home == str(BackendHome(self._backend))
            ),
            mine.join(moves.move, moves.move.c.account_id == _account.id).where(
                moves.move.c.backend == self._backend
            ),
            mine.join(tables.account, tables.account.c.account_id == _account.id).where(
                tables.account.c.backend == self._backend
            ),
            sa.select(sa.literal(1))
            .join(tables.alias, tables.alias.c.source == _alias.source)
            .where(_alias.domain == domain, tables.alias.c.backend == self._backend),
        )
        return any(_finds(connection, each) for each in asked)


def refusal(domain: str, backend: str) -> str:
    return (
        f"{domain} has accounts or aliases here, and none of them is of backend {backend}; if it is the same"
        f" customer's, name it in `domains` of the description"
    )


def _is_empty(connection: Connection, domain: str) -> bool:
    one = sa.select(sa.literal(1))
    return not (
        _finds(connection, one.where(_account.domain == domain))
        or _finds(connection, one.where(_alias.domain == domain))
    )


def _finds(connection: Connection, query: sa.Select[Any]) -> bool:
    return connection.execute(query.limit(1)).first() is not None
