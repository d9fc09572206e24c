"""Taking points: incremental, by link or by copy, while the shard is in use."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from mailplat.core.errors import InvalidInput, NotFound, Unavailable
from mailplat.store import StoreLimits
from mailplat.store.backup import Catalogue, Repository, prune, verify
from mailplat.store.backup.manifest import Manifest
from tests.store.backup.conftest import Backup, Letters, letters
from tests.store.conftest import HOME, Rig, letter, new


def test_the_second_run_reads_only_what_is_new(rig: Rig, backup: Backup) -> None:
    rig.fill(5)
    first = backup.run()
    assert (first.messages, first.linked + first.copied) == (5, 5)
    rig.append(new(letter("Six")))
    rig.shard.store_flags(HOME, rig.inbox.id, None, "add", ["\\Seen"])
    rig.shard.settle_names()  # names change, octets do not
    second = backup.run()
    assert (second.messages, second.linked + second.copied) == (6, 1)
    assert len(backup.objects()) == 6
    assert not verify(backup.repository, deep=True).problems


def test_a_file_that_is_known_is_not_read_again(rig: Rig, backup: Backup) -> None:
    rig.fill(3)
    backup.run()
    for path in rig.files():
        os.unlink(path)
    assert backup.run().gone == 0


def test_the_same_octets_are_kept_once(rig: Rig, backup: Backup) -> None:
    rig.append(new(), new())
    rig.shard.create(HOME, "Box")
    rig.shard.copy(HOME, rig.inbox.id, None, "Box")
    report = backup.run()
    assert (report.messages, len(backup.objects())) == (4, 1)


def test_what_goes_to_the_vault_is_not_read_again(rig: Rig, backup: Backup) -> None:
    rig.fill(3)
    backup.run()
    rig.shard.expunge_uids(HOME, rig.inbox.id, [(1, 1)])
    first = backup.run()  # its file waits for its move
    rig.shard.sweep()
    second = backup.run()
    for report in (first, second):
        assert (report.messages, report.vault, report.gone, report.read_octets) == (2, 1, 0, 0)
    rig.append(new(letter("Short")))
    rig.shard.expunge_uids(HOME, rig.inbox.id, [(4, 4)])
    rig.shard.sweep()
    assert backup.run().linked == 1
    assert not verify(backup.repository, deep=True).problems


def test_links_on_the_filesystem_of_the_shard(rig: Rig, backup: Backup) -> None:
    rig.fill(3)
    report = backup.run()
    assert (report.linked, report.copied) == (3, 0)
    inodes = {path.stat().st_ino for path in rig.files()}
    assert {path.stat().st_ino for path in backup.objects()} == inodes


def test_copies_on_another_filesystem(rig: Rig, tmp_path: Path) -> None:
    elsewhere = Path("/dev/shm")
    if not os.access(elsewhere, os.W_OK) or elsewhere.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("/dev/shm is no other filesystem that we may write to")
    import tempfile

    with tempfile.TemporaryDirectory(dir=elsewhere) as folder:
        backup = Backup(rig, Path(folder) / "backup")
        rig.append(*(new(letter(f"Number {n}"), internaldate=10.0**9 + n) for n in range(3)))
        rig.append(new(letter("Large", "x" * 5_000_000), flags=("\\Flagged", "word")))
        report = backup.run()
        assert (report.linked, report.copied) == (0, 4)
        assert backup.run().copied == 0
        assert not verify(backup.repository, deep=True).problems
        before = letters(rig.shard)
        rig.store.close()
        backup.restore_whole(rig.path, replace=True)
        rig.reopen()
        assert letters(rig.shard) == before


def test_known_db_is_made_again_from_the_manifests(rig: Rig, backup: Backup) -> None:
    rig.fill(4)
    backup.run()
    (backup.folder / "known.db").write_bytes(b"not a database at all, not one page of it" * 40)
    report = backup.run()
    assert (report.messages, report.linked, report.read_octets) == (4, 0, 0)


def around_the_copy(
    monkeypatch: pytest.MonkeyPatch, before: Callable[[], object], after: Callable[[], object]
) -> None:
    """Something happens in the shard just before the index is copied, and something just after."""
    from mailplat.store.backup import run

    copy_index = run.copy_index

    def copy(source: Path, target: Path) -> None:
        before()
        copy_index(source, target)
        after()

    monkeypatch.setattr(run, "copy_index", copy)


def without_vault(path: Path) -> Rig:
    return Rig(path, StoreLimits(vault_days=0))


@pytest.mark.parametrize("vault_days", [0, 14])
def test_a_point_is_one_moment_whatever_is_done_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vault_days: int
) -> None:
    """Appended before the copy of the index, so that only its second round meets them; then expunged, moved,
    renamed, deleted, flagged before their files are taken."""
    rig = Rig(tmp_path / "s1", StoreLimits(vault_days=vault_days))
    backup = Backup(rig, tmp_path / "backup")
    rig.fill(3)
    rig.shard.create(HOME, "Trash")
    moment: Letters = {}

    def before() -> None:
        rig.fill(4)
        for name in ("Box", "Old", "Tree", "Tree/Leaf"):
            rig.shard.create(HOME, name)
            rig.append(new(letter(f"In {name}"), flags=("\\Flagged",)), mailbox=name)
        rig.shard.move(HOME, rig.inbox.id, [(1, 1)], "Box")
        moment.update(letters(rig.shard))

    def after() -> None:
        rig.shard.expunge_uids(HOME, rig.inbox.id, [(2, 2), (4, 4)])
        rig.shard.move(HOME, rig.inbox.id, [(5, 5)], "Trash")
        rig.shard.move(HOME, rig.shard.mailbox(HOME, "Box").id, None, "Trash")
        rig.shard.store_flags(HOME, rig.inbox.id, None, "add", ["\\Seen", "word"])
        rig.shard.delete(HOME, "Old")
        rig.shard.rename(HOME, "Tree", "Wood")
        rig.append(new(letter("Too late")))
        rig.shard.settle_names()
        rig.shard.sweep()  # held back

    around_the_copy(monkeypatch, before, after)
    report = backup.run()
    assert (report.messages, report.gone) == (11, 0)
    assert not verify(backup.repository, deep=True).problems
    assert rig.shard.sweep() > 0  # goes on behind it
    rig.close()
    other = tmp_path / "other"
    assert backup.restore_whole(other).problems == []
    rig = Rig(other)
    assert letters(rig.shard) == moment
    rig.close()


def test_a_file_that_vanished_is_listed_as_gone(
    rig: Rig, backup: Backup, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.fill(3)

    def unlink() -> None:
        rig.shard.expunge_uids(HOME, rig.inbox.id, [(2, 2), (4, 4)])
        for path in rig.files():
            if path.read_bytes() == letter("Late"):
                path.unlink()

    around_the_copy(monkeypatch, lambda: rig.append(new(letter("Late")), new(letter("Later"))), unlink)
    report = backup.run()
    assert (report.messages, report.gone) == (5, 1)
    rig.store.close()
    whole = backup.restore_whole(rig.path, replace=True)
    assert (whole.messages, whole.gone, whole.problems) == (4, 1, [])
    rig.reopen()
    rows = rig.shard.rows(HOME, rig.inbox.id, None, ("uid",))
    assert [uid for (uid,) in rows] == [1, 2, 3, 5]


def test_a_file_that_another_program_named_is_read_in_every_run(rig: Rig, backup: Backup) -> None:
    """As earlier releases adopted it."""
    rig.fill(1)
    rig.append(new(letter("By hand")))
    rig.shard.settle_names()
    path = next(path for path in rig.files() if ",U=2:" in path.name)
    path.rename(path.with_name("by hand,U=2:2,S"))
    with rig.shard.site.database.write() as connection:
        connection.exec_driver_sql("UPDATE message SET name = 'by hand,U=2:2,S' WHERE uid = 2")
    assert backup.run().messages == 2
    strange = next(path for path in rig.files() if path.name.startswith("by hand"))
    octets = letter("By hinD"[:7])
    strange.write_bytes(octets)
    backup.run()
    entries = list(Manifest(backup.repository.point().manifest).entries())
    assert [entry.unique == "-" for entry in entries] == [False, True]
    backup.run()
    with Catalogue(backup.repository, backup.repository.point()) as catalogue:
        saved = list(catalogue.messages(rig.inbox.id))
    assert catalogue.repository.object(str(saved[1].digest)).read_bytes() == octets


def test_points_are_found_by_time(rig: Rig, backup: Backup) -> None:
    with pytest.raises(NotFound):
        backup.repository  # noqa: B018 - opens it
    first, second = backup.run().point, backup.run().point
    repository = backup.repository
    assert [point.name for point in repository.points()] == [first, second]
    assert repository.point().name == repository.point(second[:8]).name == second
    assert repository.point(f"{first[:4]}-{first[4:6]}-{first[6:8]}").name == second
    assert repository.point(first).name == first
    with pytest.raises(NotFound):
        repository.point("1999-12-31")
    with pytest.raises(InvalidInput):
        repository.point("yesterday")


def test_a_folder_that_is_no_backup_or_another_shards_is_refused(
    rig: Rig, backup: Backup, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("precious")
    with pytest.raises(InvalidInput):
        Repository.create(tmp_path / "mine", "s1")
    backup.run()
    with pytest.raises(InvalidInput):
        Repository.create(backup.folder, "s2")


def test_one_run_at_a_time(rig: Rig, backup: Backup) -> None:
    backup.run()
    with backup.repository.lock(exclusive=False), pytest.raises(Unavailable):
        backup.run()


def test_verify_finds_what_is_damaged_and_the_next_run_heals_it(rig: Rig, tmp_path: Path) -> None:
    rig.fill(4)
    backup = Backup(rig, tmp_path / "backup")
    backup.run()
    flipped, missing, cut, _ = backup.objects()
    octets = bytearray(flipped.read_bytes())
    octets[len(octets) // 2] ^= 1
    for path, content in ((flipped, bytes(octets)), (cut, cut.read_bytes()[:-3])):
        path.unlink()  # a file of its own: not the shard's
        path.write_bytes(content)
    missing.unlink()
    shallow = verify(backup.repository)
    assert sorted(problem.kind for problem in shallow.problems) == ["damaged", "missing"]
    assert [problem.kind for problem in verify(backup.repository, deep=True).problems].count("damaged") == 1
    backup.run()
    assert not verify(backup.repository, deep=True).problems


@pytest.mark.parametrize("harm", ["cut", "flip", "gone", "index", "directory"])
def test_verify_finds_a_damaged_point(rig: Rig, backup: Backup, harm: str) -> None:
    rig.fill(3)
    backup.run()
    point = backup.repository.point()
    path = {"index": point.index, "directory": point.directory}.get(harm, point.manifest)
    octets = bytearray(path.read_bytes())
    octets[len(octets) // 2] ^= 1
    if harm == "gone":
        path.unlink()
    else:
        path.write_bytes(octets[: -len(octets) // 3] if harm == "cut" else octets)
    (problem,) = verify(backup.repository).problems
    assert problem.kind == "point"
    with pytest.raises(Unavailable):
        backup.restore(beside=True)
    if path == point.manifest:  # what a point needs stands in its manifest
        with pytest.raises(Unavailable):
            prune(backup.repository, 1)
    assert len(backup.objects()) == 3


def test_prune_removes_points_and_what_only_they_needed(tmp_path: Path) -> None:
    rig = without_vault(tmp_path / "s1")
    backup = Backup(rig, tmp_path / "backup")
    rig.fill(3)
    backup.run()
    rig.shard.expunge_uids(HOME, rig.inbox.id, [(1, 2)])
    rig.shard.sweep()
    rig.append(new(letter("Fresh")))
    backup.run()
    report = prune(backup.repository, 1)
    assert (report.points, report.kept, report.objects) == (1, 1, 2)
    assert len(backup.objects()) == 2
    assert not verify(backup.repository, deep=True).problems
    assert (backup.run().linked, prune(backup.repository, 5).objects) == (0, 0)
    with pytest.raises(InvalidInput):
        prune(backup.repository, 0)
    rig.close()


def test_a_run_while_mail_comes_and_goes(rig: Rig, backup: Backup) -> None:
    """The load goes on until the run has ended; test_load.py compares with a ledger."""
    rig.fill(200)
    done = threading.Event()

    def live() -> None:
        while not done.is_set():
            uid = rig.append(new(letter("Busy")))[0].uid
            rig.shard.expunge_uids(HOME, rig.inbox.id, [(uid, uid)])
            rig.shard.settle_names()

    thread = threading.Thread(target=live)
    thread.start()
    try:
        report = backup.run()
    finally:
        done.set()
        thread.join()
    assert report.messages - report.gone >= 200
    assert not verify(backup.repository, deep=True).problems
