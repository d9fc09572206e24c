"""How every process learns that a route changed, acts on it, and says so: the fence's acknowledgement.

Each process polls for changes above the last number it has seen (an indexed look-up that finds nothing), at once
when a hint comes. For each changed route it calls the handlers (close proxied sessions, finish relays in flight), for
many at once; then it writes the number into its row, and beside it the accounts whose handlers have not returned yet.
A fence waits until every living process has written a number at least as high as the fence's own, and does not name
the fence's account (`acknowledged`): a client that is slow to end keeps its own account waiting and nobody else's.

A process that could not write its heartbeat for LEASE_S closes every forwarded session by itself (`lease_lost`) and
begins no new one; DEAD_AFTER_S after its last heartbeat nobody waits for it any more. What is between the two is what
it has for that, and how far the clocks of two machines may differ.
"""

import asyncio
import os
import secrets
from collections.abc import Callable
from typing import Protocol

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Connection

from mailplat.bus import Bus
from mailplat.core.clock import Clock
from mailplat.core.errors import MailplatError
from mailplat.core.executors import Executors
from mailplat.core.route import Route
from mailplat.directory import routes
from mailplat.directory.directory import Directory
from mailplat.directory.tables import route_watcher

log = structlog.get_logger("watch")

POLL_S = 0.5
HEARTBEAT_S = 1.0
LEASE_S = 2.0
DEAD_AFTER_S = 3.0

# A handler that hangs is logged and asked again; until one returns, this process acknowledges nothing of the account.
HANDLER_TIMEOUT_S = 10.0

# What returns within this time is acknowledged in the same write as the number; most do in a millisecond.
TOGETHER_S = 0.05

# Accounts whose handlers run at once. Most wait for clients; those that write to the queue share its threads, and
# with more of them HANDLER_TIMEOUT_S would count their waiting in line.
AT_ONCE = 256

# The guard looks a little after the lease's end, never before it.
_TICK_S = 0.01

# Rows of processes that are long gone are dropped.
FORGET_AFTER_S = 3600.0


class RouteHandler(Protocol):
    async def route_changed(self, route: Route) -> None:
        """Act on the new route; return when nothing of the old one is in flight any more."""
        ...

    async def lease_lost(self) -> None:
        """We may be blind to changes: end whatever rests on a route that another home owns."""
        ...


