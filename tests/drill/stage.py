"""What both drills play on: the legacy platform, ours in front of it, and accounts that live at the legacy one."""

import contextlib
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import pytest

from mailplat.app.settings import load
from mailplat.app.wiring import Platform
from mailplat.core.errors import Unavailable
from mailplat.core.route import BackendHome
from mailplat.directory import Account, Backend
from mailplat.queue import Filter
from mailplat.wire.smtp.address import parse_address
from migration.ledger import RUNNING, Ledger, Move
from migration.turns import Turns
from tests.crash.clients import PASSWORD, Scene
from tests.crash.ledger import Ledger as Oracle
from tests.crash.workers import Nursery
from tests.dovecot import Dovecot
from tests.postfix import Postfix
from tests.rig import Rig

BACKEND = "old"
MASTER = ("master", "master secret")
DOORS = ("ingress", "access", "queue")

# Until something that must happen has happened, on a busy machine.
PATIENCE_S = 90.0
POLL_S = 0.02
# How often the queue is told to try again.
RETRY_S = 1.0


_TAKES = """
relay_domains = {domains}
relay_transport = lmtp:inet:127.0.0.1:{lmtp}
relay_recipient_maps =
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_client_connection_rate_limit = 0
in_flow_delay = 0
"""


# Reading over POP3 sets no \\Seen: flags are what IMAP clients were told.
_QUIET_POP3 = "protocol pop3 {\n  pop3_no_flag_updates = yes\n}\n"


T = TypeVar("T")


class Stuck(Exception):
    """Something did not happen within its time."""


class Stage:
    """`users`: every address that will ever be needed; `place` makes an account of one. One process has all doors; it
    and the engines are started by fork, so that each can be stopped and killed by itself."""

    def __init__(
        self,
        folder: Path,
        users: Sequence[str],
        *,
        database: str = "",
        postfix: bool = False,
        environment: dict[str, str] | None = None,
    ) -> None:
        """`database`: the URL of one that is empty; default: SQLite. `postfix`: one before Dovecot's LMTP, where that
        is installed."""
        folder.mkdir(parents=True, exist_ok=True)
        known = [(each, PASSWORD) for each in users]
        self.dovecot = Dovecot(_made(folder / "dovecot"), known, MASTER, settings=_QUIET_POP3)
        self.postfix: Postfix | None = None
        relay = f"lmtp:127.0.0.1:{self.dovecot.lmtp_port}"
        if postfix and not Postfix.reason_to_skip():
            domains = " ".join(sorted({each.partition("@")[2] for each in users}))
            takes = _TAKES.format(domains=domains, lmtp=self.dovecot.lmtp_port)
            self.postfix = Postfix(folder / "postfix", takes)
            relay = f"smtp:127.0.0.1:{self.postfix.port}"
        settings = {"MAILPLAT_PLATFORM__WORKERS": "1", **(environment or {})}
        if database:
            settings["MAILPLAT_DATABASE__URL"] = database
        self.rig = Rig(folder / "platform", environment=settings)
        self.platform = Platform(load(self.rig.config, self.rig.environment))
        self.ledger = Ledger(self.platform.database, self.platform.clock)
        self.turns = Turns(self.platform.database)
        self.platform.directory.add_backend(
            Backend(
                name=BACKEND,
                imap=f"127.0.0.1:{self.dovecot.imap_port}",
                imap_tls="none",
                pop3=f"127.0.0.1:{self.dovecot.pop3_port}",
                pop3_tls="none",
                relay=relay,
                master_user=MASTER[0],
                master_password=MASTER[1],
            )
        )
        self.oracle = Oracle()
        self.scene = Scene(self.oracle, self.rig.ports, [])
        self.accounts: dict[str, Account] = {}
        self._nursery: Nursery | None = None
        self._descriptors: dict[int, int] = {}
        self.door = 0

    # processes

    @property
    def nursery(self) -> Nursery:
        if self._nursery is None:
            self._nursery = Nursery(self.rig)
        return self._nursery

    def open_doors(self) -> None:
        self.door = self.start(DOORS)
        until(
            lambda: all(map(_answers, (self.rig.ports[name] for name in ("smtp", "imap", "pop3")))),
            "the doors",
        )

    def start(self, roles: Sequence[str], index: int = 0, count: int = 1, arms: Path | None = None) -> int:
        """`arms`: the folder that says where it stops itself (tests/crash/nursery.py)."""
        pid = self.nursery.serve(roles, index, count, arms)
        self._descriptors[pid] = os.pidfd_open(pid)
        return pid

    def end(self, pid: int, number: int = signal.SIGTERM) -> int:
        """By a signal; its exit status. One that is stopped hears it when it goes on."""
        for each in (number, signal.SIGCONT):
            with contextlib.suppress(ProcessLookupError):  # it has ended by itself
                os.kill(pid, each)
        status = self.nursery.wait(pid)
        os.close(self._descriptors.pop(pid))
        return status

    def has_ended(self, pid: int) -> bool:
        """By itself."""
        return bool(select.select([self._descriptors[pid]], [], [], 0.0)[0])

    def close(self) -> None:
        """Whatever part of it fails, the rest is cleared away."""
        with contextlib.ExitStack() as stack:
            stack.callback(self.dovecot.stop)
            if self.postfix is not None:
                stack.callback(self.postfix.stop)
            stack.callback(self.platform.close)
            if self._nursery is not None:
                stack.callback(self._nursery.close)
            for pid in list(self._descriptors):
                stack.callback(self.end, pid, signal.SIGKILL)

    # accounts and moves

    def place(self, addresses: Sequence[str]) -> None:
        """At the legacy platform, their passwords known here."""
        directory = self.platform.directory
        for domain in {each.partition("@")[2] for each in addresses}:
            directory.add_domain(domain)
        for address in addresses:
            self.accounts[address] = directory.add_account(
                parse_address(address), home=BackendHome(BACKEND), password_hash="{PLAIN}" + PASSWORD
            )

    def plan(self, domain: str) -> None:
        self.ledger.plan(domain, sorted(self.platform.shards))
        self.ledger.set_plan(domain, RUNNING, expected={"planned", RUNNING})

    def move(self, address: str) -> Move:
        return self.ledger.find_move(self.accounts[address].id)

    def settle_queue(self) -> None:
        """What waits for another attempt gets it now, until nothing is left. Raises Stuck."""
        asked = 0.0

        def empty() -> bool:
            nonlocal asked
            if not self.platform.queue.counts()["messages"]:
                return True
            if time.monotonic() - asked > RETRY_S:
                self.platform.queue.retry(Filter())
                asked = time.monotonic()
            return False

        until(empty, "the queue to be empty")


def until(condition: Callable[[], object], what: str, timeout: float = PATIENCE_S) -> None:
    """Raises Stuck. While the database is away the condition is not true."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            if condition():
                return
        except Unavailable:
            pass
        if time.monotonic() > deadline:
            raise Stuck(f"waited {timeout:.0f} s in vain for {what}")
        time.sleep(POLL_S)


def insist(step: Callable[[], T]) -> T:
    """A step of ours that meets a database which is busy for longer than engines wait for it. Raises Stuck."""
    results: list[T] = []

    def done() -> bool:
        results.append(step())
        return True

    until(done, "the database")
    return results[0]


def told(drill: Callable[[], int]) -> int:
    """Its exit status; 1 with a line that says why where it cannot be had, or something did not happen in time."""
    try:
        return drill()
    except (Stuck, pytest.skip.Exception) as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 1


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False
