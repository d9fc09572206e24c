"""Workers of the platform as a drill starts, kills and buries them; nursery.py forks them."""

import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from mailplat.bus.embedded import EmbeddedBus
from tests.crash.gate import Gate, Judge
from tests.rig import Rig

ROOT = Path(__file__).resolve().parents[2]

START_S = 30.0


class Nursery:
    """Workers by index."""

    def __init__(self, rig: Rig, count: int = 2, preload: Path | None = None) -> None:
        """`count`: workers that share the doors' ports. `preload`: a library that takes the place of functions of the
        C library (LD_PRELOAD)."""
        self._folder = tempfile.TemporaryDirectory(prefix="crash-bus.")
        self._bus = EmbeddedBus(Path(self._folder.name))
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.crash.nursery",
                rig.config,
                rig.root / "serve.log",
                self._bus.start(),
            ],
            env=rig.environment | ({"LD_PRELOAD": str(preload)} if preload else {}),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._root = rig.root
        self._count = count
        self._log = rig.root / "serve.log"
        self._log.touch()
        self.gates: dict[int, Gate] = {}
        self.workers: dict[int, tuple[int, int]] = {}  # index -> pid, pidfd
        self._grown = False  # it imports while the platform is made

    def start(self, index: int, armed: str = "", judge: Judge | None = None) -> None:
        """Until its doors are open. It may be dead by then, if it was armed. `judge`: who is asked about each of its
        durable system calls, from the first one on."""
        self.start_all({index: armed}, judge)

    def start_all(self, armed: Mapping[int, str], judge: Judge | None = None) -> None:
        """Several at a time: most of a start is waiting."""
        seen = self._log.stat().st_size
        for index, step in armed.items():
            self._launch(index, step, judge)
        deadline = time.monotonic() + START_S
        waiting = set(armed)
        while waiting:
            with open(self._log, "rb") as log:
                log.seek(seen)
                lines = [line for line in log.read().splitlines() if b"ready" in line]
            waiting -= {index for index in waiting if _is_ready(index, lines)}
            for index in [each for each in waiting if self.ended(each)]:
                if not armed[index] and judge is None:
                    raise RuntimeError(f"worker {index} ended:\n{self._log.read_text()[seen:][-2000:]}")
                waiting.discard(index)
            if time.monotonic() > deadline:
                raise RuntimeError(f"workers {waiting} did not start; see {self._log}")
            time.sleep(0.01)

    def _launch(self, index: int, armed: str, judge: Judge | None) -> None:
        pid = (
            self._start_gated(index, judge)
            if judge
            else int(self._ask(f"start {index} {self._count} {armed}"))
        )
        self.workers[index] = pid, os.pidfd_open(pid)

    def _start_gated(self, index: int, judge: Judge) -> int:
        path = Path(self._folder.name) / "gate"
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(os.fspath(path))
            server.listen()
            pid = int(self._ask(f"gate {index} {self._count} {path}"))
            with server.accept()[0] as connection:
                _, descriptors, _, _ = socket.recv_fds(connection, 16, 1)
        self.gates[index] = Gate(descriptors[0], pid, self._root, judge)
        return pid

    def serve(self, roles: Sequence[str], index: int = 0, count: int = 1, arms: Path | None = None) -> int:
        """The pid of a worker with these roles, which stops itself (SIGSTOP) where that folder says so."""
        return int(self._ask(f"serve {','.join(roles)} {index} {count} {arms or ''}"))

    def wait(self, pid: int) -> int:
        """Until a worker has ended; its exit status."""
        return int(self._ask(f"wait {pid}"))

    @property
    def bus(self) -> int:
        """The pid of the bus's server that runs now; 0 for none."""
        return self._bus.pid

    def ended(self, index: int, within: float = 0.0) -> bool:
        return bool(select.select([self.workers[index][1]], [], [], within)[0])

    def kill(self, index: int) -> None:
        os.kill(self.workers[index][0], signal.SIGKILL)

    def stop(self, index: int) -> None:
        os.kill(self.workers[index][0], signal.SIGTERM)

    def bury(self, index: int) -> int:
        """Wait for its end; the exit status."""
        pid, descriptor = self.workers.pop(index)
        os.close(descriptor)
        status = int(self._ask(f"wait {pid}"))
        if index in self.gates:
            self.gates.pop(index).close()
        return status

    def close(self) -> None:
        for index in list(self.workers):
            self.kill(index)
            self.bury(index)
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        self._bus.close()
        self._folder.cleanup()

    def _ask(self, line: str) -> str:
        assert self._process.stdin is not None
        if not self._grown:
            self._read()
            self._grown = True
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if not line:
            raise RuntimeError("the nursery has ended")
        return line


def _is_ready(index: int, lines: Sequence[bytes]) -> bool:
    """What a worker logs when its doors are open."""
    return any(re.search(rb"ready.*worker\W+%d\b" % index, line) for line in lines)
