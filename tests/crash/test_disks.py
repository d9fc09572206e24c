"""The short form of tests/crash/disks.py: a shard's disk is full under load, and has room again."""

import pytest

from tests.crash import disks
from tests.crash.power import reason_to_skip

WHY = reason_to_skip()


@pytest.mark.skipif(bool(WHY), reason=WHY)
def test_a_full_disk_under_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disks, "LOAD_S", 1.0)
    with disks.troubled(seed=4) as drill:
        drill.full()
    assert not drill.scene.errors
    assert not drill.ledger.broken, drill.ledger.stories
    assert drill.ledger.counts["refused"]
