"""The parent of several workers: starts them, starts one again that died, passes on the wish to stop.

Each worker is a process of its own that runs every door; the kernel spreads connections over them
(SO_REUSEPORT). The parent holds no mail, no lock and no connection, so that nothing is lost with it; a worker
ends by itself when its parent is gone (PR_SET_PDEATHSIG where the system has it).
"""

import asyncio
import ctypes
import gc
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import structlog

from mailplat.admin import metrics
from mailplat.app.settings import Settings
from mailplat.bus.embedded import EmbeddedBus

log = structlog.get_logger("supervisor")

# A worker that dies again and again waits longer each time, so that the log stays readable and the machine usable.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 10.0
# A worker that lived this long was healthy: its next death starts at the first pause again.
HEALTHY_S = 30.0

PR_SET_PDEATHSIG = 1
_M_ARENA_MAX = -8  # malloc.h

# New objects that may hold others between two looks at the young ones for cycles; some 5 MB.
_YOUNG = 20_000


def count(settings: Settings) -> int:
    """How many workers: the setting, or one a core."""
    return settings.platform.workers or os.cpu_count() or 1


def die_with_parent() -> None:
    """In a worker: ask Linux for SIGTERM when the supervisor is gone."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def use_one_arena() -> None:
    """Before the first thread starts: glibc would give each of our dozens of threads a heap of its own, which keeps
    what was freed in it; a worker under steady load then grew by 4 MB a minute. Threads that run Python take turns
    anyway, and so one heap serves them as fast."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # not every C library has it, nor the habit
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)


def collect_rarely() -> None:
    """Once what a process needs is imported: Python looks for cycles among young objects each 700 that are new, and
    now and then among all there are. Ours are many, live short and hold few cycles: it took a fifteenth of the time
    of a copy. What the process began with is never looked at again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, *gc.get_threshold()[1:])


async def supervise(config: Path, settings: Settings, workers: int, roles: Sequence[str]) -> int:
    """Run until SIGTERM or SIGINT; 0 when every worker drained in time."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    embedded = None if settings.bus.url else EmbeddedBus(settings.platform.data_dir / "run")
    bus_url = embedded.start() if embedded else settings.bus.url
    metrics.share(settings.platform.data_dir / "run" / "metrics")
    try:
        results = await asyncio.gather(
            *(
                _keep_running(config, settings, index, workers, roles, bus_url, stop)
                for index in range(workers)
            )
        )
    finally:
        if embedded:
            embedded.close()
    return max(results)


async def _keep_running(
    config: Path,
    settings: Settings,
    index: int,
    workers: int,
    roles: Sequence[str],
    bus_url: str,
    stop: asyncio.Event,
) -> int:
    loop = asyncio.get_running_loop()
    pause = FIRST_PAUSE_S
    stopped = asyncio.ensure_future(stop.wait())
    while True:
        began = loop.time()
        command = [
            sys.executable,
            "-m",
            "mailplat.app.worker",
            str(config),
            f"--index={index}",
            f"--workers={workers}",
            f"--bus={bus_url}",
        ]
        process = await asyncio.create_subprocess_exec(*command, *(f"--role={role}" for role in roles))
        ended = asyncio.ensure_future(process.wait())
        await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            return await _stop(process, ended, settings.platform.drain_timeout)
        if loop.time() - began > HEALTHY_S:
            pause = FIRST_PAUSE_S
        metrics.forget(process.pid)
        log.error("worker died; starting it again", worker=index, status=process.returncode, pause_s=pause)
        await asyncio.wait({stopped}, timeout=pause)
        if stop.is_set():
            return 0
        pause = min(pause * 2, LONGEST_PAUSE_S)


async def _stop(process: asyncio.subprocess.Process, ended: "asyncio.Future[int]", timeout: float) -> int:
    if process.returncode is None:
        process.terminate()
    # The worker drains for `timeout` by itself; the margin is for closing databases.
    done, _ = await asyncio.wait({ended}, timeout=timeout + 5.0)
    if not done:
        log.error("worker did not stop in time; killing it", pid=process.pid)
        process.kill()
        await ended
        return 1
    return 0 if ended.result() == 0 else 1
