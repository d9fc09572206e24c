"""RouteWatch: no change is missed, an acknowledgement comes after the deed, a silent process gives up its lease."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import pytest
import sqlalchemy as sa

from mailplat.bus import MemoryBus
from mailplat.core.clock import ManualClock, SystemClock
from mailplat.core.errors import Unavailable
from mailplat.core.executors import Executors
from mailplat.core.hint import RouteChanged
from mailplat.core.route import Route, RouteState
from mailplat.db.engine import Database
from mailplat.directory import Directory, routes, watch
from mailplat.directory.tables import route_watcher
from mailplat.directory.watch import RouteWatch, acknowledged
from tests.directory.conftest import add, address
from tests.until import until

# Nobody waits for the poll in these tests but those that say so.
NEVER_S = 1000.0
SHORT_LEASE_S = 0.2


class Handler:
    """Notes what it is told; `gate` holds it, for those accounts where some are named."""

    def __init__(self, *held: int) -> None:
        self.held = held
        self.routes: list[Route] = []
        self.lost = 0
        self.entered = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def route_changed(self, route: Route) -> None:
        self.entered.set()
        if not self.held or route.account_id in self.held:
            await self.gate.wait()
        self.routes.append(route)

    async def lease_lost(self) -> None:
        self.lost += 1


@pytest.fixture
def executors() -> Iterator[Executors]:
    opened = Executors()
    yield opened
    opened.close()


@pytest.fixture
def bus() -> MemoryBus:
    return MemoryBus()


@contextlib.asynccontextmanager
async def running(watching: RouteWatch, *, healthy: bool = True) -> AsyncIterator[None]:
    task = asyncio.create_task(watching.run())
    try:
        if healthy:
            await until(lambda: watching.healthy)
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def seeding(directory: Directory, name: str) -> Route:
    return directory.advance(directory.route(directory.account(address(name)).id), RouteState.SEEDING)


def change(database: Database) -> int:
    with database.read() as connection:
        return routes.last_change(connection)


def acknowledgement(
    database: Database, clock: SystemClock | ManualClock, number: int, account_id: int = 0
) -> bool:
    with database.read() as connection:
        return acknowledged(connection, clock, account_id, number)


def rows(database: Database) -> dict[str, int]:
    with database.read() as connection:
        found = connection.execute(sa.select(route_watcher.c.process, route_watcher.c.seen))
        return {str(row[0]): int(row[1]) for row in found}


def late(database: Database) -> list[int]:
    with database.read() as connection:
        found = connection.execute(sa.select(route_watcher.c.late)).scalars()
        return [account_id for each in found for account_id in each]


async def test_a_change_is_handled_then_acknowledged(
    directory: Directory, database: Database, bus: MemoryBus, executors: Executors
) -> None:
    add(directory, "anna", "legacy")
    watching, handler, clock = RouteWatch(directory, bus, executors, SystemClock()), Handler(), SystemClock()
    watching.register(handler)
    async with running(watching):
        assert rows(database) == {watching.process: change(database)}
        handler.gate.clear()
        route = seeding(directory, "anna")
        number = change(database)
        await handler.entered.wait()
        assert not acknowledgement(database, clock, number, route.account_id)
        await until(lambda: late(database) == [route.account_id])
        assert not acknowledgement(database, clock, number, route.account_id)
        assert watching.healthy  # the heartbeat goes on while a handler waits
        handler.gate.set()
        await until(lambda: acknowledgement(database, clock, number, route.account_id))
        assert handler.routes == [route]
    assert rows(database) == {}  # nobody waits for a process that has left


async def test_a_hint_wakes_at_once(directory: Directory, bus: MemoryBus, executors: Executors) -> None:
    account = add(directory, "anna", "legacy")
    watching, handler = RouteWatch(directory, bus, executors, SystemClock(), poll=NEVER_S), Handler()
    watching.register(handler)
    async with running(watching):
        route = seeding(directory, "anna")
        bus.publish(RouteChanged(account.id))
        await until(lambda: handler.routes == [route])


async def test_several_changes_each_once_and_every_handler(
    directory: Directory, bus: MemoryBus, executors: Executors
) -> None:
    for name in ("anna", "bert"):
        add(directory, name, "legacy")
    watching, first, second, third = (
        RouteWatch(directory, bus, executors, SystemClock()),
        Handler(),
        Handler(),
        Handler(),
    )
    for handler in (first, second):
        watching.register(handler)
    take_back = watching.register(third)
    take_back()
    async with running(watching):
        expected = [seeding(directory, "anna"), seeding(directory, "bert")]
        await until(lambda: len(first.routes) == 2)
        assert first.routes == second.routes == expected
        assert third.routes == []


async def test_a_handler_that_hangs_blocks_the_acknowledgement_and_is_asked_again(
    directory: Directory,
    database: Database,
    bus: MemoryBus,
    executors: Executors,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch, "HANDLER_TIMEOUT_S", 0.05)
    add(directory, "anna", "legacy")
    watching, handler = RouteWatch(directory, bus, executors, SystemClock(), poll=0.01), Handler()
    watching.register(handler)
    async with running(watching):
        handler.gate.clear()
        route = seeding(directory, "anna")
        await handler.entered.wait()
        handler.entered.clear()
        await handler.entered.wait()  # again, after the timeout
        number, account_id = change(database), route.account_id
        await until(lambda: late(database) == [account_id])
        assert not acknowledgement(database, SystemClock(), number, account_id)
        handler.gate.set()
        await until(lambda: acknowledgement(database, SystemClock(), number, account_id))
        assert route in handler.routes


async def test_a_handler_that_fails_is_asked_again(
    directory: Directory, database: Database, bus: MemoryBus, executors: Executors
) -> None:
    add(directory, "anna", "legacy")
    watching, other = RouteWatch(directory, bus, executors, SystemClock(), poll=0.01), Handler()
    asked = 0

    class Failing(Handler):
        async def route_changed(self, route: Route) -> None:
            nonlocal asked
            asked += 1
            if asked < 3:
                raise Unavailable("the queue cannot be written")

    watching.register(Failing())
    watching.register(other)
    async with running(watching):
        route = seeding(directory, "anna")
        await until(lambda: acknowledgement(database, SystemClock(), change(database), route.account_id))
    assert asked == 3
    assert other.routes == [route] * 3


async def test_an_account_that_is_slow_to_end_keeps_nobody_else_waiting(
    directory: Directory, database: Database, bus: MemoryBus, executors: Executors
) -> None:
    """Neither what changed with it nor what changes while it is waited for."""
    slow = add(directory, "anna", "legacy").id
    for name in ("bert", "cora"):
        add(directory, name, "legacy")
    clock, handler = SystemClock(), Handler(slow)
    watching = RouteWatch(directory, bus, executors, clock, poll=0.01)
    watching.register(handler)
    async with running(watching):
        handler.gate.clear()
        seeding(directory, "anna")
        for name in ("bert", "cora"):
            route, number = seeding(directory, name), change(database)
            await until(lambda r=route, n=number: acknowledgement(database, clock, n, r.account_id))
            assert handler.routes[-1] == route
            assert not acknowledgement(database, clock, number, slow)
        tracking = directory.advance(directory.route(slow), RouteState.TRACKING)
        await until(lambda: late(database) == [slow] and watching._waiting[slow] == tracking)
        handler.gate.set()
        await until(lambda: acknowledgement(database, clock, change(database), slow))
        assert handler.routes[-1] == tracking, "and what came last is told last"


def put_row(database: Database, process: str, seen: int, at: float) -> None:
    with database.write() as connection:
        connection.execute(route_watcher.insert().values(process=process, seen=seen, at=at))


def test_who_has_to_acknowledge(directory: Directory, database: Database, clock: ManualClock) -> None:
    assert acknowledgement(database, clock, 5)  # nobody lives
    put_row(database, "quick", 5, clock.now())
    put_row(database, "slow", 4, clock.now())
    assert acknowledgement(database, clock, 4)
    assert not acknowledgement(database, clock, 5)
    clock.advance(watch.DEAD_AFTER_S - 0.01)
    assert not acknowledgement(database, clock, 5)
    clock.advance(0.02)  # its lease has ended by itself before
    assert acknowledgement(database, clock, 5)
    assert watch.LEASE_S < watch.DEAD_AFTER_S


async def test_old_rows_are_dropped(
    directory: Directory, database: Database, bus: MemoryBus, executors: Executors
) -> None:
    put_row(database, "long gone", 1, SystemClock().now() - watch.FORGET_AFTER_S - 1)
    put_row(database, "dead a moment ago", 1, SystemClock().now() - 10)
    watching = RouteWatch(directory, bus, executors, SystemClock())
    async with running(watching):
        assert set(rows(database)) == {"dead a moment ago", watching.process}


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_a_locked_database_ends_the_lease_although_reading_works(
    directory: Directory, database: Database, bus: MemoryBus, executors: Executors
) -> None:
    """The heartbeat hangs for the whole busy timeout; the lease must not wait for it."""
    watching = RouteWatch(directory, bus, executors, SystemClock(), lease=SHORT_LEASE_S)
    handler = Handler()
    watching.register(handler)
    async with running(watching):
        with database.write():
            await until(lambda: handler.lost == 1)
            assert not watching.healthy
        await until(lambda: watching.healthy)
        with database.write():
            await until(lambda: handler.lost == 2)  # each loss is told, once


async def test_no_lease_before_the_first_heartbeat(
    directory: Directory, bus: MemoryBus, executors: Executors, monkeypatch: pytest.MonkeyPatch
) -> None:
    watching, handler = RouteWatch(directory, bus, executors, SystemClock(), poll=0.01), Handler()
    watching.register(handler)
    assert not watching.healthy

    def refuse(seen: int, late: list[int]) -> None:
        raise Unavailable("no database")

    with monkeypatch.context() as patch:
        patch.setattr(watching, "_write", refuse)
        async with running(watching, healthy=False):
            await until(lambda: watching._seen is not None)
            assert not watching.healthy


async def test_leaving_ends_everything_first(
    directory: Directory, database: Database, bus: MemoryBus, executors: Executors
) -> None:
    """Whatever ends the watch: once its row is gone no fence waits for this process."""
    watching = RouteWatch(directory, bus, executors, SystemClock())
    seen_at_end: list[dict[str, int]] = []

    class Last(Handler):
        async def lease_lost(self) -> None:
            await super().lease_lost()
            seen_at_end.append(rows(database))

    handler = Last()
    watching.register(handler)
    async with running(watching):
        mine = rows(database)
    assert handler.lost == 1
    assert seen_at_end == [mine]
    assert not watching.healthy


async def test_a_lease_is_never_longer_than_others_count_on(
    directory: Directory, bus: MemoryBus, executors: Executors
) -> None:
    clock = ManualClock()
    watching = RouteWatch(directory, bus, executors, clock, lease=60)
    async with running(watching):
        clock.advance(watch.LEASE_S + 0.01)
        assert not watching.healthy
