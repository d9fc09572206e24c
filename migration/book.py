"""What the engine writes down of one account's move, whatever kind: its row, its watermarks, its rounds. Every step
that changes the route too does it in one transaction. Synchronous: call it in executor "migration"."""

import copy
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mailplat.core.clock import Clock
from mailplat.core.errors import StaleEpoch
from mailplat.core.route import Home, Route, RouteState
from mailplat.db.engine import Database
from mailplat.directory import routes
from mailplat.directory import tables as directory
from migration.certificate.tables import digest
from migration.sources.contract import Status
from migration.tables import LEGACY, Tables

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage(ABC):
    """One account's way, as it was read."""

    account_id: int
    address: str
    domain: str
    shard: str  # where to
    route: Route
    halted: str
    note: str
    rounds: int
    total: int
    copied: int
    octets: int
    deletions_allowed: int
    uidl_format: str
    dropped: str
    began: float
    moved: float
    released: bool
    fence_ms: int
    phases: str
    verified: str
    aborts: int

    @property
    @abstractmethod
    def fences(self) -> "Fences": ...

    @property
    def state(self) -> str:
        """One word for people."""
        return self.route.state.value


@dataclass(frozen=True, slots=True)
class Fences:
    """The states of the route around a fence, and what changes in the move's row with them."""

    fenced: RouteState
    committed: RouteState
    aborted: RouteState
    on_fence: dict[str, Any] = field(default_factory=dict)
    on_commit: dict[str, Any] = field(default_factory=dict)
    on_abort: dict[str, Any] = field(default_factory=dict)
    sweeps: bool = False  # after the commit mail may still reach the old home
    stamp: str = "moved"  # the column that says when the commit was


@dataclass(frozen=True, slots=True)
class Watermark:
    """A mailbox of the source, everything of which is here up to these numbers."""

    name: str
    wire: bytes
    status: Status


@dataclass(slots=True)
class Round:
    """What one pass over an account did."""

    kind: str
    at: float
    seconds: float = 0.0
    added: int = 0
    changed: int = 0
    gone: int = 0
    mailboxes: int = 0
    octets: int = 0

    @property
    def operations(self) -> int:
        return self.added + self.changed + self.gone + self.mailboxes


