"""The ledger of moves between shards: asked for by `mailplat migrate move` and by drains. As long as an account is
copied its route says nothing of it, so this is where the move's stage is kept. Synchronous: call it in executor
"migration"."""

import enum
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mailplat.core.clock import Clock
from mailplat.core.errors import InvalidInput, NotFound
from mailplat.core.route import Route, RouteState, ShardHome
from mailplat.db.engine import Database
from mailplat.directory import routes
from mailplat.directory import tables as directory
from migration import tables
from migration.book import Book, Fences, Passage

# Who asked.
MOVE, DRAIN = "move", "drain"

# States of a route in which an account can leave its shard.
LIVING = frozenset({RouteState.NEW, RouteState.FINAL})


class Stage(enum.Enum):
    PLANNED = "planned"  # nothing of it is there
    SEEDING = "seeding"  # first copy
    TRACKING = "tracking"  # deltas; then both sides are compared
    READY = "ready"  # compared; the fence is next
    MOVED = "moved"  # committed; held mail and the old copy are still to be seen to
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardMove(Passage):
    source: str
    stage: str
    cause: str
    cancelled: bool
    came_from: str
    fence_epoch: int
    asked: float

    @property
    def fences(self) -> Fences:
        fenced = self.route.state is RouteState.SHARD_FENCED
        living = RouteState(self.came_from) if fenced else self.route.state
        return Fences(
            RouteState.SHARD_FENCED,
            living,
            living,
            on_fence={"came_from": living.value, "fence_epoch": self.route.epoch + 1},
            on_commit={"stage": Stage.MOVED.value},
            on_abort={"stage": Stage.TRACKING.value},
        )

    @property
    def state(self) -> str:
        return "fenced" if self.route.state is RouteState.SHARD_FENCED else self.stage

    @property
    def is_over(self) -> bool:
        return self.stage == Stage.DONE.value


_OWN = [
    each.name
    for each in fields(ShardMove)
    if each.name not in ("account_id", "route", "deletions_allowed", "uidl_format", "dropped")
]
_table = tables.shard_move
_SELECT = (
    sa.select(*routes.COLUMNS, *(_table.c[name] for name in _OWN))
    .join(_table, _table.c.account_id == directory.route.c.account_id)
    .order_by(_table.c.domain, _table.c.address)
)


def _to_move(row: Sequence[Any]) -> ShardMove:
    at = len(routes.COLUMNS)
    route = routes.from_row(*row[:at])
    values = dict(zip(_OWN, row[at:], strict=True))
    return ShardMove(
        account_id=route.account_id,
        route=route,
        deletions_allowed=0,
        uidl_format="",
        dropped="[]",
        **values,
    )


@dataclass(frozen=True, slots=True)
class Orphan:
    """A move whose account was removed meanwhile."""

    account_id: int
    address: str
    source: str
    shard: str
    stage: str
    fence_epoch: int


