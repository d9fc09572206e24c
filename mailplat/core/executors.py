"""Named, bounded thread pools: blocking work never runs on the event loop.

Every pool has a size and a reason for it; work that waits for a free thread waits in order. Synchronous rooms
(directory, queue, store) are called by the doors as `await executors.run("store", shard.flags, ...)`.
"""

import asyncio
import functools
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

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
}


class Executors:
    """One per process. `sizes` overrides SIZES by name; an unknown pool name is a KeyError (a bug)."""

    def __init__(self, sizes: Mapping[str, int] | None = None) -> None:
        merged = {**SIZES, **(sizes or {})}
        self._pools = {
            name: ThreadPoolExecutor(size, thread_name_prefix=name) for name, size in merged.items()
        }

    async def run(self, pool: str, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run in a thread of the named pool. When the awaiting task is cancelled the function still runs to
        its end: a store in progress is never torn."""
        call = functools.partial(function, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._pools[pool], call)

    def close(self) -> None:
        """Wait for what runs, drop what waits."""
        for pool in self._pools.values():
            pool.shutdown(wait=True, cancel_futures=True)
