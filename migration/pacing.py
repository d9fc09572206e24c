"""How hard a legacy platform is worked: a bounded number of connections, and silence when it asks for that. Its own
users come first."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator

from mailplat.core.clock import Clock
from migration.errors import Throttled

# Connections to one backend at once: what imapsync and Dovecot's own limits bear without being noticed.
CONNECTIONS = 4

# After the n-th refusal in a row at most FIRST * 2**(n-1) seconds, with jitter so that not all come back at once.
FIRST_S = 1.0
LONGEST_S = 300.0


def backoff(failures: int, hint: float | None = None) -> float:
    """Seconds to wait after so many failures in a row; never less than the other side asked for."""
    wait = min(LONGEST_S, FIRST_S * 2.0 ** min(failures - 1, 20))
    return max(hint or 0.0, wait * random.uniform(0.5, 1.0))


class Pacer:
    """One for a backend, in one event loop."""

    def __init__(self, clock: Clock, connections: int = CONNECTIONS) -> None:
        self._clock = clock
        self._slots = asyncio.Semaphore(connections)
        self._waiting = 0
        self._failures = 0
        self._quiet_until = 0.0

    @contextlib.asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """The right to one connection. A Throttled that passes through silences the whole backend for a while."""
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1
        try:
            while (left := self.quiet_for) > 0:  # noqa: ASYNC110 - others may prolong it meanwhile
                await asyncio.sleep(left)
            try:
                yield
            except Throttled as error:
                self._failures += 1
                wait = backoff(self._failures, error.retry_after)
                self._quiet_until = max(self._quiet_until, self._clock.monotonic() + wait)
                raise
            self._failures = 0
        finally:
            self._slots.release()

    @property
    def crowded(self) -> bool:
        """Others wait for a connection."""
        return self._waiting > 0

    @property
    def quiet_for(self) -> float:
        """Seconds that the backend is left alone from now on."""
        return max(0.0, self._quiet_until - self._clock.monotonic())