class RouteWatch:
    """One per process; `run` is its task. `lease` and `poll` in seconds; a lease longer than LEASE_S would let this
    process act on routes after others have stopped to wait for it."""

    def __init__(
        self,
        directory: Directory,
        bus: Bus,
        executors: Executors,
        clock: Clock | None = None,
        *,
        lease: float = LEASE_S,
        poll: float = POLL_S,
    ) -> None:
        self._directory = directory
        self._bus = bus
        self._executors = executors
        self._clock: Clock = clock or directory.clock
        self._lease = min(lease, LEASE_S)
        self._poll_s = poll
        self._handlers: list[RouteHandler] = []
        self.process = f"{os.uname().nodename[:60]}-{os.getpid()}-{secrets.token_hex(4)}"
        self._seen: int | None = None
        self._waiting: dict[int, Route] = {}  # by account: what no handler has been done with yet
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._said: tuple[int, list[int]] | None = None  # that our row says
        self._beat = float("-inf")  # when the last heartbeat that succeeded began, monotonic
        self._beaten = asyncio.Event()  # one did since the guard last looked
        self._writing = asyncio.Lock()

    @property
    def healthy(self) -> bool:
        """Whether every change of a route reaches us before a fence goes on. False before the first heartbeat."""
        return self._clock.monotonic() - self._beat <= self._lease

    def register(self, handler: RouteHandler) -> Callable[[], None]:
        """Returns the way to take it back."""
        self._handlers.append(handler)
        return lambda: self._handlers.remove(handler)

    async def run(self) -> None:
        """Until cancelled; then everything that rests on routes is ended and the row removed, so that no fence waits
        for us."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._poll(group))
                group.create_task(self._heartbeat())
                group.create_task(self._guard())
        finally:
            self._beat = float("-inf")
            await self._tell_lost()
            try:
                await self._executors.run("directory", self._leave)
            except MailplatError as error:
                log.warning("row of this process stays until it is old", reason=str(error))

    async def _poll(self, group: asyncio.TaskGroup) -> None:
        listener = self._bus.listen("routes")
        try:
            while True:
                try:
                    await self._look(group)
                except MailplatError as error:
                    log.warning("routes cannot be read", reason=str(error))
                await listener.wait(self._poll_s)
        finally:
            listener.close()

    async def _look(self, group: asyncio.TaskGroup) -> None:
        last, changed = await self._executors.run("directory", self._read)
        begun = []
        for route in changed:
            if route.account_id not in self._waiting:
                begun.append(group.create_task(self._act(route.account_id)))
            self._waiting[route.account_id] = route
        self._seen = last  # not before all of them wait: the heartbeat writes both
        if begun:
            await asyncio.wait(begun, timeout=TOGETHER_S)
        await self._say()

    async def _act(self, account_id: int) -> None:
        """Until the handlers are done with the last route that is known of the account."""
        while True:
            route = self._waiting[account_id]
            if not await self._handle(route):
                await asyncio.sleep(self._poll_s)
            elif self._waiting[account_id] is route:
                break
        del self._waiting[account_id]
        if self._said is not None and account_id in self._said[1]:
            try:
                await self._say()
            except MailplatError as error:
                log.warning("acknowledged with the next heartbeat", account=account_id, reason=str(error))

    async def _handle(self, route: Route) -> bool:
        """Whether every handler is done with it."""
        try:
            async with self._at_once, asyncio.timeout(HANDLER_TIMEOUT_S):
                asked = (handler.route_changed(route) for handler in tuple(self._handlers))
                answers = await asyncio.gather(*asked, return_exceptions=True)  # none is left running
            for error in answers:
                if error is not None:
                    raise error
        except TimeoutError:
            log.error("a handler did not finish; not acknowledged", account=route.account_id)
            return False
        except MailplatError as error:
            log.warning("not acknowledged", account=route.account_id, reason=str(error))
            return False
        return True

    async def _say(self) -> None:
        """What our row does not say yet."""
        async with self._writing:
            if self._said != self._word():
                await self._write_row()

    def _word(self) -> tuple[int, list[int]]:
        assert self._seen is not None
        return self._seen, sorted(self._waiting)

    async def _heartbeat(self) -> None:
        """On its own: while a handler waits for a relay in flight, fences must go on waiting for us."""
        while True:
            try:
                if self._seen is not None:
                    async with self._writing:
                        await self._write_row()
            except MailplatError as error:
                log.warning("no heartbeat", reason=str(error))
            await asyncio.sleep(self._lease * HEARTBEAT_S / LEASE_S)

    async def _guard(self) -> None:
        """On its own too: a heartbeat that hangs on a locked database must not keep the lease from ending."""
        told = self._beat  # each lease that ends is told once
        while True:
            left = self._beat + self._lease - self._clock.monotonic()
            if left >= 0:
                await asyncio.sleep(left + _TICK_S)
            elif self._beat != told:
                told = self._beat
                log.error("forwarded sessions end: no heartbeat", seconds=self._lease)
                await self._tell_lost()
            else:
                self._beaten.clear()
                await self._beaten.wait()

    async def _write_row(self) -> None:
        """By whoever holds `_writing`."""
        began, word = self._clock.monotonic(), self._word()
        await self._executors.run("directory", self._write, *word)
        self._said = word
        self._beat = began
        self._beaten.set()

    async def _tell_lost(self) -> None:
        try:
            async with asyncio.timeout(HANDLER_TIMEOUT_S):
                await asyncio.gather(*(handler.lease_lost() for handler in tuple(self._handlers)))
        except TimeoutError:
            log.error("a handler did not end its sessions", seconds=HANDLER_TIMEOUT_S)

    def _read(self) -> tuple[int, list[Route]]:
        with self._directory.database.read() as connection:
            last = routes.last_change(connection)
            # What was before us, nobody here acted on: a session begins with a reading of its own.
            if self._seen is None or self._seen == last:
                return last, []
            return last, routes.changed_since(connection, self._seen)

    def _write(self, seen: int, late: list[int]) -> None:
        values = {"seen": seen, "late": late, "at": self._clock.now()}
        with self._directory.database.write() as connection:
            mine = route_watcher.c.process == self.process
            if not connection.execute(route_watcher.update().where(mine).values(values)).rowcount:
                connection.execute(route_watcher.insert().values(process=self.process, **values))
                old = route_watcher.c.at < self._clock.now() - FORGET_AFTER_S
                connection.execute(route_watcher.delete().where(old))

    def _leave(self) -> None:
        with self._directory.database.write() as connection:
            connection.execute(route_watcher.delete().where(route_watcher.c.process == self.process))


def acknowledged(connection: Connection, clock: Clock, account_id: int, change: int) -> bool:
    """Whether every living process has acted on change number `change` of the routes, which is one of the account."""
    alive = sa.select(route_watcher.c.seen, route_watcher.c.late).where(
        route_watcher.c.at > clock.now() - DEAD_AFTER_S
    )
    return all(seen >= change and account_id not in late for seen, late in connection.execute(alive))
