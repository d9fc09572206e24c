"""The forwarded sessions of one process, by account: they end when the account's route changes.

A session enters before its route is read for the last time, so that between that reading and its end no change can
pass it by.
"""

import asyncio
from collections import defaultdict

import structlog

from mailplat.core.errors import StaleEpoch
from mailplat.core.executors import Executors
from mailplat.core.route import BackendHome, Door, Route
from mailplat.directory import Directory

log = structlog.get_logger("proxy")

# How long a session gets to tell its client and close, before it is cut off.
GRACE_S = 2.0


class Ending:
    """One forwarded session's end: set by us, awaited by it; and its answer, that both sides are closed."""

    def __init__(self, account_id: int, backend: str) -> None:
        self.account_id = account_id
        self.backend = backend
        self.wanted = asyncio.Event()
        self.done = asyncio.Event()


class ForwardedSessions:
    """A RouteHandler (directory.watch). `enter` and `leave` are called by the proxy."""

    def __init__(self, directory: Directory, executors: Executors) -> None:
        self._directory = directory
        self._executors = executors
        self._by_account: defaultdict[int, set[Ending]] = defaultdict(set)

    def __len__(self) -> int:
        return sum(map(len, self._by_account.values()))

    async def enter(self, account_id: int, backend: str) -> Ending:
        """Raises StaleEpoch when the account is not on that backend any more: log in again."""
        ending = Ending(account_id, backend)
        self._by_account[account_id].add(ending)
        try:
            route = await self._executors.run("directory", self._directory.route, account_id)
            if _ends(route, backend):
                raise StaleEpoch(f"account {account_id} is no longer on {backend}")
        except BaseException:
            self.leave(ending)
            raise
        return ending

    def leave(self, ending: Ending) -> None:
        ending.done.set()
        there = self._by_account[ending.account_id]
        there.discard(ending)
        if not there:
            del self._by_account[ending.account_id]

    async def route_changed(self, route: Route) -> None:
        """When this returns, no session of the account reaches a backend that is not its home."""
        await self._end(
            [ending for ending in self._by_account.get(route.account_id, ()) if _ends(route, ending.backend)]
        )

    async def lease_lost(self) -> None:
        await self._end([ending for there in self._by_account.values() for ending in there])

    async def close(self) -> None:
        """The process leaves."""
        await self.lease_lost()

    async def _end(self, endings: list[Ending]) -> None:
        for ending in endings:
            ending.wanted.set()
        if endings:
            log.info("forwarded sessions ended", accounts=len({ending.account_id for ending in endings}))
            await asyncio.gather(*(ending.done.wait() for ending in endings))


def _ends(route: Route, backend: str) -> bool:
    return route.door is not Door.FORWARD or route.home != BackendHome(backend)
