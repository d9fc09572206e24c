"""The short form of `make cutover-drill`: each fault once."""

import tempfile
from pathlib import Path

import pytest

from tests.crash.imap import Answer
from tests.drill import faults
from tests.drill.cutovers import CutoverDrill
from tests.drill.oracle import Cache

pytestmark = [pytest.mark.interop, pytest.mark.timeout(240)]

# Where each fault happens in the short form: all of the crash table's rows are the long one's.
PLACES = {
    faults.KILL: "move.delta",
    faults.ZOMBIE: "move.tracking",
    faults.LEGACY_KILLED: "move.acknowledged",
    faults.DATABASE: "move.granted",
    faults.BUS_KILLED: "move.committed",
    faults.DISK: "move.batch",
}


def test_each_fault_once(capsys: pytest.CaptureFixture[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="cutover-drill.") as folder:
        drill = CutoverDrill(Path(folder) / "stage", 7, len(PLACES), lanes=1, kinds=tuple(PLACES), hasty=True)
        try:
            for fault, place in PLACES.items():
                drill.arms.decks[fault] += [(place, False)] * 9
            for fault in drill.kinds:
                drill.round(fault)
            status = drill.run(0)
        finally:
            drill.close()
    assert status == 0, capsys.readouterr().out
    assert drill.done >= len(drill.kinds)
    assert drill.tally.cells[faults.KILL, "move.delta"].legacy > 0
    assert drill.tally.cells[faults.BUS_KILLED, "move.committed"].new > 0
    assert drill.ledger.counts["messages compared"] > 100


def test_a_cache_follows_what_it_is_told() -> None:
    cache = Cache(
        7, 9, {1: frozenset({"\\Seen"}), 2: frozenset(), 3: frozenset()}, {1: "t1", 2: "t2", 3: "t3"}
    )
    lines = [b"* VANISHED (EARLIER) 2:3", b"* 1 FETCH (UID 1 FLAGS (\\Flagged) MODSEQ (12))", b"* 2 EXISTS"]
    cache.absorb(Answer("OK", b"done", [(line, []) for line in lines]))
    assert (cache.flags, cache.tokens) == ({1: frozenset({"\\Flagged"})}, {1: "t1"})


def test_what_is_told_before_closed_is_of_the_mailbox_before() -> None:
    """RFC 7162 3.2.11."""
    lines = [
        b"* 1 FETCH (UID 13 FLAGS (later))",
        b"* OK [CLOSED] Previous mailbox closed",
        b"* 9 FETCH (UID 20 FLAGS (\\Seen))",
    ]
    before, behind = Answer("OK", b"done", [(line, []) for line in lines]).split_at_closed()
    left, cache = Cache(), Cache()
    left.absorb(before)
    cache.absorb(behind)
    assert left.flags == {13: frozenset({"later"})}
    assert cache.flags == {20: frozenset({"\\Seen"})}
    assert Answer("OK", b"done", behind.lines[1:]).split_at_closed()[0].lines == []