class Book:
    def __init__(self, database: Database, clock: Clock, tables: Tables) -> None:
        self.database = database
        self.clock = clock
        self._tables = tables
        self._account_id, self._epoch = 0, _any_epoch
        self._guard: Callable[[Connection], None] = _anybody

    def bound(self, account_id: int, epoch: Callable[[], int]) -> Self:
        """The same for one account's engine: writes while the route has the engine's epoch; else StaleEpoch. One that
        slept while another took over must not turn back what that one has written (research/migration.md §4.2).
        `advance` compares with the route that it is given."""
        other = copy.copy(self)
        other._account_id, other._epoch = account_id, epoch
        return other

    def guarded(self, guard: Callable[[Connection], None]) -> Self:
        """The same, which asks within each write whether it may. `guard` raises where not."""
        other = copy.copy(self)
        other._guard = guard
        return other

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        with self.database.write() as connection:
            self._guard(connection)
            if self._account_id:
                columns = directory.route.c
                mine = sa.select(columns.epoch).where(columns.account_id == self._account_id)
                found = connection.execute(mine.with_for_update(read=True)).scalar_one_or_none()
                if found != self._epoch():
                    raise StaleEpoch(
                        f"the move of account {self._account_id} is another engine's: its epoch is {found}, not"
                        f" {self._epoch()}"
                    )
            yield connection

    def within(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """A change of other tables of the same database, under the same guard."""
        with self._write() as connection:
            return function(connection, *args, **kwargs)

    def set(self, account_id: int, **values: Any) -> None:
        with self._write() as connection:
            connection.execute(
                self._tables.move.update()
                .where(self._tables.move.c.account_id == account_id)
                .values(**values)
            )

    def route(self, account_id: int) -> Route:
        with self.database.read() as connection:
            return routes.read(connection, account_id)

    def advance(
        self,
        route: Route,
        state: RouteState,
        *,
        home: Home | None = None,
        fence_deadline: float = 0.0,
        watermarks: Sequence[Watermark] | None = None,
        **values: Any,
    ) -> Route:
        """A step of the route and the move's row, in one transaction. Raises StaleEpoch."""
        with self.database.write() as connection:
            self._guard(connection)
            new = routes.advance(
                connection, self.clock, route, state, home=home, fence_deadline=fence_deadline
            )
            mine = self._tables.move.c.account_id == route.account_id
            if values:
                connection.execute(self._tables.move.update().where(mine).values(**values))
            for mark in watermarks or ():
                self._put(connection, route.account_id, mark)
        return new

    def change_of(self, account_id: int) -> int:
        with self.database.read() as connection:
            return routes.change_of(connection, account_id)

    def begin_afresh(self, route: Route, state: RouteState) -> Route:
        """A step of the route with which nothing is known any more of what was copied. Raises StaleEpoch."""
        mine = self._tables.move.c.account_id == route.account_id
        with self.database.write() as connection:
            new = routes.advance(connection, self.clock, route, state, home=None, fence_deadline=0.0)
            values = {"afresh": False, "quiet": 0, "copied": 0, "verified": "{}"}
            connection.execute(self._tables.move.update().where(mine).values(**values))
            marks = self._tables.mailbox
            connection.execute(marks.delete().where(marks.c.account_id == route.account_id))
            connection.execute(digest.delete().where(digest.c.account_id == route.account_id))
        return new

    # watermarks

    def watermarks(self, account_id: int) -> dict[str, Watermark]:
        columns = self._tables.mailbox.c
        query = sa.select(
            columns.name, columns.wire, columns.uidvalidity, columns.uidnext, columns.messages, columns.modseq
        ).where(columns.account_id == account_id)
        with self.database.read() as connection:
            rows = connection.execute(query).fetchall()
        return {name: Watermark(name, bytes(wire), Status(*numbers)) for name, wire, *numbers in rows}

    def put_watermarks(self, account_id: int, marks: Sequence[Watermark]) -> None:
        with self._write() as connection:
            for mark in marks:
                self._put(connection, account_id, mark)

    def drop_watermark(self, account_id: int, name: str) -> None:
        with self._write() as connection:
            connection.execute(self._of(account_id, name))
            self._follow(connection, account_id, name, None)

    def _follow(self, connection: Connection, account_id: int, name: str, new: str | None) -> None:
        """Digests go where their mailbox goes. Between shards there are none."""
        if self._tables is not LEGACY:
            return
        mine = sa.and_(digest.c.account_id == account_id, digest.c.mailbox == name)
        change = digest.delete() if new is None else digest.update().values(mailbox=new)
        connection.execute(change.where(mine))

    def rename_watermarks(self, account_id: int, old: str, new: str) -> None:
        """With those of the mailboxes below."""
        columns = self._tables.mailbox.c
        with self._write() as connection:
            names = connection.execute(
                sa.select(columns.name).where(columns.account_id == account_id)
            ).scalars()
            for name in names.fetchall():
                if name == old or name.startswith(f"{old}/"):
                    mine = sa.and_(columns.account_id == account_id, columns.name == name)
                    connection.execute(
                        self._tables.mailbox.update().where(mine).values(name=new + name[len(old) :])
                    )
                    self._follow(connection, account_id, name, new + name[len(old) :])

    # rounds

    def record(self, account_id: int, done: Round, **values: Any) -> None:
        """The round, and what it changed in the move's row."""
        numbers = sa.select(sa.func.coalesce(sa.func.max(self._tables.round.c.number), 0) + 1).where(
            self._tables.round.c.account_id == account_id
        )
        with self._write() as connection:
            number = connection.execute(numbers).scalar_one()
            connection.execute(
                self._tables.round.insert().values(account_id=account_id, number=number, **asdict(done))
            )
            mine = self._tables.move.c.account_id == account_id
            connection.execute(
                self._tables.move.update()
                .where(mine)
                .values(rounds=number, octets=self._tables.move.c.octets + done.octets, **values)
            )

    def rounds(self, account_id: int) -> list[Round]:
        columns = [self._tables.round.c[each.name] for each in fields(Round)]
        query = sa.select(*columns).where(self._tables.round.c.account_id == account_id)
        with self.database.read() as connection:
            return [
                Round(*row)
                for row in connection.execute(query.order_by(self._tables.round.c.number)).fetchall()
            ]

    def last_round(self, account_id: int) -> Round | None:
        columns = [self._tables.round.c[each.name] for each in fields(Round)]
        query = sa.select(*columns).where(self._tables.round.c.account_id == account_id)
        with self.database.read() as connection:
            row = connection.execute(
                query.order_by(self._tables.round.c.number.desc()).limit(1)
            ).one_or_none()
        return None if row is None else Round(*row)

    def _of(self, account_id: int, name: str) -> sa.Delete:
        columns = self._tables.mailbox.c
        return self._tables.mailbox.delete().where(columns.account_id == account_id, columns.name == name)

    def _put(self, connection: Connection, account_id: int, mark: Watermark) -> None:
        connection.execute(self._of(account_id, mark.name))
        connection.execute(
            self._tables.mailbox.insert().values(
                account_id=account_id, name=mark.name, wire=mark.wire, **asdict(mark.status)
            )
        )


def _any_epoch() -> int:
    return 0


def _anybody(_connection: Connection) -> None:
    """Of whoever is not one of several workers."""


def merge_dropped(text: str, more: Collection[str]) -> str:
    return json.dumps(sorted({*json.loads(text), *more}))
