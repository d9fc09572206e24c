"""A full disk and locked databases under a running platform: clear replies at every door, nothing lost, and all is
well once the trouble is over."""

import contextlib
import os
import smtplib
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from tests.e2e.wire import Wire
from tests.rig import ONE_WORKER, Rig

ANNA, PASSWORD = "anna@example.test", "correct horse"

# As a stuck backup may hold it; longer than any door waits for a lock.
LOCKED_S = 10.0


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """Stopped, with one account in shard s1."""
    made = Rig(tmp_path / "platform", environment=ONE_WORKER)
    made.call("domain", "add", "example.test")
    made.add_account(ANNA, PASSWORD, "--home", "shard:s1")
    yield made
    if made.process is not None:
        made.stop()


@pytest.fixture
def imap(rig: Rig) -> Iterator[Wire]:
    rig.start()
    wire = Wire(rig.ports["imap"])
    assert wire.tagged(f'LOGIN {ANNA} "{PASSWORD}"'.encode()).startswith("x OK")
    yield wire
    wire.close()


def letter(number: int, size: int = 0) -> bytes:
    return b"Subject: %d\r\n\r\n" % number + b"line of some length, to fill the disk\r\n" * (size // 39)


def send(rig: Rig, number: int, size: int = 0, *, to: str = ANNA) -> int:
    """The reply to the message, or to its recipient."""
    with smtplib.SMTP("127.0.0.1", rig.ports["smtp"], timeout=60) as client:
        try:
            client.sendmail("a@b.test", [to], letter(number, size))
        except smtplib.SMTPRecipientsRefused as error:
            return error.recipients[to][0]
        except smtplib.SMTPResponseException as error:
            return error.smtp_code
    return 250


def append(imap: Wire, number: int, size: int = 0) -> str:
    octets = letter(number, size)
    imap.send(b"x APPEND INBOX {%d}\r\n" % len(octets))
    line = imap.line()
    if line.startswith("+"):
        imap.send(octets + b"\r\n")
        while not (line := imap.line()).startswith("x "):
            assert line, "the connection was closed"
    return line


def subjects(imap: Wire) -> list[int]:
    imap.tagged(b"SELECT INBOX")
    found = []
    imap.send(b"y FETCH 1:* (BODY.PEEK[HEADER.FIELDS (SUBJECT)])\r\n")
    while not (line := imap.line()).startswith("y "):
        assert line or not imap.file.closed
        if line.startswith("Subject: "):
            found.append(int(line.removeprefix("Subject: ")))
    return found


@pytest.fixture
def small_disk(rig: Rig) -> Iterator[None]:
    """The whole shard s1 on a filesystem of 8 MB."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small tmpfs")
    shard = Path(rig.query("config", "show")["store"]["shards"]["s1"]["path"])
    shard.mkdir(parents=True, exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(shard)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.strip()}")
    rig.call("shard", "adopt", "s1", "--empty")
    yield
    rig.stop()
    subprocess.run(["umount", "-l", str(shard)], check=True)


@pytest.mark.usefixtures("small_disk")
def test_a_full_disk(rig: Rig, imap: Wire) -> None:
    accepted = []
    for number in range(1000):
        code = send(rig, number, 200_000)
        if code != 250:
            assert code == 452, "insufficient storage: the client keeps the message and tries again"
            break
        accepted.append(number)
    assert len(accepted) > 10
    assert append(imap, 5000, 200_000).startswith("x NO")
    assert send(rig, 5001, 200_000) == 452
    assert subjects(imap) == accepted, "nothing of what was accepted is lost, nothing refused is there"
    imap.tagged(b"STORE 1:10 +FLAGS (\\Deleted)")
    assert imap.tagged(b"EXPUNGE").startswith("x OK"), "who is full can delete"
    assert send(rig, 5002, 200_000) == 452, (
        "what was deleted can be restored for its days, so it still takes room"
    )
    rig.call("vault", "purge", "--account", ANNA, "--reason", "the disk is full")
    deadline = time.monotonic() + 30
    while (code := send(rig, 6000, 200_000)) == 452 and time.monotonic() < deadline:
        time.sleep(0.2)  # a client that tries again
    assert code == 250
    assert subjects(imap) == [*accepted[10:], 6000]


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Somebody else holds the database's write lock."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=30)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


def test_a_locked_index(rig: Rig, imap: Wire) -> None:
    shard = Path(rig.query("config", "show")["store"]["shards"]["s1"]["path"])
    assert send(rig, 1) == 250
    with locked(shard / "index.db"):
        began = time.monotonic()
        while time.monotonic() - began < LOCKED_S:
            assert send(rig, 2) == 451
            assert append(imap, 3).startswith("x NO [UNAVAILABLE]")
            assert subjects(imap) == [1], "what is there can be read"
    assert append(imap, 3).startswith("x OK")
    assert send(rig, 4) == 250
    assert subjects(imap) == [1, 3, 4]


def test_a_locked_platform_database(rig: Rig, imap: Wire) -> None:
    """What would have to be queued for another host stays with its sender; whoever lives here is served."""
    far = "far@example.test"
    rig.call(
        *("migrate", "backend", "add", "old", "--imap", "127.0.0.1:1", "--relay", "smtp:127.0.0.1:1"),
        *("--master-user", "master", "--master-password-stdin"),
        stdin="x\n",
    )
    rig.call("account", "add", far, "--home", "backend:old")
    assert send(rig, 0, to=far) == 250
    with locked(Path(str(make_url(rig.query("config", "show")["database"]["url"]).database))):
        began = time.monotonic()
        while time.monotonic() - began < LOCKED_S:
            assert send(rig, 1, to=far) == 451
            assert send(rig, 2) == 250
            assert append(imap, 3).startswith("x OK")
            wire = Wire(rig.ports["imap"])
            assert wire.tagged(f'LOGIN {ANNA} "{PASSWORD}"'.encode()).startswith("x OK")
            wire.close()
    assert send(rig, 4, to=far) == 250
    assert set(subjects(imap)) == {2, 3}
    assert [row["recipient"] for row in rig.query("queue", "list")] == [far, far]
