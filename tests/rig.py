"""A whole platform as its users meet it: a directory made by `mailplat init --dev`, a `mailplat serve` process on
free loopback ports, and the command line. Used by the end-to-end tests, the demo and the benchmarks."""

import contextlib
import io
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from mailplat.app.cli import main

# For `environment`: one process and no bus. A start costs half of what two workers and their parent take.
ONE_WORKER = {"MAILPLAT_PLATFORM__WORKERS": "1"}

DOORS = ("smtp", "lmtp", "imap", "imaps", "pop3", "pop3s", "http")

# A start includes Python's imports on a shared machine; a stop includes draining.
START_TIMEOUT_S = 40.0
STOP_TIMEOUT_S = 40.0


# Below what the kernel gives to clients (ip_local_port_range starts at 32768 or above): a port that is free now is
# not taken by some connection before the server under test has opened it.
_PORTS = range(10240, 32768)
_next_port = random.SystemRandom().choice(_PORTS)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now, none of them given twice by this process."""
    global _next_port
    found: list[int] = []
    for _ in _PORTS:
        if len(found) == count:
            return found
        _next_port = _next_port + 1 if _next_port + 1 in _PORTS else _PORTS[0]
        with contextlib.suppress(OSError), socket.socket() as sock:
            sock.bind(("127.0.0.1", _next_port))
            found.append(_next_port)
    raise RuntimeError(f"no {count} free ports in {_PORTS}")


class Rig:
    """One platform in `root`. `environment` overrides settings (MAILPLAT_SECTION__KEY=value)."""

    def __init__(
        self, root: Path, name: str = "mx.example.test", *, environment: dict[str, str] | None = None
    ) -> None:
        self.root = root
        self.config = root / "mailplat.toml"
        self.ports = dict(zip(DOORS, free_ports(len(DOORS)), strict=True))
        listen = {
            f"MAILPLAT_LISTEN__{door.upper()}": json.dumps([f"127.0.0.1:{port}"])
            for door, port in self.ports.items()
        }
        self.environment = {
            **os.environ,
            **listen,
            "MAILPLAT_PLATFORM__HOSTNAME": name,
            **(environment or {}),
        }
        self.process: subprocess.Popen[bytes] | None = None
        self.call("init", "--dev", str(root))

    def run(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        """One command; its standard output. A failure raises with what it said on standard error."""
        done = self.attempt(*arguments, stdin=stdin)
        if check and done.returncode != 0:
            raise RuntimeError(
                f"mailplat {' '.join(arguments)}: exit status {done.returncode}: {done.stderr.strip()}"
            )
        return done.stdout

    def call(self, *arguments: str, stdin: str = "") -> str:
        """As `run`, inside this process: no second start of Python. For many commands in a row; not for threads."""
        output, complaints = io.StringIO(), io.StringIO()
        settings = {name: value for name, value in self.environment.items() if name.startswith("MAILPLAT_")}
        with (
            mock.patch.dict(os.environ, {**settings, "MAILPLAT_CONFIG": str(self.config)}),
            mock.patch("sys.stdin", io.StringIO(stdin)),
            contextlib.redirect_stdout(output),
            contextlib.redirect_stderr(complaints),
        ):
            status = main(arguments)
        if status != 0:
            raise RuntimeError(
                f"mailplat {' '.join(arguments)}: exit status {status}: {complaints.getvalue()}"
            )
        return output.getvalue()

    def attempt(self, *arguments: str, stdin: str | None = None) -> "subprocess.CompletedProcess[str]":
        environment = dict(self.environment)
        if arguments[0] != "init":
            environment["MAILPLAT_CONFIG"] = str(self.config)
        return subprocess.run(
            [sys.executable, "-m", "mailplat", *arguments],
            env=environment,
            input=stdin if stdin is not None else "",
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def query(self, *arguments: str) -> Any:
        """A command with --json, parsed."""
        return json.loads(self.call(*arguments, "--json"))

    def start(self, *arguments: str, within: float = START_TIMEOUT_S) -> None:
        """`mailplat serve`, until every door answers."""
        assert self.process is None, "it runs already"
        with open(self.root / "serve.log", "ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mailplat", "serve", "--config", str(self.config), *arguments],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        deadline = time.monotonic() + within
        for door, port in self.ports.items():
            while not _answers(port):
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{door} of {self.root.name} did not open: {self.log()[-2000:]}")
                time.sleep(0.02)

    def stop(self) -> int:
        """SIGTERM, wait for the drain; its exit status."""
        process, self.process = self.process, None
        if process is None:
            return 0
        process.terminate()
        try:
            return process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise RuntimeError(f"serve did not stop in {STOP_TIMEOUT_S} s: {self.log()[-2000:]}") from None

    def kill(self) -> None:
        """SIGKILL: a crash."""
        process, self.process = self.process, None
        assert process is not None
        process.send_signal(signal.SIGKILL)
        process.wait()

    def log(self) -> str:
        path = self.root / "serve.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def add_account(self, address: str, password: str, *options: str) -> None:
        self.call("account", "add", address, "--password-stdin", *options, stdin=password + "\n")


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


@contextlib.contextmanager
def running(root: Path, name: str = "mx.example.test", **environment: str) -> Iterator[Rig]:
    rig = Rig(root, name, environment=environment)
    rig.start()
    try:
        yield rig
    finally:
        rig.stop()
