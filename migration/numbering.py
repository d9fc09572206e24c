"""UIDs for a source that has none (POP3): what a message was called once it is called always.

Numbers go up in the source's order, are written down before anything is copied under them, and are never given
twice: they are above all that the shard has ever used. Where the source lists known messages in another order, or new
ones between them, the move halts: over POP3 nothing does that but a maildrop that was rebuilt.

Crash table
    pop3.numbered     numbers are given, nothing is copied under them    gives the same ones
    pop3.forgotten    what is gone has no number, and is still here      it is gone again, and is removed
"""

from collections.abc import Collection, Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mailplat.app.wiring import Platform
from mailplat.core import disk
from mailplat.core.clock import Clock
from mailplat.core.executors import Executors
from mailplat.core.route import Residence, ShardHome
from mailplat.db.engine import Database
from migration import tables
from migration.errors import Halt
from migration.ledger import Move
from migration.sources.contract import Given, Number
from migration.target import Target

# Rows in one statement: far below what a database takes as parameters.
_PART = 500

_table = tables.number


class Numbering:
    """Of one account, which has a row in the ledger."""

    def __init__(
        self, database: Database, clock: Clock, executors: Executors, account_id: int, target: Target
    ) -> None:
        self._database = database
        self._clock = clock
        self._executors = executors
        self._account_id = account_id
        self._target = target

    async def give(self, uidls: Sequence[str]) -> Given:
        inbox = (await self._target.mailboxes())["INBOX"]
        numbers, uidnext = await self._executors.run("migration", self._give, uidls, inbox.uidnext)
        return Given(inbox.uidvalidity, uidnext, numbers)

    def _give(self, uidls: Sequence[str], uidnext: int) -> tuple[list[Number], int]:
        column = _table.c
        query = sa.select(column.uid, column.uidl, column.seen).where(column.account_id == self._account_id)
        with self._database.read() as connection:
            known = {uidl: Number(uid, seen) for uid, uidl, seen in connection.execute(query)}
        uidnext = max(uidnext, 1 + max((each.uid for each in known.values()), default=0))
        now, last, found = int(self._clock.now()), 0, []
        rows: list[dict[str, object]] = []
        for uidl in uidls:
            number = known.get(uidl)
            if number is None:
                number = Number(uidnext, now)
                uidnext += 1
                rows.append(
                    {"account_id": self._account_id, "uid": number.uid, "uidl": uidl, "seen": number.seen}
                )
            if number.uid < last:
                raise Halt(
                    f"POP3 lists {uidl!r} behind a message that it listed after it, or new mail before old: the"
                    " maildrop was rebuilt, and clients would notice. Nothing was deleted here"
                )
            last = number.uid
            found.append(number)
        if rows:
            with self._database.write() as connection:
                for at in range(0, len(rows), _PART):
                    connection.execute(_table.insert(), rows[at : at + _PART])
            disk.step("pop3.numbered")
        return found, uidnext


def numbering_of(platform: Platform, move: Move) -> Numbering:
    """Of an account that moves, or has moved."""
    home = move.route.home
    shard = home.shard if isinstance(home, ShardHome) else move.shard
    target = Target(
        platform.store, platform.executors, Residence(move.account_id, shard, move.route.epoch), move.domain
    )
    return Numbering(platform.database, platform.clock, platform.executors, move.account_id, target)


def forget_some(database: Database, account_id: int, uids: Collection[int]) -> None:
    """Before these messages are removed here: one that comes back is another one. Synchronous."""
    ordered = sorted(uids)
    with database.write() as connection:
        for at in range(0, len(ordered), _PART):
            mine = sa.and_(_table.c.account_id == account_id, _table.c.uid.in_(ordered[at : at + _PART]))
            connection.execute(_table.delete().where(mine))
    disk.step("pop3.forgotten")


def forget(connection: Connection, account_id: int) -> None:
    """When nothing is copied any more, or all of it goes back."""
    connection.execute(_table.delete().where(_table.c.account_id == account_id))
