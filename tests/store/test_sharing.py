"""Messages that share a file: what the index says of them is what the disk says, whatever became of them."""

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest

from mailplat.core.route import Residence
from mailplat.store import StoreLimits
from mailplat.store.repair import verify
from mailplat.store.vault import prune
from mailplat.store.vault.finding import Filter
from mailplat.store.vault.restore import restore
from tests.store.conftest import HOME, Rig, letter, new

ACCOUNTS = [Residence(number, "s1", 1) for number in range(1, 6)]
OCTETS = letter()
SIZE = len(OCTETS)


@pytest.fixture
def shared(rig: Rig) -> Rig:
    """One message to five accounts."""
    for home in ACCOUNTS:
        rig.shard.grant(home.account_id, 1)
    rig.deliver([(home, "INBOX", 0) for home in ACCOUNTS], new(OCTETS))
    return rig


def on_disk(rig: Rig) -> int:
    """Octets of message files, each inode once: what `once` must be."""
    found = {}
    for folder in ("accounts", "vault"):
        for path in (rig.path / folder).rglob("*"):
            if path.is_file() and path.suffix != ".json" and path.name != "maildirfolder":
                status = path.stat()
                found[status.st_ino] = status.st_size
    return sum(found.values())


def check(rig: Rig) -> int:
    """The figures are true now, and verify has nothing to correct. Returns what links save."""
    rig.shard.settle_names()
    rig.shard.sweep()
    figures = rig.shard.figures()
    assert figures.once == on_disk(rig)
    assert verify(rig.shard, sweep_hours=0).problems == []
    assert replace(rig.shard.figures(), free=0, index=0) == replace(figures, free=0, index=0)
    return figures.saved


def inbox(rig: Rig, home: Residence) -> int:
    return rig.shard.mailbox(home, "INBOX").id


def test_a_delivery_to_many(shared: Rig) -> None:
    figures = shared.shard.figures()
    assert (figures.accounts, figures.messages, figures.octets) == (5, 5, 5 * SIZE)
    assert (figures.once, figures.saved, figures.vault_octets) == (SIZE, 4 * SIZE, 0)
    assert figures.index > 0
    assert figures.free > 0
    assert {shared.shard.usage(home) for home in ACCOUNTS} == {(SIZE, 1)}  # in full, for each quota
    assert check(shared) == 4 * SIZE


def test_a_message_of_its_own_saves_nothing(rig: Rig) -> None:
    rig.fill(3)
    assert check(rig) == 0


def test_expunged_one_after_the_other(shared: Rig) -> None:
    """The vault is on the same disk: it saves as well until it is pruned."""
    for home in ACCOUNTS:
        shared.shard.expunge_uids(home, inbox(shared, home), None)
        assert check(shared) == 4 * SIZE
    assert shared.shard.figures().vault_octets == 5 * SIZE
    for left, home in zip((3, 2, 1, 0, 0), ACCOUNTS, strict=True):
        prune.purge(shared.shard.site, home.account_id)
        assert check(shared) == left * SIZE
    assert shared.shard.figures().once == 0


def test_without_a_vault(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "s1", StoreLimits(vault_days=0))
    for home in ACCOUNTS:
        rig.shard.grant(home.account_id, 1)
    rig.deliver([(home, "INBOX", 0) for home in ACCOUNTS], new(OCTETS))
    rig.shard.expunge_uids(ACCOUNTS[0], inbox(rig, ACCOUNTS[0]), None)
    assert check(rig) == 3 * SIZE
    rig.shard.remove_account(ACCOUNTS[1])
    assert check(rig) == 2 * SIZE
    assert rig.shard.figures().accounts == 4
    rig.close()


def test_copies_and_moves(shared: Rig) -> None:
    shard = shared.shard
    shard.create(HOME, "Box")
    shared.fill(1)  # UID 2, a file of its own
    shard.copy(HOME, inbox(shared, HOME), None, "Box")
    assert check(shared) == 6 * SIZE - SIZE + len(letter("Number 0"))
    shard.copy(HOME, inbox(shared, HOME), [(2, 2)], "INBOX")
    assert check(shared) == 5 * SIZE + 2 * len(letter("Number 0"))
    before = shard.figures()
    shard.move(HOME, inbox(shared, HOME), None, "Box")
    assert check(shared) == before.saved
    assert shard.figures().octets == before.octets
    shard.delete(HOME, "Box")
    assert check(shared) == before.saved
    prune.purge(shard.site, HOME.account_id)
    assert check(shared) == 3 * SIZE


