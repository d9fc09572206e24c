"""Backup, restore, export and verify leave the file alone, and take nothing of it along."""

from pathlib import Path

from mailplat.core.address import Address
from mailplat.store.backup import Catalogue, Repository, back_up, restore_shard
from mailplat.store.export import Owner, export
from mailplat.store.repair import verify
from mailplat.wire.imap import search as keys
from tests.store.conftest import HOME, Hints, Rig, letter, new
from tests.store.fulltext.conftest import find, keep


def below(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_verify(kept: Rig) -> None:
    report = verify(kept.shard, sweep_hours=0)
    assert not report.problems
    assert report.swept == 0
    assert kept.shard.site.fulltext.exists


def test_figures(kept: Rig) -> None:
    kept.fill(2)
    figures = kept.shard.figures()
    assert figures.fulltext > 0
    assert figures.waiting == 2


def test_export(kept: Rig, tmp_path: Path) -> None:
    owner = Owner(HOME.account_id, Address("Ann", "example.test"), "{PLAIN}secret")
    export(kept.shard, tmp_path / "out", "dovecot", (owner,))
    assert not list((tmp_path / "out").rglob("fulltext*"))


def test_an_older_point_brought_back(rig: Rig, tmp_path: Path) -> None:
    """UIDs that the point does not know may be given again: nothing is believed of what was kept for them."""
    rig.append(new(letter(text="first\r\n")))
    keep(rig)
    back_up(rig.shard, Repository.create(tmp_path / "backup", "s1"), [], lambda: b"records")
    rig.append(*(new(letter(text=f"later{number}\r\n")) for number in range(3)))
    rig.shard.keep_texts()
    assert b"later2" not in below(tmp_path / "backup")
    rig.store.close()
    repository = Repository.open(tmp_path / "backup")
    with Catalogue(repository, repository.point(None)) as catalogue:
        restore_shard(rig.path, catalogue, Hints(), replace=True)
    rig.reopen()
    assert not rig.shard.site.fulltext.exists
    assert find(rig, keys.Body("later")) == []
    assert len(find(rig, keys.Body("first"))) == 1
    rig.append(new(letter(text="other\r\n")))
    keep(rig)
    assert len(find(rig, keys.Body("other"))) == 1
    assert find(rig, keys.Body("later")) == []
