"""Relays on their way, by account: what a fence waits for."""

import asyncio
from collections import defaultdict
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


class Abandoned(Exception):
    """Stopped before the final dot: the remote has nothing, the recipients wait for their new route."""


class Flight:
    """One relay, from before its routes were read until its outcome is known. `commit` is passed once, right
    before the final dot; after it the flight can only be waited for."""

    def __init__(self, accounts: Iterable[int]) -> None:
        self.accounts = frozenset(accounts)
        self.committed = False
        self.abandoned = False
        self.landed = asyncio.Event()
        self._task: asyncio.Future[Any] | None = None

    def commit(self) -> None:
        """Raises Abandoned."""
        if self.abandoned:
            raise Abandoned
        self.committed = True

    def abandon(self) -> None:
        """Stop it, unless the final dot is out."""
        if not self.committed and not self.abandoned:
            self.abandoned = True
            if self._task is not None:
                self._task.cancel()

    async def carry(self, work: Coroutine[Any, Any, T]) -> T:
        """Do the work so that abandon() stops it. Raises Abandoned."""
        if self.abandoned:
            work.close()
            raise Abandoned
        task = asyncio.ensure_future(work)
        self._task = task
        try:
            return await task
        except asyncio.CancelledError:
            if not self.abandoned:  # it is we who are cancelled
                task.cancel()
                raise
            raise Abandoned from None


class Flights:
    """One for a process; for one event loop."""

    def __init__(self) -> None:
        self._by_account: dict[int, set[Flight]] = defaultdict(set)
        self._all: set[Flight] = set()

    def start(self, accounts: Iterable[int]) -> Flight:
        flight = Flight(accounts)
        self._all.add(flight)
        for account in flight.accounts:
            self._by_account[account].add(flight)
        return flight

    def land(self, flight: Flight) -> None:
        self._all.discard(flight)
        for account in flight.accounts:
            there = self._by_account[account]
            there.discard(flight)
            if not there:
                del self._by_account[account]
        flight.landed.set()

    def of(self, account_id: int) -> frozenset[Flight]:
        return frozenset(self._by_account.get(account_id, ()))

    def all(self) -> frozenset[Flight]:
        return frozenset(self._all)

    async def clear(self, account_id: int, patience: float) -> None:
        """Return when nothing that is on its way to the account now is so any more. What did not end by
        itself within `patience` seconds is abandoned; what has passed its final dot is waited for, as long as
        the caller wants."""
        flights = self.of(account_id)
        if not flights:
            return
        landing = asyncio.gather(*(flight.landed.wait() for flight in flights))
        try:
            async with asyncio.timeout(patience):
                await asyncio.shield(landing)
        except TimeoutError:
            for flight in flights:
                flight.abandon()
            await landing
        finally:
            landing.cancel()
