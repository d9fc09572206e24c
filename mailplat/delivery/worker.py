"""Works off the queue: leases what is due, a task for each message, and keeps its leases."""

import asyncio
import contextlib
import os
import secrets
from dataclasses import dataclass, field
from typing import Literal

import structlog

from mailplat.bus import Bus
from mailplat.core.clock import Clock
from mailplat.core.errors import MailplatError
from mailplat.core.executors import Executors
from mailplat.core.route import Door, Route
from mailplat.delivery.attempt import Attempt, Tools
from mailplat.delivery.flights import Flights
from mailplat.delivery.local import LocalTransport
from mailplat.delivery.relay import RelayLimits, RelayTransport
from mailplat.directory import Directory
from mailplat.directory.watch import RouteWatch
from mailplat.queue import Queue
from mailplat.store import Store
from mailplat.usage import Meter

log = structlog.get_logger("worker")


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """Seconds, where nothing else is said."""

    # Messages on their way at once in one process. Most wait for a remote; each holds one file open.
    messages: int = 200
    # Recipients of one lease: small, so that several processes share a burst.
    batch: int = 50
    # How long the queue is left alone without a hint: a lost hint costs this.
    poll: float = 1.0
    # How long a relay in flight may end by itself when its account is fenced. A fence has a budget of 30 s.
    patience: float = 3.0
    # Between two looks at the length of the database's log: what readers made of it in between fits on any disk.
    trim: float = 30.0
    # After the stop, for what is on its way.
    drain: float = 20.0


@dataclass(slots=True)
class _Running:
    attempt: Attempt
    task: "asyncio.Task[None]"
    since: float = field(default=0.0)  # monotonic time of the lease or its last renewal


class Worker:
    """One for a process. Give it the process's `watch` wherever accounts live on backends: it registers as a
    route handler while it runs, and relays nothing while the watch is not healthy."""

    def __init__(
        self,
        directory: Directory,
        store: Store,
        queue: Queue,
        executors: Executors,
        bus: Bus,
        clock: Clock,
        *,
        hostname: str,
        watch: RouteWatch | None = None,
        limits: WorkerLimits | None = None,
        relay_limits: RelayLimits | None = None,
        smart_host: str = "",
        meter: Meter | None = None,
    ) -> None:
        self.name = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._queue = queue
        self._executors = executors
        self._bus = bus
        self._clock = clock
        self._watch = watch
        self._limits = limits or WorkerLimits()
        self._flights = Flights()
        self._relay = RelayTransport(hostname, executors, relay_limits)
        self._running: dict[asyncio.Task[None], _Running] = {}
        self._tools = Tools(
            directory,
            queue,
            executors,
            clock,
            LocalTransport(store),
            self._relay,
            self._flights,
            hostname,
            lambda: watch is None or watch.healthy,
            meter or Meter(clock),
            smart_host,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`; then what is on its way gets `drain` seconds. What is left, or cut off by a
        cancellation, is taken over when its lease has run out."""
        unregister = self._watch.register(self) if self._watch else lambda: None
        stopped = asyncio.ensure_future(stop.wait())
        renewing = asyncio.create_task(self._renew())
        sweeping = asyncio.create_task(self._sweep())
        try:
            await self._work(stopped)
            await self._drain()
        finally:
            unregister()
            for task in (stopped, renewing, sweeping, *self._running):
                task.cancel()
            await asyncio.gather(renewing, sweeping, *self._running, return_exceptions=True)
            await self._relay.close()

    async def route_changed(self, route: Route) -> None:
        """RouteHandler: returns when no relay to the account is on its way, unless relaying is what the new
        route wants. Whatever waits for the account is then due."""
        if route.door is not Door.FORWARD:
            await self._flights.clear(route.account_id, self._limits.patience)
        if route.door is not Door.HOLD:
            await self._executors.run("queue", self._queue.release_account, route.account_id)

    async def lease_lost(self) -> None:
        """RouteHandler: nobody waits for us any more, so nothing may be on its way."""
        for flight in self._flights.all():
            flight.abandon()

    # -- the loop

    async def _work(self, stopped: "asyncio.Future[Literal[True]]") -> None:
        listener = self._bus.listen("queue")
        try:
            while not stopped.done():
                started = await self._start_some()
                await self._relay.close_idle()
                if not started:
                    hint = asyncio.ensure_future(listener.wait(await self._pause()))
                    # A full house waits for somebody to leave, not for more work.
                    others = self._running if self._full else ()
                    await asyncio.wait({hint, stopped, *others}, return_when=asyncio.FIRST_COMPLETED)
                    hint.cancel()
        finally:
            listener.close()

    @property
    def _full(self) -> bool:
        return len(self._running) >= self._limits.messages

    async def _start_some(self) -> int:
        """Lease and start; how many messages."""
        free = min(self._limits.messages - len(self._running), self._limits.batch)
        if free <= 0:
            return 0
        try:
            found = await self._executors.run("queue", self._queue.lease, self.name, free)
        except MailplatError as error:
            log.warning("queue cannot be read", reason=str(error))
            return 0
        for leased in found:
            attempt = Attempt(self._tools, leased)
            task = asyncio.create_task(attempt.run())
            self._running[task] = _Running(attempt, task, self._clock.monotonic())
            task.add_done_callback(self._ended)
        return len(found)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        running = self._running.pop(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("attempt failed: this is a bug", id=running.attempt.leased.message.id, exc_info=error)

    async def _pause(self) -> float:
        """Seconds until something is due, at most `poll`."""
        try:
            due = await self._executors.run("queue", self._queue.next_due)
        except MailplatError:
            return self._limits.poll
        if due is None:
            return self._limits.poll
        return min(max(due - self._clock.now(), 0.0), self._limits.poll)

    async def _renew(self) -> None:
        """Thrice within a lease, so that one slow commit loses none."""
        lease = self._queue.lease_s
        while True:
            await asyncio.sleep(lease / 10)
            now = self._clock.monotonic()
            for running in [one for one in self._running.values() if now - one.since > lease / 3]:
                kept = False
                with contextlib.suppress(MailplatError):
                    kept = await self._executors.run("queue", self._queue.renew, running.attempt.leased)
                if kept:
                    running.since = now
                elif self._clock.monotonic() - running.since > lease * 0.9:
                    running.attempt.abandon()

    async def _sweep(self) -> None:
        """Once, what crashes left in the spool; and the database's log every so often."""
        try:
            await self._executors.run("queue", self._queue.sweep)
        except (MailplatError, OSError) as error:
            log.warning("spool not swept", reason=str(error))
        while True:
            try:
                await self._executors.run("queue", self._queue.trim)
            except MailplatError as error:
                log.warning("log of the database not cut back", reason=str(error))
            await asyncio.sleep(self._limits.trim)

    async def _drain(self) -> None:
        if self._running:
            await asyncio.wait(self._running, timeout=self._limits.drain)
        for running in self._running.values():
            running.attempt.abandon()
        if self._running:
            await asyncio.wait(self._running)
