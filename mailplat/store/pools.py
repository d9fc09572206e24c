"""What a pool has in the other shards: read from their indexes, at most POOL_LEASE_S old.

Each shard has a thread that reads it, so that one that stalls keeps nobody waiting: who asks waits POOL_PATIENCE_S
for a first or newer figure, and goes by the last one known where that does not come (0 where there never was one). A
stalled or closed shard takes no mail either: its last figure is true until it comes back.
"""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait

import structlog

from mailplat.core.errors import MailplatError

log = structlog.get_logger(__name__)

# How old a figure of another shard may be: what a pool can be overrun by is what those take in this time.
POOL_LEASE_S = 3.0

# How long an append waits for a newer one; a read of one row takes well below a millisecond where the disk answers.
POOL_PATIENCE_S = 0.25

Read = Callable[[str, str], int]  # octets, by shard and pool


class Elsewhere:
    """For threads. `names` are the shards that there are, and may grow."""

    def __init__(self, names: Iterable[str], read: Read, monotonic: Callable[[], float]) -> None:
        self._names = names
        self._read = read
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._readings: dict[str, _Readings] = {}
        self._closed = False

    def octets(self, pool: str, here: str) -> int:
        """Of a pool, in every shard but `here`."""
        others = [self._of(name) for name in self._names if name != here]
        waited = [future for each in others if (future := each.ask(pool)) is not None]
        if waited:
            wait(waited, POOL_PATIENCE_S)
        return sum(each.octets(pool) for each in others)

    def close(self) -> None:
        """Waits for nobody: a shard may be stalled."""
        with self._lock:
            self._closed = True
            for each in self._readings.values():
                each.close()

    def _of(self, name: str) -> "_Readings":
        with self._lock:
            found = self._readings.get(name)
            if found is None:
                found = self._readings[name] = _Readings(name, self._read_open, self._monotonic)
            return found

    def _read_open(self, name: str, pool: str) -> int | None:
        return None if self._closed else self._read(name, pool)


class _Readings:
    """Of one shard."""

    def __init__(
        self, name: str, read: Callable[[str, str], int | None], monotonic: Callable[[], float]
    ) -> None:
        self._name = name
        self._read = read
        self._monotonic = monotonic
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"{name}-pools")
        self._lock = threading.Lock()
        self._known: dict[str, tuple[int, float]] = {}  # octets, when they were asked for
        self._asked: dict[str, Future[None]] = {}
        self._since: float | None = None  # the oldest question that is not answered
        self._failing = False

    def octets(self, pool: str) -> int:
        with self._lock:
            return self._last(pool)

    def ask(self, pool: str) -> "Future[None] | None":
        """What to wait for; None where the figure is new enough, or nobody answers here."""
        now = self._monotonic()
        with self._lock:
            known = self._known.get(pool)
            if known is not None and now - known[1] < POOL_LEASE_S:
                return None
            stalled = self._since is not None and now - self._since > POOL_PATIENCE_S
            future = self._asked.get(pool)
            if future is None:
                try:
                    future = self._asked[pool] = self._thread.submit(self._look, pool)
                except RuntimeError:  # closed
                    return None
                self._since = now if self._since is None else self._since
            return None if stalled else future

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _look(self, pool: str) -> None:
        began = self._monotonic()
        octets, trouble = None, ""
        try:
            octets = self._read(self._name, pool)
        except MailplatError as error:
            trouble = str(error)
        with self._lock:
            # A shard that refuses is asked again after the lease, not by each append.
            self._known[pool] = (self._last(pool) if octets is None else octets), began
            self._asked.pop(pool, None)
            self._since = self._monotonic() if self._asked else None
        if bool(trouble) is not self._failing:
            self._failing = bool(trouble)
            log.warning(
                "pools of a shard cannot be read", shard=self._name, reason=trouble or "it answers again"
            )

    def _last(self, pool: str) -> int:
        return self._known.get(pool, (0, 0.0))[0]
