"""What is expunged or deleted leaves the disk, whoever else removes it, and whatever its file is called by now."""

import os
from pathlib import Path
from typing import Any

import pytest

from mailplat.store.repair import rebuild
from mailplat.store.sweeper import remove_path
from tests.store.conftest import HOME, Rig


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path / "shard")


def test_a_message_expunged_under_a_name_that_no_row_says(rig: Rig) -> None:
    """As after a kill between the namer's rename and its commit: the row says the old name."""
    uids = rig.fill(3)
    before = [path.relative_to(rig.path) for path in rig.files()]
    with rig.shard.site.read() as connection:
        old = dict(connection.exec_driver_sql("SELECT uid, name FROM message").fetchall())
    rig.shard.settle_names()

    def forget(connection: Any) -> None:
        for uid, name in old.items():
            connection.exec_driver_sql("UPDATE message SET name = ? WHERE uid = ?", (name, uid))

    rig.shard.site.write(forget)
    assert [path.relative_to(rig.path) for path in rig.files()] != before
    rig.shard.expunge_uids(HOME, rig.inbox.id, [(uids[0], uids[0])])
    rig.shard.sweep()
    assert len(rig.files()) == 2
    rebuild(rig.shard)
    assert rig.inbox.messages == 2, "what was expunged does not come back"


def test_two_processes_remove_one_folder(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the other one has removed is missing, and nothing of the rest may stay."""
    folder = rig.path / "tmp" / "gone"
    (folder / "cur").mkdir(parents=True)
    for number in range(9):
        (folder / "cur" / str(number)).touch()
    unlink = os.unlink

    def both(*where: Any, **more: Any) -> None:
        for other in list((folder / "cur").iterdir())[:1]:
            unlink(other)
        unlink(*where, **more)

    monkeypatch.setattr(os, "unlink", both)
    assert remove_path(rig.shard.site, "tmp/gone")
    assert not folder.exists()
    assert not remove_path(rig.shard.site, "tmp/gone")
