"""The short form of `make crash-drill`: a few kills, and the oracle itself must be able to object."""

import random
from pathlib import Path

import pytest

from tests.crash import letters
from tests.crash.drill import Drill
from tests.crash.ledger import Batch, Ledger


def test_some_kills(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drill = Drill(tmp_path / "platform", seed=7, guests=1)
    status = drill.run(8, patient=False)
    assert status == 0, capsys.readouterr().out
    assert drill.kills.total() >= 8
    assert drill.ledger.counts["acknowledged"] > 100
    assert drill.ledger.counts["messages compared"] > 100


def test_a_letter_knows_whether_it_is_whole() -> None:
    octets = letters.letter("t1", random.Random(1))
    assert letters.read(b"Received: from x\r\n" + octets) == ("t1", True)
    assert letters.read(octets[:-1]) == ("t1", False)
    assert letters.read(octets.replace(b"crash@", b"trash@")) == ("t1", False)
    assert letters.read(b"Subject: x\r\n\r\n") == ("", False)


def test_the_ledger_objects_to_a_uid_that_names_another_message() -> None:
    ledger = Ledger()
    box = ledger.box("a", "INBOX")
    batch = Batch(box, ["t1"])
    ledger.begin(batch)
    ledger.stored(batch, [7], [frozenset()])
    ledger.shown(box, 7, "t1")
    assert not ledger.broken
    ledger.shown(box, 7, "t2")
    assert ledger.broken == {"changed": 1}
    box.listed = 8
    again = Batch(box, ["t3"])
    ledger.begin(again)
    ledger.stored(again, [6], [frozenset()])
    assert ledger.broken == {"changed": 1, "reused": 1}
