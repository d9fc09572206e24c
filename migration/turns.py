"""Whose turn it is: when an account is to be worked at next, and who works at it now.

A turn is one work on one account, from taking it up until there is nothing more to do or others wait; it ends once.
Its number is in its name, so that the engine that hands turns out (workflows.py) may hand one out twice, forget it or
be lost: what this table does not know as the account's turn is over, and what it knows and nobody works at is handed
out again. Synchronous: call it in executor "migration".

    step            the row                       true then                     the next start
    turn.made       a number, no runner           it may be handed out          hands it out
    turn.offered    the same                      a worker will take it         finds it handed out
    turn.begun      a runner                      that worker is at it          another runner takes the account over
    turn.ended      another number, no runner     nobody is at it               hands it out when it is due
"""

import secrets
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, fields, replace

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mailplat.core import disk
from mailplat.core.errors import StaleEpoch
from mailplat.db.engine import Database
from migration.tables import LEGACY, SHARDS
from migration.tables import turn as table

# Kinds of moves.
LEGACY_KIND, SHARD_KIND = "legacy", "shards"

# Names in one statement: SQLite takes 32,766 parameters.
_MANY = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    kind: str
    account_id: int
    number: int
    runner: str = ""  # incarnation of the worker that is at it
    due_at: float = 0.0  # Unix time before which there is nothing to do
    worked: float = 0.0  # seconds that the last one took
    failures: int = 0  # in a row
    away: float = 0.0  # Unix time when its platform could not be reached; 0.0: nothing is known against it
    deaths: int = 0  # workers in a row that did not end it

    @property
    def name(self) -> str:
        return f"{self.kind}/{self.account_id}/{self.number}"

    def same(self, other: "Turn") -> bool:
        """And the same worker's."""
        return (self.name, self.runner) == (other.name, other.runner)


def parse(name: str) -> tuple[str, int, int]:
    """(kind, account, number). Raises ValueError for what is no name of a turn."""
    kind, account_id, number = name.split("/")
    return kind, int(account_id), int(number)


class Turns:
    def __init__(self, database: Database) -> None:
        self.database = database

    def of(self, kind: str, accounts: Collection[int] | None = None) -> dict[int, Turn]:
        """By account; of all that have one, where none are named."""
        found: dict[int, Turn] = {}
        query = sa.select(*(table.c[each.name] for each in fields(Turn))).where(table.c.kind == kind)
        parts = [None] if accounts is None else _parts(sorted(accounts))
        with self.database.read() as connection:
            for part in parts:
                mine = query if part is None else query.where(table.c.account_id.in_(part))
                for row in connection.execute(mine):
                    found[row.account_id] = Turn(**row._mapping)
        return found

    def make(self, kind: str, accounts: Collection[int]) -> dict[int, Turn]:
        """For accounts that have none. One that another made meanwhile counts."""
        number = _number()
        with self.database.write() as connection:
            for account_id in accounts:
                if self._read(connection, kind, account_id) is None:
                    values = {"kind": kind, "account_id": account_id, "number": number}
                    connection.execute(table.insert().values(**values))
        disk.step("turn.made")
        return self.of(kind, accounts)

    def renew(self, turn: Turn) -> Turn | None:
        """Another number: whoever may still be at it will not end it. None: it is over."""
        new = _number()
        with self.database.write() as connection:
            done = connection.execute(_where(turn).values(number=new))
        return replace(turn, number=new) if done.rowcount else None

    def begin(self, name: str, runner: str) -> tuple[Turn, bool] | None:
        """The turn, and whether the last one ended: nobody else can be at work on the account then. None: it is
        over."""
        kind, account_id, number = parse(name)
        with self.database.write() as connection:
            turn = self._read(connection, kind, account_id)
            if turn is None or turn.number != number:
                return None
            begun = replace(turn, runner=runner, deaths=turn.deaths + bool(turn.runner))
            connection.execute(_where(turn).values(runner=runner, deaths=begun.deaths))
        disk.step("turn.begun")
        return begun, not turn.runner

    def reached(self, turn: Turn) -> Turn:
        """Its platform, which was away. Whoever hands out turns sees it while this one goes on."""
        with self.database.write() as connection:
            connection.execute(_where(turn).where(table.c.runner == turn.runner).values(away=0.0))
        return replace(turn, away=0.0)

    def back(self, kind: str, accounts: Collection[int]) -> dict[int, Turn]:
        """Their platform is: those that failed try again now."""
        mine = table.update().where(table.c.kind == kind).values(away=0.0, due_at=0.0)
        with self.database.write() as connection:
            for part in _parts(sorted(accounts)):
                connection.execute(mine.where(table.c.account_id.in_(part)))
        return self.of(kind, accounts)

    def end(self, turn: Turn, *, due_at: float, worked: float, failures: int, away: float = 0.0) -> bool:
        """False: it was another's by now."""
        values = {
            "due_at": due_at,
            "worked": worked,
            "failures": failures,
            "away": away,
            "deaths": 0,
            "runner": "",
        }
        with self.database.write() as connection:
            mine = _where(turn).where(table.c.runner == turn.runner)
            done = connection.execute(mine.values(number=_number(), **values))
        disk.step("turn.ended")
        return bool(done.rowcount)

    def holds(self, turn: Turn) -> bool:
        found = self.of(turn.kind, [turn.account_id]).get(turn.account_id)
        return found is not None and turn.same(found)

    def guard(self, turn: Turn) -> Callable[[Connection], None]:
        """Raises StaleEpoch within a transaction of one that the turn was taken from."""

        def check(connection: Connection) -> None:
            now = self._read(connection, turn.kind, turn.account_id, share=True)
            if now is None or not turn.same(now):
                raise StaleEpoch(f"the turn {turn.name} is another worker's")

        return check

    def tidy(self) -> None:
        """Turns of accounts that are no longer on their way. A later move begins with a later number."""
        with self.database.write() as connection:
            for kind, tables in ((LEGACY_KIND, LEGACY), (SHARD_KIND, SHARDS)):
                known = sa.exists().where(tables.move.c.account_id == table.c.account_id)
                connection.execute(table.delete().where(table.c.kind == kind, table.c.runner == "", ~known))

    def _read(
        self, connection: Connection, kind: str, account_id: int, *, share: bool = False
    ) -> Turn | None:
        query = sa.select(*(table.c[each.name] for each in fields(Turn)))
        mine = query.where(table.c.kind == kind, table.c.account_id == account_id)
        row = connection.execute(mine.with_for_update(read=share)).one_or_none()
        return None if row is None else Turn(**row._mapping)


def _number() -> int:
    """At random: never one that was given before, not even to a row that is gone. The engine may know names longer
    than we do."""
    return secrets.randbits(62)


def _where(turn: Turn) -> sa.Update:
    mine = sa.and_(table.c.kind == turn.kind, table.c.account_id == turn.account_id)
    return table.update().where(mine, table.c.number == turn.number)


def _parts(accounts: Sequence[int]) -> list[Sequence[int]]:
    return [accounts[at : at + _MANY] for at in range(0, len(accounts), _MANY)]
