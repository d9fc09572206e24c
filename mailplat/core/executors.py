"""Named, bounded thread pools: blocking work never runs on the event loop.

Every pool has a size and a reason for it; work that waits for a free thread waits in order. Synchronous rooms
(directory, queue, store) are called by the doors as `await executors.run("store/s1", shard.flags, ...)`.

A name may have a lane behind a slash: "store/s1" has threads of its own, as many as "store" says. What can stall by
itself (a shard's disk) has its lane, so that it takes no thread from the others; and while nothing of a lane that is
full has come to an end for PATIENCE_S, new work for it is refused at once instead of waiting too.
"""

import asyncio
import functools
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, ParamSpec, TypeVar

from mailplat.core.errors import Unavailable

P = ParamSpec("P")
T = TypeVar("T")

SIZES: Mapping[str, int] = {
    "directory": 4,  # short look-ups in one database; more threads only wait for its lock
    "queue": 4,
    "store": 8,  # reads of index and files
    "spool": 16,  # fsync waits on the disk, not on us: this many can share one journal commit
    "bulk": 1,  # many messages of one append: Python works on one at a time whatever the number of threads, and two
    # that write small files only hand the interpreter's lock to and fro
    "password": 2,  # argon2id: 64 MiB and 0.25 s of one core each
    "mailauth": 2,  # DKIM and SPF: CPU
    "migration": 4,
    "workflows": 2,  # DBOS repeats a call as long as its database is away: that is to keep no ledger waiting
    "maildir": 4,  # files of a legacy platform, a lane for each mount: no more accounts of one are copied
    # at a time (migration/pacing.py)
    "quota": 1,  # looks for warnings; a shard that stalls shall lose one thread to it, and none that clients wait for
}

# Seconds. A disk that has not answered a read for so long will not answer the next one either.
PATIENCE_S = 15.0


class Unanswered(Unavailable):
    """Work was given up that may still be done."""


class Executors:
    """One per process. `sizes` overrides SIZES by name; an unknown pool name is a KeyError (a bug)."""

    def __init__(self, sizes: Mapping[str, int] | None = None, *, patience: float = PATIENCE_S) -> None:
        self._sizes = {**SIZES, **(sizes or {})}
        self._patience = patience
        self._lanes = {name: _Lane(name, size) for name, size in self._sizes.items()}
        self._lock = threading.Lock()

    async def run(self, pool: str, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run in a thread of the named pool. When the awaiting task is cancelled the function still runs to
        its end: a store in progress is never torn. Raises Unavailable where the lane is stalled."""
        return await self._start(pool, functools.partial(function, *args, **kwargs))

    async def ask(self, pool: str, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """As `run`, for what may be given up: raises Unanswered when it has not come to an end in time. It runs on;
        what it returns then is dropped."""
        return await self.ask_or_undo(pool, lambda _: None, function, *args, **kwargs)

    async def ask_or_undo(
        self,
        pool: str,
        undo: Callable[[T], object],
        function: Callable[P, T],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """As `ask`; `undo` is called in the thread with what the function returns after it was given up."""
        question = _Question(functools.partial(function, *args, **kwargs), undo)
        future = self._start(pool, question.work)
        done, _ = await asyncio.wait({future}, timeout=self._patience)
        if not done and question.give_up():
            future.add_done_callback(lambda late: late.cancelled() or late.exception())
            raise Unanswered(f"{pool} has not answered for {self._patience:.0f} s")
        return await future

    def close(self) -> None:
        """Wait for what runs, drop what waits."""
        for lane in list(self._lanes.values()):
            lane.threads.shutdown(wait=True, cancel_futures=True)

    def _start(self, pool: str, call: Callable[[], T]) -> "asyncio.Future[T]":
        lane = self._lanes.get(pool) or self._open(pool)
        if "/" in pool and lane.stalled_for() > self._patience:
            raise Unavailable(f"{pool} does not answer; nothing more is asked of it until it does")
        return asyncio.get_running_loop().run_in_executor(lane.threads, lane.run, call)

    def _open(self, pool: str) -> "_Lane":
        with self._lock:
            lane = self._lanes.get(pool)
            if lane is None:
                lane = self._lanes[pool] = _Lane(pool, self._sizes[pool.partition("/")[0]])
            return lane


class _Question(Generic[T]):
    """Work that is either answered or given up, never both."""

    def __init__(self, call: Callable[[], T], undo: Callable[[T], object]) -> None:
        self._call = call
        self._undo = undo
        self._settled = threading.Lock()  # taken by whoever comes first, for good

    def work(self) -> T:
        result = self._call()
        if not self._settled.acquire(blocking=False):
            self._undo(result)
        return result

    def give_up(self) -> bool:
        """False where the answer is there already."""
        return self._settled.acquire(blocking=False)


class _Lane:
    def __init__(self, name: str, size: int) -> None:
        self.threads = ThreadPoolExecutor(size, thread_name_prefix=name)
        self._size = size
        self._began: dict[int, float] = {}  # of what runs, by thread

    def run(self, call: Callable[[], T]) -> T:
        me = threading.get_ident()
        self._began[me] = time.monotonic()
        try:
            return call()
        finally:
            del self._began[me]

    def stalled_for(self) -> float:
        """Seconds since the youngest work began, where every thread has some; else 0."""
        began = tuple(self._began.values())
        return time.monotonic() - max(began) if len(began) >= self._size else 0.0