class ShardMoves(Book):
    def __init__(self, database: Database, clock: Clock) -> None:
        super().__init__(database, clock, tables.SHARDS)

    def moves(self, domain: str | None = None, accounts: Collection[int] | None = None) -> list[ShardMove]:
        query = _SELECT if domain is None else _SELECT.where(_table.c.domain == domain)
        if accounts is not None:
            query = query.where(_table.c.account_id.in_(list(accounts)))
        with self.database.read() as connection:
            return [_to_move(row) for row in connection.execute(query).fetchall()]

    def find_move(self, account_id: int) -> ShardMove:
        for move in self.moves(accounts=[account_id]):
            return move
        raise NotFound(f"account {account_id} is not being moved to another shard")

    def due(self) -> list[ShardMove]:
        """Moves that there may be something to do for."""
        fenced = (
            directory.route.c.state == RouteState.SHARD_FENCED.value
        )  # a fence ends, whatever the row says
        waiting = sa.and_(_table.c.stage != Stage.DONE.value, _table.c.halted == "")
        asked = sa.or_(waiting, _table.c.cancelled & (_table.c.stage != Stage.DONE.value), fenced)
        query = _SELECT.where(asked)
        with self.database.read() as connection:
            return [_to_move(row) for row in connection.execute(query).fetchall()]

    def ask(self, account_ids: Sequence[int], shard: str, *, cause: str) -> list[int]:
        """A move to `shard` for each of these accounts that does not live there; their numbers. One that is over is
        written over, with its rounds. Raises InvalidInput for an account that is on its way to another shard or that
        lives on a backend."""
        with self.database.write() as connection:
            return [each for each in account_ids if self._ask(connection, each, shard, cause)]

    def _ask(self, connection: Connection, account_id: int, shard: str, cause: str) -> bool:
        account = connection.execute(
            sa.select(directory.account.c.local, directory.account.c.domain).where(
                directory.account.c.id == account_id
            )
        ).one_or_none()
        if account is None:
            return False  # removed meanwhile
        address = f"{account[0]}@{account[1]}"
        route = routes.read(connection, account_id)
        mine = _table.c.account_id == account_id
        known = connection.execute(
            sa.select(_table.c.stage, _table.c.shard, _table.c.cause).where(mine)
        ).one_or_none()
        if known is not None and known[0] != Stage.DONE.value:
            if known[1] != shard:
                raise InvalidInput(
                    f"{address} is on its way to shard {known[1]}; wait, or first: migrate move {address} --cancel"
                )
            connection.execute(_table.update().where(mine).values(cancelled=False, halted="", note=""))
            return True
        home = _living_in(route, address)
        if home == shard:
            return False
        connection.execute(_table.delete().where(mine))
        connection.execute(
            _table.insert().values(
                account_id=account_id,
                address=address,
                domain=account[1],
                source=home,
                shard=shard,
                stage=Stage.PLANNED.value,
                cause=cause,
                asked=self.clock.now(),
            )
        )
        return True

    def begin(self, move: ShardMove) -> bool:
        """From now on there may be something of it at its target. False where it was given another meanwhile."""
        mine = sa.and_(
            _table.c.account_id == move.account_id,
            _table.c.stage == Stage.PLANNED.value,
            _table.c.shard == move.shard,
        )
        values = {"stage": Stage.SEEDING.value, "began": self.clock.now(), "note": ""}
        with self.database.write() as connection:
            return bool(connection.execute(_table.update().where(mine).values(**values)).rowcount)

    def retarget(self, account_id: int, shard: str) -> None:
        """Only while nothing of the account is at its target."""
        planned = sa.and_(_table.c.account_id == account_id, _table.c.stage == Stage.PLANNED.value)
        with self.database.write() as connection:
            connection.execute(_table.update().where(planned).values(shard=shard, halted=""))

    def cancel(self, account_ids: Collection[int]) -> int:
        """What is not committed; how many. Copies are removed behind."""
        mine = sa.and_(
            _table.c.account_id.in_(list(account_ids)),
            _table.c.stage.not_in([Stage.MOVED.value, Stage.DONE.value]),
        )
        with self.database.write() as connection:
            return int(connection.execute(_table.update().where(mine).values(cancelled=True)).rowcount)

    def forget(self, account_id: int) -> None:
        with self.database.write() as connection:
            connection.execute(_table.delete().where(_table.c.account_id == account_id))

    def start_again(self, account_id: int, note: str) -> None:
        """Nothing of the account is at its target any more."""
        mine = _table.c.account_id == account_id
        with self.database.write() as connection:
            connection.execute(
                tables.SHARDS.mailbox.delete().where(tables.SHARDS.mailbox.c.account_id == account_id)
            )
            values = {"stage": Stage.PLANNED.value, "note": note, "copied": 0, "verified": "{}"}
            connection.execute(_table.update().where(mine).values(**values))

    def orphans(self) -> list[Orphan]:
        names = [each.name for each in fields(Orphan)]
        gone = ~sa.exists().where(directory.route.c.account_id == _table.c.account_id)
        query = sa.select(*(_table.c[name] for name in names)).where(gone)
        with self.database.read() as connection:
            return [Orphan(*row) for row in connection.execute(query).fetchall()]

    def residents(self, shard: str) -> list[int]:
        """Accounts whose home is this shard."""
        home = directory.route.c.home == str(ShardHome(shard))
        with self.database.read() as connection:
            found = connection.execute(
                sa.select(directory.route.c.account_id).where(home).order_by(directory.route.c.account_id)
            )
            return [int(number) for number in found.scalars()]


def _living_in(route: Route, address: str) -> str:
    if not isinstance(route.home, ShardHome):
        raise InvalidInput(
            f"{address} lives on {route.home}; it comes to a shard by: migrate plan, start, cutover"
        )
    if route.state not in LIVING:
        raise InvalidInput(f"{address} is {route.state.value}; try again when that is over")
    return route.home.shard
