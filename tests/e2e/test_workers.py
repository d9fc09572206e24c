"""Several workers behind one set of ports, with a private Valkey between them."""

import contextlib
import os
import signal
import smtplib
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.wire import Wire
from tests.rig import Rig

ANNA, BERT, PASSWORD = "anna@example.test", "bert@example.test", "correct horse"
PATIENCE_S = 30.0


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    environment = {"MAILPLAT_PLATFORM__WORKERS": "2"}
    made = Rig(tmp_path_factory.mktemp("workers") / "platform", environment=environment)
    made.call("domain", "add", "example.test")
    made.add_account(ANNA, PASSWORD)
    made.add_account(BERT, PASSWORD, "--quota", "10000")
    made.start()
    yield made
    made.stop()


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def workers(rig: Rig) -> list[int]:
    assert rig.process is not None
    return [
        pid
        for pid in children(rig.process.pid)
        if b"mailplat.app.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]


def owner(rig: Rig, wire: Wire) -> int:
    """The worker that has the other end of this connection."""
    local, remote = wire.sock.getpeername()[1], wire.sock.getsockname()[1]
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        if (int(words[1][-4:], 16), int(words[2][-4:], 16)) == (local, remote):
            link = f"socket:[{words[9]}]"
            for pid in workers(rig):
                for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                    with contextlib.suppress(FileNotFoundError):  # closed while we look
                        if os.readlink(descriptor) == link:
                            return pid
    raise AssertionError("nobody has the connection")


def send(rig: Rig, subject: str, to: str = ANNA, text: str = "hello") -> None:
    with smtplib.SMTP("127.0.0.1", rig.ports["smtp"], timeout=30) as client:
        client.sendmail("a@b.test", [to], f"Subject: {subject}\r\n\r\n{text}\r\n")


def log_in(rig: Rig, name: str = ANNA) -> Wire:
    wire = Wire(rig.ports["imap"])
    assert wire.tagged(f'LOGIN {name} "{PASSWORD}"'.encode()).startswith("x OK")
    assert wire.tagged(b"SELECT INBOX").startswith("x OK")
    return wire


def subjects(rig: Rig) -> Counter[str]:
    wire = log_in(rig)
    found: Counter[str] = Counter()
    wire.send(b"y FETCH 1:* (BODY.PEEK[HEADER.FIELDS (SUBJECT)])\r\n")
    while not (line := wire.line()).startswith("y "):
        assert line or not wire.file.closed
        if line.startswith("Subject: "):
            found[line.removeprefix("Subject: ")] += 1
    wire.close()
    return found


def test_mail_that_comes_through_one_worker_wakes_the_clients_of_the_other(rig: Rig) -> None:
    idlers: dict[int, Wire] = {}
    while len(idlers) < 2:
        wire = log_in(rig)
        if idlers.setdefault(owner(rig, wire), wire) is not wire:
            wire.close()
    for wire in idlers.values():
        wire.send(b"i IDLE\r\n")
        assert wire.line().startswith("+")
    send(rig, "wake up")
    for wire in idlers.values():
        while "EXISTS" not in wire.line():
            pass
        wire.close()


def metric(rig: Rig, name: str, labels: str) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{rig.ports['http']}/metrics", timeout=10) as answer:
        for line in answer.read().decode().splitlines():
            if line.startswith(f"{name}{{") and labels in line:
                return float(line.split()[-1])
    return 0.0


def test_a_quota_that_is_nearly_used_up_is_told_by_one_worker(rig: Rig) -> None:
    wire = log_in(rig, BERT)
    wire.send(b"i IDLE\r\n")
    assert wire.line().startswith("+")
    send(rig, "much", BERT, "x" * 8500)
    while wire.line() != "* 2 EXISTS":
        pass
    wire.send(b"DONE\r\nf FETCH 2 (BODY.PEEK[HEADER.FIELDS (SUBJECT)])\r\n")
    lines = list(iter(wire.line, "f OK FETCH completed"))
    assert any(line.startswith("Subject: Your mailbox is 8") for line in lines), lines
    wire.close()
    assert metric(rig, "mailplat_quota_warnings_total", 'level="80"') == 1


def test_counters_are_those_of_all_workers(rig: Rig) -> None:
    def accepted() -> float:
        return metric(rig, "mailplat_messages_total", 'outcome="accepted"')

    before, by = accepted(), set()
    sent = 0
    while len(by) < 2 or sent < 4:
        wire = Wire(rig.ports["smtp"])
        by.add(owner(rig, wire))
        wire.say(b"EHLO test")
        wire.say(b"MAIL FROM:<a@b.test>")
        wire.say(f"RCPT TO:<{ANNA}>".encode())
        wire.say(b"DATA")
        assert wire.say(f"Subject: counted {sent}\r\n\r\nhello\r\n.".encode()).startswith("250")
        wire.close()
        sent += 1
    assert accepted() - before == sent


def serving(rig: Rig) -> set[int]:
    """Both workers, once both take connections."""
    deadline = time.monotonic() + PATIENCE_S
    found: set[int] = set()
    while len(found) < 2:
        assert time.monotonic() < deadline, rig.log()[-2000:]
        wire = Wire(rig.ports["smtp"])
        found.add(owner(rig, wire))
        wire.close()
    return found


def test_a_worker_that_dies_takes_nothing_with_it(rig: Rig) -> None:
    acknowledged: list[str] = []
    for first in range(0, 60, 30):
        victim = min(serving(rig))
        for number in range(first, first + 30):
            if number == first + 10:
                os.kill(victim, signal.SIGKILL)
            with contextlib.suppress(OSError, smtplib.SMTPException):  # a client that tries the next one
                send(rig, f"through {number}")
                acknowledged.append(f"through {number}")
        assert victim not in serving(rig)
    assert len(acknowledged) > 50, "the other worker goes on"
    found = subjects(rig)
    assert [each for each in acknowledged if found[each] != 1] == []
