"""The short form of `make fault-drill`: some of the calls, and the gate itself must be able to refuse."""

import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash import gate
from tests.crash.faults import FAULTS, Fault, FaultDrill
from tests.crash.gate import Call, Gate, Verdict

pytestmark = pytest.mark.skipif(bool(gate.reason_to_skip()), reason=gate.reason_to_skip())

NAMED = {fault.name: fault for fault in FAULTS}


@pytest.fixture(scope="module")
def drill(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultDrill]:
    made = FaultDrill(tmp_path_factory.mktemp("faults") / "platform", seed=5, guests=3)
    try:
        made.prepare()
        yield made
    finally:
        made.nursery.close()


def test_some_faults(drill: FaultDrill) -> None:
    few = (("kill", 20), ("sync", 12), ("sync, kill", 9), ("name", 15), ("full", 1))
    assert all(drill.step(NAMED[name], nth) for name, nth in few)
    drill.last_inspection()
    assert not drill.failed, (drill.scene.errors, drill.ledger.stories)
    assert drill.ledger.counts["acknowledged"] > 50


def test_a_commit_that_failed_is_not_half_there_after_a_crash(drill: FaultDrill) -> None:
    """SQLite's log has a transaction whose fsync failed, the process dies: the row comes back, and so must the file
    have stayed. Once the failed commit is one of the background, which is tried again."""
    failed = Fault("log", ("fdatasync",), (errno.EIO,), patient=False, files="s1/index.db-wal$")
    came_back = drill.ledger.counts["unanswered, done"]
    for nth in range(1, 8):
        drill.step(failed, nth)
        drill.last_inspection()
        if drill.ledger.counts["unanswered, done"] > came_back:
            break
    else:
        pytest.fail("no commit of a delivery failed")
    assert not drill.failed, (drill.scene.errors, drill.ledger.stories)


def test_the_gate_counts_refuses_and_kills(tmp_path: Path) -> None:
    """In a child that makes three folders and is not let through at the second and third."""
    seen: list[Call] = []

    def judge(call: Call) -> Verdict | int:
        seen.append(call)
        return (Verdict.PASS, errno.ENOSPC, Verdict.KILL)[len(seen) - 1]

    ours, theirs = socket.socketpair()
    outcome, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        listener = gate.listen(("mkdir",))
        socket.send_fds(theirs, [b"x"], [listener])
        for name in ("a", "b", "c"):
            try:
                os.mkdir(tmp_path / name)
                os.write(told, b"made ")
            except OSError as error:
                os.write(told, f"{error.errno} ".encode())
        os._exit(0)
    _, descriptors, _, _ = socket.recv_fds(ours, 1, 1)
    barrier = Gate(descriptors[0], pid, tmp_path, judge)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -9
    barrier.close()
    os.close(told)
    assert os.read(outcome, 100) == b"made %d " % errno.ENOSPC
    os.close(outcome)
    assert seen == [Call("mkdir", "a"), Call("mkdir", "b"), Call("mkdir", "c")]
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    ours.close()
    theirs.close()
