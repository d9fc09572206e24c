"""From memory into the table, every few seconds."""

import asyncio

import structlog

from mailplat.core.clock import Clock
from mailplat.core.errors import InDoubt, MailplatError
from mailplat.core.executors import Executors
from mailplat.usage.book import UsageBook
from mailplat.usage.meter import HOUR_S, Meter

log = structlog.get_logger("usage")

DAY_S = 86_400


class UsageKeeper:
    """One for a process. `every`: seconds between two commits, and what a crash loses; `days`: how long hours are
    kept."""

    def __init__(
        self, meter: Meter, book: UsageBook, executors: Executors, clock: Clock, *, every: float, days: float
    ) -> None:
        self._meter = meter
        self._book = book
        self._executors = executors
        self._clock = clock
        self._every = every
        self._days = days
        self._prune_at = 0.0  # monotonic

    async def run(self) -> None:
        """Until it is cancelled; then once more, with what sessions that are still open have had."""
        try:
            while True:
                await asyncio.sleep(self._every)
                await self.flush()
                await self._prune()
        finally:
            await self.flush(everything=True)

    async def flush(self, *, everything: bool = False) -> None:
        """What the database does not take now is kept in memory for the next time."""
        counts = self._meter.take(everything=everything)
        if not counts:
            return
        try:
            await self._executors.run("directory", self._book.add, counts)
        except InDoubt as error:
            log.warning("usage perhaps not kept", rows=len(counts), reason=str(error))
        except MailplatError as error:
            lost = self._meter.give_back(counts)
            log.warning("usage not kept yet", rows=len(counts), lost=lost, reason=str(error))

    async def _prune(self) -> None:
        if self._clock.monotonic() < self._prune_at:
            return
        try:
            await self._executors.run("directory", self._book.prune, self._clock.now() - self._days * DAY_S)
        except MailplatError as error:
            log.warning("old usage not removed", reason=str(error))
            return
        self._prune_at = self._clock.monotonic() + HOUR_S
