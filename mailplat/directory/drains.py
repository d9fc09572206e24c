"""Shards that are being drained: no new account is placed there, and those that live there are moved away. The mark
is the platform's, not a process's: it stays until somebody takes it back."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from mailplat.core.clock import Clock
from mailplat.core.errors import NotFound
from mailplat.db.engine import Database
from mailplat.directory.tables import shard_drain as table


@dataclass(frozen=True, slots=True)
class Drain:
    shard: str
    targets: tuple[str, ...]  # where accounts may go; () for any, by placement
    since: float  # Unix time
    note: str  # what keeps it from going on, "" for nothing


class Drains:
    """Synchronous and thread-safe: call it in executor "directory"."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def all(self) -> dict[str, Drain]:
        query = sa.select(table.c.shard, table.c.targets, table.c.since, table.c.note).order_by(table.c.shard)
        with self._database.read() as connection:
            rows = connection.execute(query).fetchall()
        return {
            shard: Drain(shard, tuple(targets.split()), since, note) for shard, targets, since, note in rows
        }

    def begin(self, shard: str, targets: Sequence[str]) -> None:
        """One that is under way gets other targets."""
        values = {"targets": " ".join(targets), "note": ""}
        with self._database.write() as connection:
            mine = table.c.shard == shard
            if not connection.execute(table.update().where(mine).values(**values)).rowcount:
                connection.execute(table.insert().values(shard=shard, since=self._clock.now(), **values))

    def cancel(self, shard: str) -> None:
        """Raises NotFound."""
        with self._database.write() as connection:
            if not connection.execute(table.delete().where(table.c.shard == shard)).rowcount:
                raise NotFound(f"shard {shard} is not being drained")

    def note(self, shard: str, text: str) -> None:
        with self._database.write() as connection:
            connection.execute(
                table.update().where(table.c.shard == shard, table.c.note != text).values(note=text)
            )
