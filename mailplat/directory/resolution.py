"""Who gets mail for an address: accounts, aliases, lists of targets, catch-alls (asked at every RCPT)."""

from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mailplat.core.address import Address
from mailplat.core.errors import InvalidInput
from mailplat.directory import routes
from mailplat.directory.tables import account, alias, domain, route
from mailplat.directory.types import Resolution, Target

# An alias may point to an alias; a chain this long is a mistake, and what it leads to is not delivered.
MAX_DEPTH = 10

# Accounts that one address may lead to. Longer lists belong to a list manager, which handles their bounces.
MAX_TARGETS = 1000

_FIND = (
    sa.select(
        account.c.key,
        account.c.id,
        account.c.local,
        account.c.domain,
        account.c.quota,
        account.c.active,
        *routes.COLUMNS,
    )
    .join(route, route.c.account_id == account.c.id)
    .where(account.c.key.in_(sa.bindparam("keys", expanding=True)))
)
_ALIASES = (
    sa.select(alias.c.source, alias.c.target_local, alias.c.target_domain)
    .where(alias.c.source.in_(sa.bindparam("keys", expanding=True)))
    .order_by(alias.c.source, alias.c.position)
)
_DOMAIN = sa.select(sa.literal(1)).where(domain.c.name == sa.bindparam("name"))


def resolve(connection: Connection, address: Address) -> Resolution:
    """The targets of an address, each account once, in the order of the aliases. An exact address beats the
    catch-all of its domain; an inactive account takes no mail. Loops between aliases are ignored. Raises
    InvalidInput when there are more than MAX_TARGETS."""
    found: dict[int, Target] = {}
    seen: set[str] = set()
    level = {address.key: address}
    for _ in range(MAX_DEPTH):
        level = {key: item for key, item in level.items() if key not in seen}
        if not level:
            break
        seen |= level.keys()
        accounts, known = _accounts(connection, level)
        found.update((target.account_id, target) for target in accounts if target.account_id not in found)
        level = _targets(connection, [item for key, item in level.items() if key not in known])
        if len(found) + len(level) > MAX_TARGETS:
            raise InvalidInput(
                f"{address} leads to more than {MAX_TARGETS} accounts; use a list manager for it"
            )
    if found:
        return Resolution(tuple(found.values()), True)
    return Resolution((), connection.execute(_DOMAIN, {"name": address.domain}).first() is not None)


def _accounts(connection: Connection, level: dict[str, Address]) -> tuple[list[Target], set[str]]:
    rows = {row[0]: row[1:] for row in connection.execute(_FIND, {"keys": list(level)})}
    targets = [
        Target(Address(local, at), account_id, quota, routes.from_row(*rest))
        for key in level
        if key in rows
        for account_id, local, at, quota, active, *rest in [rows[key]]
        if active
    ]
    return targets, set(rows)


def _targets(connection: Connection, addresses: Iterable[Address]) -> dict[str, Address]:
    """One step along the aliases; catch-alls only where there is no exact alias."""
    exact = {address.key: address for address in addresses}
    if not exact:
        return {}
    lists = _lists(connection, exact)
    catch_alls = {f"@{address.domain}" for key, address in exact.items() if key not in lists}
    if catch_alls:
        lists |= _lists(connection, catch_alls)
    return {target.key: target for targets in lists.values() for target in targets}


def _lists(connection: Connection, sources: Iterable[str]) -> dict[str, list[Address]]:
    found: dict[str, list[Address]] = {}
    for source, local, at in connection.execute(_ALIASES, {"keys": list(sources)}):
        found.setdefault(source, []).append(Address(local, at))
    return found