def test_a_move_alone_shares_nothing(rig: Rig) -> None:
    rig.shard.create(HOME, "Box")
    rig.fill(3)
    rig.shard.move(HOME, rig.inbox.id, None, "Box")
    assert check(rig) == 0
    with rig.shard.site.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM shared").one() == (0,)


def test_back_from_the_vault_is_a_file_of_its_own(shared: Rig) -> None:
    shared.shard.expunge_uids(HOME, inbox(shared, HOME), None)
    restore(shared.store, "s1", [HOME.account_id], Filter(), HOME)
    assert check(shared) == 3 * SIZE


def test_removed_account(shared: Rig) -> None:
    shared.shard.remove_account(HOME)
    assert check(shared) == 4 * SIZE
    assert shared.shard.figures().messages == 4


def test_rebuild_finds_out_by_inode(shared: Rig) -> None:
    shared.shard.create(HOME, "Box")
    shared.shard.copy(HOME, inbox(shared, HOME), None, "Box")
    shared.shard.expunge_uids(ACCOUNTS[1], inbox(shared, ACCOUNTS[1]), None)
    before = check(shared)
    shared.store.close()
    for path in shared.path.glob("index.db*"):
        path.unlink()
    shared.rebuild()
    assert shared.shard.figures().vault_messages == 1
    assert check(shared) == before == 5 * SIZE


class TestVerify:
    def test_corrects_what_drifted(self, shared: Rig) -> None:
        shared.fill(1)
        with shared.shard.site.database.write() as connection:
            connection.exec_driver_sql("UPDATE message SET shared = NULL WHERE mailbox_id < 3")
            connection.exec_driver_sql("UPDATE message SET shared = 1 WHERE uid = 2")  # of another file
            connection.exec_driver_sql("UPDATE shared SET links = 17")
            connection.exec_driver_sql("UPDATE figures SET vault_octets = 5")
        report = verify(shared.shard)
        assert [problem.kind for problem in report.problems] == ["count"] * len(report.problems)
        assert "saved by links were" in str(report.problems)
        assert "of the vault were" in str(report.problems)
        assert check(shared) == 4 * SIZE

    def test_counts_what_an_earlier_release_left(self, shared: Rig) -> None:
        """Rows without numbers are no problem: nobody could know."""
        with shared.shard.site.database.write() as connection:
            connection.exec_driver_sql("UPDATE message SET shared = NULL")
            connection.exec_driver_sql("UPDATE figures SET counted = 0")
        assert not shared.shard.figures().counted
        assert verify(shared.shard).problems == []
        assert shared.shard.figures().counted
        assert check(shared) == 4 * SIZE

    def test_links_of_a_backup_do_not_count(self, shared: Rig, tmp_path: Path) -> None:
        for number, path in enumerate(shared.files()):
            os.link(path, tmp_path / str(number))
        shared.fill(1)
        for path in shared.files():
            os.link(path, tmp_path / f"again{path.name}")
        assert check(shared) == 4 * SIZE

    def test_says_when_the_vault_has_lost_a_file(self, shared: Rig) -> None:
        shared.shard.expunge_uids(HOME, inbox(shared, HOME), None)
        shared.shard.sweep()
        (path,) = [path for path in (shared.path / "vault").rglob("m*/*") if path.suffix != ".json"]
        path.unlink()
        (problem,) = verify(shared.shard).problems
        assert (problem.kind, problem.path) == ("missing", str(path.relative_to(shared.path)))


def test_a_file_with_as_many_names_as_there_can_be(shared: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others share it: they must still be able to copy and to move. 65,000 real links take too long to make."""
    link = os.link

    def full(source: Path, target: Path, **more: object) -> None:
        if os.stat(source).st_nlink >= 5:
            raise OSError(errno.EMLINK, os.strerror(errno.EMLINK))
        link(source, target, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "link", full)
    shared.shard.create(HOME, "Box")
    shared.shard.copy(HOME, inbox(shared, HOME), None, "Box")
    assert check(shared) == 4 * SIZE
    shared.shard.move(HOME, inbox(shared, HOME), None, "Box")
    assert check(shared) == 3 * SIZE
    box = shared.shard.mailbox(HOME, "Box")
    assert [octets for _, octets in shared.shard.octets_many(HOME, box.id, None)] == [OCTETS] * 2
    dates = {row[0] for row in shared.shard.rows(HOME, box.id, None, ["internaldate"])}
    assert {int(path.stat().st_mtime) for path in shared.files()} == dates
