"""The forwarded sessions of one process, by account: they end when the account's route changes.

A session enters before its route is read for the last time, so that between that reading and its end no change can
pass it by; and only while this process holds its lease (directory/watch.py), since a fence does not wait for a
process that is silent.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable

import structlog

from mailplat.core.errors import StaleEpoch, Unavailable
from mailplat.core.executors import Executors
from mailplat.core.route import BackendHome, Door, Route
from mailplat.directory import Directory
from mailplat.directory.watch import RouteWatch

log = structlog.get_logger("proxy")


class Ending:
    """One forwarded session's end: wanted by us, awaited by it; and its answer, that nothing of it reaches the
    backend any more."""

    def __init__(self, account_id: int, backend: str) -> None:
        self.account_id = account_id
        self.backend = backend
        self.wanted = asyncio.Event()
        self.urgent = False  # no time for a session that is about to end by itself
        self.done = asyncio.Event()

    def want(self, *, urgent: bool) -> None:
        self.urgent = self.urgent or urgent
        self.wanted.set()


class ForwardedSessions:
    """A RouteHandler, registered with its `watch`. `enter` and `leave` are called by the proxy. Without a watch (one
    process alone, whose routes nobody changes) no lease is asked for."""

    def __init__(self, directory: Directory, executors: Executors, watch: RouteWatch | None = None) -> None:
        self._directory = directory
        self._executors = executors
        self._watch = watch
        self._by_account: defaultdict[int, set[Ending]] = defaultdict(set)
        if watch is not None:
            watch.register(self)

    def __len__(self) -> int:
        return sum(map(len, self._by_account.values()))

    async def enter(self, account_id: int, backend: str) -> Ending:
        """Raises StaleEpoch when the account is not on that backend any more (log in again), Unavailable while this
        process may be blind to changes of routes."""
        ending = Ending(account_id, backend)
        self._by_account[account_id].add(ending)
        try:
            route = await self._executors.run("directory", self._directory.route, account_id)
            if _ends(route, backend):
                raise StaleEpoch(f"account {account_id} is no longer on {backend}")
            # After the reading: a lease that is lost later ends the session, one that was lost before does not.
            if self._watch is not None and not self._watch.healthy:
                raise Unavailable(
                    "no session is forwarded while this process cannot follow changes of routes"
                )
        except BaseException:
            self.leave(ending)
            raise
        return ending

    def leave(self, ending: Ending) -> None:
        """Idempotent."""
        ending.done.set()
        there = self._by_account.get(ending.account_id)
        if there is not None:
            there.discard(ending)
            if not there:
                del self._by_account[ending.account_id]

    async def route_changed(self, route: Route) -> None:
        """When this returns, no session of the account reaches a backend that is not its home."""
        there = self._by_account.get(route.account_id, ())
        await self._end([ending for ending in there if _ends(route, ending.backend)], urgent=False)

    async def lease_lost(self) -> None:
        await self._end(self._all(), urgent=True)

    async def close(self) -> None:
        """The process leaves."""
        await self._end(self._all(), urgent=False)

    def _all(self) -> list[Ending]:
        return [ending for there in self._by_account.values() for ending in there]

    async def _end(self, endings: Iterable[Ending], *, urgent: bool) -> None:
        ended = list(endings)
        for ending in ended:
            ending.want(urgent=urgent)
        if ended:
            log.info("forwarded sessions end", accounts=len({ending.account_id for ending in ended}))
            await asyncio.gather(*(ending.done.wait() for ending in ended))


def _ends(route: Route, backend: str) -> bool:
    return route.door is not Door.FORWARD or route.home != BackendHome(backend)
