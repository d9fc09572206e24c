"""Where the way back of an account begins, one row a mailbox: written inside the fence of its cutover, when both
sides were compared equal, and brought forward by the rounds back. Synchronous: call it in executor "migration".

What has changed here since is no journal of its own: the store tells it (UIDs, flags, tombstones, names by
MAILBOXID), so that it cannot be lost or disagree with the store. Tombstones of an account that is not FINAL are all
kept (directory.routes.keeps_traces).
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mailplat.core.errors import NotFound
from mailplat.db.engine import Database
from mailplat.directory import tables as directory
from migration import tables
from migration.sources.contract import Status

_table = tables.origin


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    object_id: str  # MAILBOXID of our mailbox
    name: str  # ours, as the backend has it now
    wire: bytes  # the backend's; b"": it cannot be opened there
    uidvalidity: int  # the backend's
    first: int  # UIDs below were on both sides at the commit
    below: int  # UIDs below are settled: the same on both sides, or gone on one of them
    modseq: int  # ours at the commit
    seen_modseq: int = 0  # ours when both sides were the same, with the backend's numbers then; 0: never
    uidnext: int | None = None
    messages: int = 0
    highest: int | None = None

    @property
    def seen(self) -> Status:
        return Status(self.uidvalidity, self.uidnext, self.messages, self.highest)


_NAMES = [each.name for each in fields(Origin)]


class Origins:
    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, account_id: int) -> dict[str, Origin]:
        """By MAILBOXID. Empty for an account that never moved, or is FINAL."""
        query = sa.select(*(_table.c[name] for name in _NAMES)).where(_table.c.account_id == account_id)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(_table.c.name)).fetchall()
        return {origin.object_id: origin for origin in map(_to_origin, rows)}

    def begin(self, account_id: int, origins: Sequence[Origin]) -> None:
        """In place of all that was there, with the hash of the account's password now."""
        with self._database.write() as connection:
            forget(connection, account_id)
            for origin in origins:
                _insert(connection, account_id, origin)
            hashed = sa.select(directory.account.c.password_hash).where(directory.account.c.id == account_id)
            connection.execute(
                tables.move.update()
                .where(tables.move.c.account_id == account_id)
                .values(password_then=hashed.scalar_subquery())
            )

    def changed_passwords(self, domain: str) -> list[tuple[str, str]]:
        """(address, hash) of accounts whose password was set here since they moved."""
        account, move = directory.account.c, tables.move.c
        query = (
            sa.select(account.local, account.domain, account.password_hash)
            .join(tables.move, move.account_id == account.id)
            .where(
                move.domain == domain,
                sa.or_(move.moved > 0.0, move.rolled_back > 0.0),
                account.password_hash != move.password_then,
            )
            .order_by(account.key)
        )
        with self._database.read() as connection:
            return [(f"{local}@{name}", hashed) for local, name, hashed in connection.execute(query)]


def forget(connection: Connection, account_id: int) -> None:
    connection.execute(_table.delete().where(_table.c.account_id == account_id))


def put(connection: Connection, account_id: int, origin: Origin) -> None:
    drop(connection, account_id, origin.object_id)
    _insert(connection, account_id, origin)


def drop(connection: Connection, account_id: int, object_id: str) -> None:
    connection.execute(
        _table.delete().where(_table.c.account_id == account_id, _table.c.object_id == object_id)
    )


def _insert(connection: Connection, account_id: int, origin: Origin) -> None:
    values = dict(zip(_NAMES, astuple(origin), strict=True))
    connection.execute(_table.insert().values(account_id=account_id, **values))


def _to_origin(row: Sequence[Any]) -> Origin:
    values = dict(zip(_NAMES, row, strict=True))
    return Origin(**{**values, "wire": bytes(values["wire"])})


def require(found: dict[str, Origin], address: str) -> dict[str, Origin]:
    """Raises NotFound where nothing says what was on both sides at the commit."""
    if not found:
        raise NotFound(
            f"{address}: nothing is kept of how it moved; it was closed, or moved by an older release"
        )
    return found
