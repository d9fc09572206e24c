"""Workers of the platform without a new start of Python for each: a process that has imported everything, and forks.

    python -m tests.crash.nursery CONFIG LOG BUS     reads lines, answers each with one
        start INDEX WORKERS [STEP:N]             a worker, armed to die behind that step (core/disk.py); its pid
        gate INDEX WORKERS SOCKET                a worker whose system calls wait for us (gate.py); its pid
        serve ROLES INDEX WORKERS [FOLDER]       a worker with these roles that stops itself (SIGSTOP) where FOLDER
                                                 has an arm (Arms): whoever put it there decides how it goes on
        wait PID                                 until it has ended; its exit status, -9 for a kill

What it forks is what `mailplat serve --workers N` starts: mailplat.app.worker, with doors on shared ports.
"""

import ctypes
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import structlog

from mailplat.app import log
from mailplat.app.settings import load
from mailplat.app.supervisor import PR_SET_PDEATHSIG
from mailplat.app.worker import run_worker
from mailplat.core import disk
from mailplat.store import upkeep
from migration import role as _role  # noqa: F401 - a worker that is forked has it already
from tests.crash import gate

ROLES = ("ingress", "access", "queue")

# Behind a gate the files' names follow at once: a short script then meets the namer's calls too.
GATED_DELAY_S = 0.05


class Arms:
    """In the place of `disk.step`: whoever of several processes comes with ACCOUNT to STEP, where the folder has a
    file ACCOUNT:STEP, makes that its own (its name is then the PID) and stops itself."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._one_at_a_time = threading.Lock()

    def __call__(self, name: str) -> None:
        account = structlog.contextvars.get_contextvars().get("account")
        if not account:
            return
        arm = self._folder / f"{account}:{name}"
        with self._one_at_a_time:
            mine = self._folder / str(os.getpid())
            try:
                arm.rename(mine)  # of several that come there, one
            except FileNotFoundError:
                return
            os.kill(os.getpid(), signal.SIGSTOP)


def grow(
    config: Path,
    output: Path,
    bus: str,
    index: int,
    workers: int,
    *,
    roles: Sequence[str] = ROLES,
    arms: str = "",
    armed: str = "",
    gated: str = "",
) -> NoReturn:
    """The child: a worker from here on. `gated`: the socket that wants the gate's descriptor."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for number in (1, 2):
        os.dup2(descriptor, number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ[disk.DIE_AT] = armed
    disk._armed = disk._plan()  # as it would be read when a process starts
    if arms:
        disk.step = Arms(Path(arms))
    if gated:
        upkeep.DELAY_S = GATED_DELAY_S
        with socket.socket(socket.AF_UNIX) as parent:
            parent.connect(gated)
            listener = gate.listen()
            socket.send_fds(parent, [b"gate"], [listener])
            os.close(listener)
    status = 1
    try:
        settings = load(config)
        log.configure(settings.log.level, settings.log.format)
        status = run_worker(settings, roles, index=index, workers=workers, bus_url=bus)
    finally:
        os._exit(status)


def main() -> None:
    config, output = map(Path, sys.argv[1:3])
    bus = sys.argv[3]
    print("ready", flush=True)
    for line in sys.stdin:
        match line.split():
            case ["start", index, workers, *armed]:
                pid = os.fork()
                if pid == 0:
                    grow(config, output, bus, int(index), int(workers), armed="".join(armed))
                print(pid, flush=True)
            case ["gate", index, workers, gated]:
                pid = os.fork()
                if pid == 0:
                    grow(config, output, bus, int(index), int(workers), gated=gated)
                print(pid, flush=True)
            case ["serve", roles, index, workers, *arms]:
                pid = os.fork()
                if pid == 0:
                    wanted, folder = roles.split(","), "".join(arms)
                    grow(config, output, bus, int(index), int(workers), roles=wanted, arms=folder)
                print(pid, flush=True)
            case ["wait", pid]:
                print(os.waitstatus_to_exitcode(os.waitpid(int(pid), 0)[1]), flush=True)
            case _:
                raise SystemExit(f"not understood: {line!r}")


if __name__ == "__main__":
    main()
