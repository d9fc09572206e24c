"""The crash table of the package's opening comment, row by row: a child is killed at the named step."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mailplat.bus import MemoryBus
from mailplat.core.clock import ManualClock, SystemClock
from mailplat.core.disk import DIE_AT
from mailplat.db import schema
from mailplat.db.engine import Database
from mailplat.queue import LEASE_S, Queue
from tests.queue.conftest import files

CHILD = """
import sys
from pathlib import Path
from mailplat.bus import MemoryBus
from mailplat.core.address import NULL_SENDER, Address
from mailplat.core.clock import ManualClock
from mailplat.core.envelope import Envelope, Peer
from mailplat.core.outcome import Outcome, Result
from mailplat.core.reply import Reply
from mailplat.core.spool import Body
from mailplat.db.engine import Database
from mailplat.queue import Notice, Queue, QueueRecipient

root = Path(sys.argv[1])
queue = Queue(Database(f"sqlite:///{root}/platform.db"), root / "queue", ManualClock(), MemoryBus())
to = [QueueRecipient(Address("bert", "example.net"), 1)]
queue.put(Envelope(Address("anna", "example.org")), to, Body.of(b"first"), b"", peer=Peer("", 0))
print("put", flush=True)
[leased] = queue.lease("child", 10)
failed = {leased.recipients[0].id: Outcome(Result.FAILED, Reply(550, "5.1.1", "no"))}
notice = Notice(Envelope(NULL_SENDER), [QueueRecipient(Address("anna", "example.org"), 2)], b"notice")
queue.settle(leased, failed, notice=notice)
print("settled", flush=True)
queue.close()
"""


def crash(root: Path, step: str) -> list[str]:
    """What the child had said before it died at `step`."""
    database = Database(f"sqlite:///{root}/platform.db")
    schema.upgrade(database, "platform")
    database.close()
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(root)],
        env={**os.environ, DIE_AT: step},
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == -signal.SIGKILL, child.stderr
    return child.stdout.split()


def after(root: Path) -> Queue:
    """The queue after a restart, its leases expired."""
    clock = ManualClock()
    clock.advance(LEASE_S + 1)
    return Queue(Database(f"sqlite:///{root}/platform.db"), root / "queue", clock, MemoryBus())


def contents(queue: Queue) -> list[tuple[str, bytes]]:
    """What would be delivered, to whom. Every row must have its file."""
    found = []
    for leased in queue.lease("after", 100):
        body = queue.body(leased)
        found += [(one.address.local, body.octets()) for one in leased.recipients]
        body.close()
    return found


# step, what the child said, what is in the queue after the restart, files that are left for the sweeper
TABLE = [
    ("put.write", [], [], 1),
    ("put.fsync", [], [], 1),
    ("put.rename", [], [], 1),
    ("put.dirsync", [], [], 1),
    ("put.commit", [], [("bert", b"first")], 0),
    ("lease.commit", ["put"], [("bert", b"first")], 0),
    ("put.write:2", ["put"], [("bert", b"first")], 1),  # of the notice
    ("put.dirsync:2", ["put"], [("bert", b"first")], 1),
    ("settle.commit", ["put"], [("anna", b"notice")], 1),
    ("settle.unlink", ["put"], [("anna", b"notice")], 0),
]


@pytest.mark.parametrize(("step", "said", "queued", "orphans"), TABLE, ids=[row[0] for row in TABLE])
def test_row(
    tmp_path: Path, step: str, said: list[str], queued: list[tuple[str, bytes]], orphans: int
) -> None:
    # A put or settle that had returned is told by what the child printed; dying inside the commit's callback,
    # it may or may not have come to print.
    assert crash(tmp_path, step) in (said, [*said, "put"], [*said, "settled"])
    queue = after(tmp_path)
    try:
        assert contents(queue) == queued
        assert len(files(queue)) == len(queued) + orphans
        old = SystemClock().now() - 2 * 3600
        for path in files(queue):
            os.utime(path, (old, old))
        queue._clock = SystemClock()
        assert queue.sweep() == orphans
        assert len(files(queue)) == len(queued)
    finally:
        queue.close()
