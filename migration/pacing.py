"""How hard a legacy platform is worked: a bounded number of connections, no more than its latency bears, and silence
when it asks for that. Its own users come first.

The latency is that of a small command which users' clients send all day (STATUS), measured on a connection of its own
once a second while something is copied. Held at the target is not a number of connections but the mean number of
batches under way at once: a connection that is to be spared rests after each batch and stays logged in. The rule is
that of TCP (slow increase, multiplicative decrease) and not the PID of Slacker (EDBT 2012): it needs no constants
that fit one platform, and several workers that follow it by themselves, each with its own share, do not swing.
"""

import asyncio
import contextlib
import random
import statistics
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable

import structlog
from prometheus_client import Gauge

from mailplat.admin.metrics import registry
from mailplat.core.clock import Clock
from mailplat.core.errors import MailplatError
from migration.errors import Throttled

log = structlog.get_logger("migration")

_latency = Gauge(
    "mailplat_legacy_latency_seconds",
    "How long a legacy platform took for a small command while it was copied from, by backend; +Inf: no answer",
    ("backend",),
    registry=registry,
    multiprocess_mode="mostrecent",
)
_share = Gauge(
    "mailplat_legacy_batches",
    "Batches under way at once, in the mean, that a legacy platform's latency allows, by backend",
    ("backend",),
    registry=registry,
    multiprocess_mode="livesum",
)

# After the n-th refusal in a row at most FIRST * 2**(n-1) seconds, with jitter so that not all come back at once.
FIRST_S = 1.0
LONGEST_S = 300.0

# Seconds between two measurements. The median of the last few counts: one slow answer is nobody's load.
PROBE_S = 1.0
MEASURED = 3

# Share of one connection below which copying does not fall: so it is known when the platform has recovered.
LEAST = 0.05
# By what the share grows with each answer in time: of what it is, and at most of the most that there may be. Steps
# are small where the share is small, so that a platform that bears little does not swing.
GROWTH = 0.15
LARGEST_GROWTH = 0.05
# The most that one answer takes away.
CUT = 0.5
# Seconds that one rest lasts at most; then it is seen anew what is borne.
REST_S = 10.0

# Share of a backend's connections, in the mean, for rounds over accounts that only wait for their cutover: what
# copies, and the backend's own users, come first. A cutover makes a round of its own before its fence.
WAITING_SHARE = 0.1
# Seconds of a round that count at most: one that took longer met a platform that hung, and says nothing of the next.
COUNTED_S = 1.0


def backoff(failures: int, hint: float | None = None) -> float:
    """Seconds to wait after so many failures in a row; never less than the other side asked for."""
    wait = min(LONGEST_S, FIRST_S * 2.0 ** min(failures - 1, 20))
    return max(hint or 0.0, wait * random.uniform(0.5, 1.0))


def pause_between(worked: float, waiting: int, connections: int) -> float:
    """Seconds until an account that waits is looked at again, where a round took `worked` seconds and so many
    accounts of the backend wait. At most LONGEST_S: what came since is what the cutover has to bring."""
    return min(LONGEST_S, waiting * min(worked, COUNTED_S) / (WAITING_SHARE * connections))


class Controller:
    """`target` in seconds; 0: nothing is held back. `most`: batches at once, as many as connections."""

    def __init__(self, target: float, most: int) -> None:
        self.target = target
        self.most = float(most)
        self.share = self.most  # batches under way at once, in the mean
        self.latency = 0.0  # as of the last measurements
        self._measured: deque[float] = deque(maxlen=MEASURED)

    def measured(self, seconds: float) -> None:
        """How long a small command took; a platform that did not answer took for ever: math.inf."""
        if not self.target:
            return
        self._measured.append(seconds)
        self.latency = statistics.median(self._measured)
        if self.latency > self.target:
            self.share = max(LEAST, self.share * max(CUT, self.target / self.latency))
        else:
            self.share = min(self.most, self.share + min(GROWTH * self.share, LARGEST_GROWTH * self.most))

    def rest(self, worked: float, active: int) -> float:
        """Seconds to rest after `worked` seconds, where `active` connections copy."""
        return min(REST_S, max(0.0, worked * (active / self.share - 1.0)))


class Pacer:
    """One for a backend, in one event loop."""

    def __init__(self, clock: Clock, connections: int, latency: float = 0.0) -> None:
        self.connections = connections
        self.controller = Controller(latency, connections)
        self._clock = clock
        self._line: deque[asyncio.Future[None]] = deque()  # who waits for a connection, the first come first
        self._active = 0
        self._failures = 0
        self._quiet_until = 0.0

    @contextlib.asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """The right to one connection. A Throttled that passes through silences the whole backend for a while."""
        await self._take()
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
            self._active -= 1
            self._admit()

    async def _take(self) -> None:
        if self._active < self.connections and not self._line:
            self._active += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._line.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it came at this moment; somebody else's now
                self._active -= 1
                self._admit()
            raise

    def _admit(self) -> None:
        while self._line and self._active < self.connections:
            turn = self._line.popleft()
            if not turn.done():
                self._active += 1
                turn.set_result(None)

    def limit(self, connections: int, latency: float) -> None:
        """From now on. What is under way is not broken off."""
        controller = self.controller
        if (connections, latency) == (self.connections, controller.target):
            return
        self.connections = connections
        controller.target, controller.most = latency, float(connections)
        # Where nothing is measured nothing would let the share grow.
        controller.share = min(controller.share, controller.most) if latency else controller.most
        self._admit()

    @property
    def crowded(self) -> bool:
        """Others wait for a connection."""
        return any(not turn.done() for turn in self._line)

    @property
    def active(self) -> bool:
        """Somebody has a connection."""
        return self._active > 0

    @property
    def quiet_for(self) -> float:
        """Seconds that the backend is left alone from now on."""
        return max(0.0, self._quiet_until - self._clock.monotonic())

    def turns(self) -> "Turns":
        """For one account that is being copied."""
        return Turns(self._clock, lambda worked: self.controller.rest(worked, self._active))

    async def watch(self, backend: str, probe: Callable[[], Awaitable[float]]) -> None:
        """Measure while somebody has a connection. `probe`: seconds that one small command took; raises what a
        source raises."""
        while self.active:
            before = self.controller.share
            try:
                self.controller.measured(await probe())
            except MailplatError as error:
                self.controller.measured(float("inf"))
                log.warning("latency cannot be measured", backend=backend, reason=str(error))
            _latency.labels(backend).set(self.controller.latency)
            _share.labels(backend).set(self.controller.share)
            if before > LEAST >= self.controller.share:
                log.warning(
                    "a legacy platform is slow; copying from it all but stops",
                    backend=backend,
                    latency_s=round(self.controller.latency, 3),
                    target_s=self.controller.target,
                )
            await asyncio.sleep(PROBE_S)


class Turns:
    """Work and rest of one account."""

    def __init__(self, clock: Clock, rest: Callable[[float], float]) -> None:
        self._clock = clock
        self._rest = rest
        self._since = clock.monotonic()

    async def rest(self) -> None:
        """After a batch."""
        wait = self._rest(self._clock.monotonic() - self._since)
        if wait > 0:
            await asyncio.sleep(wait)
        self._since = self._clock.monotonic()
