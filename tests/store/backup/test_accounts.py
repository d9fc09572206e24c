"""Accounts and single mailboxes brought back while the shard is in use."""

from pathlib import Path

import pytest

from mailplat.core.errors import NotFound, OverQuota
from mailplat.core.rights import parse
from mailplat.core.route import Residence
from mailplat.store.annotations import ACCOUNT
from mailplat.store.types import Entry
from tests.store.backup.conftest import Backup, letters
from tests.store.conftest import HOME, Rig, letter, new


def furnish(rig: Rig) -> None:
    rig.append(*(new(letter(f"Number {n}"), internaldate=10.0**9 + n) for n in range(4)))
    rig.append(new(letter("Kept"), flags=("\\Flagged", "Word"), internaldate_zone=60))
    rig.shard.create(HOME, "Box/Sent", special_use="\\Sent")
    rig.append(new(letter("Sent")), mailbox="Box/Sent")


def test_one_mailbox_beside(rig: Rig, backup: Backup) -> None:
    furnish(rig)
    before = letters(rig.shard)
    backup.run()
    rig.shard.expunge_uids(HOME, rig.inbox.id, None)
    rig.append(new(letter("Newer")))
    report = backup.restore(beside=True, mailbox="inbox")
    assert (report.mailboxes, report.restored, report.problems) == (1, 5, [])
    folder = f"Restored {backup.repository.point().day}"
    after = letters(rig.shard)
    assert after[f"{folder}/INBOX"] == before["INBOX"]
    assert [octets for octets, _, _ in after["INBOX"]] == [letter("Newer")]
    assert after.keys() - before.keys() == {folder, f"{folder}/INBOX"}
    assert backup.restore(beside=True, mailbox="INBOX").restored == 0  # once more brings nothing twice


def test_an_account_beside(rig: Rig, backup: Backup) -> None:
    furnish(rig)
    before = letters(rig.shard)
    backup.run()
    report = backup.restore(beside=True)
    assert (report.mailboxes, report.restored) == (3, 6)
    folder = f"Restored {backup.repository.point().day}"
    after = letters(rig.shard)
    assert {name: after[f"{folder}/{name}"] for name in before} == before
    assert [mailbox.special_use for mailbox in rig.shard.mailboxes(HOME)].count("\\Sent") == 1


def test_into_place_brings_what_is_missing_and_leaves_the_rest(rig: Rig, backup: Backup) -> None:
    furnish(rig)
    before = letters(rig.shard)
    uidls = dict(rig.shard.rows(HOME, rig.inbox.id, None, ("uid", "uidl")))
    backup.run()
    rig.shard.expunge_uids(HOME, rig.inbox.id, [(2, 2), (5, 5)])
    rig.shard.store_flags(HOME, rig.inbox.id, [(1, 1)], "add", ["\\Answered"])
    rig.append(new(letter("Newer")))
    rig.shard.delete(HOME, "Box/Sent")
    report = backup.restore(beside=False)
    assert (report.restored, report.present) == (3, 3)
    after = letters(rig.shard)
    assert sorted(octets for octets, _, _ in after["INBOX"]) == sorted(
        [letter("Newer"), *(octets for octets, _, _ in before["INBOX"])]
    )
    assert after["Box/Sent"] == before["Box/Sent"]
    assert before["INBOX"][4] in after["INBOX"]  # flags, keywords and date
    rows = rig.shard.rows(HOME, rig.inbox.id, None, ("uid", "flags", "uidl"))
    assert [uid for uid, _, _ in rows] == [1, 3, 4, 6, 7, 8]  # never an old UID
    assert rows[0][1] == ("\\Answered",)  # what was there is as it was
    assert [rows[4][2], rows[5][2]] == [uidls[2], uidls[5]]
    assert backup.restore(beside=False).restored == 0


def test_a_message_that_was_moved_is_not_brought_again(rig: Rig, backup: Backup) -> None:
    furnish(rig)
    backup.run()
    rig.shard.create(HOME, "Archive")
    rig.shard.move(HOME, rig.inbox.id, [(1, 2)], "Archive")
    rig.shard.rename(HOME, "Box/Sent", "Box/Gone out")
    assert backup.restore(beside=False).restored == 0
    assert backup.restore(beside=False, mailbox="INBOX").restored == 2  # that mailbox lacks them


def test_each_of_two_copies_counts(rig: Rig, backup: Backup) -> None:
    rig.append(new(internaldate=10.0**9), new(internaldate=10.0**9))
    backup.run()
    rig.shard.expunge_uids(HOME, rig.inbox.id, [(1, 1)])
    assert backup.restore(beside=False).restored == 1
    assert backup.restore(beside=False).restored == 0
    assert rig.inbox.messages == 2


def test_into_an_account_of_another_number_on_an_empty_platform(
    rig: Rig, backup: Backup, tmp_path: Path
) -> None:
    furnish(rig)
    before = letters(rig.shard)
    backup.run(ann=1)
    other = Rig(tmp_path / "other")
    try:
        home = Residence(42, "s1", 3)
        report = backup.restore(beside=False, home=home, rig=other)
        assert report.restored == 6
        assert letters(other.shard, home) == before
    finally:
        other.close()


def test_the_quota_holds_and_what_came_before_it_stays(rig: Rig, backup: Backup) -> None:
    rig.fill(150)
    used, _ = rig.shard.usage(HOME)
    backup.run()
    rig.shard.expunge_uids(HOME, rig.inbox.id, None)
    with pytest.raises(OverQuota, match="100 messages were restored"):
        backup.restore(beside=False, quota=used * 5 // 6)
    assert rig.inbox.messages == 100
    assert backup.restore(beside=False, quota=used).restored == 50


def test_what_the_point_does_not_have_is_not_found(rig: Rig, backup: Backup) -> None:
    rig.fill(1)
    backup.run()
    with pytest.raises(NotFound):
        backup.restore(beside=True, mailbox="Elsewhere")
    with pytest.raises(NotFound):
        backup.restore(beside=True, account=99)
    rig.fill(1)
    with pytest.raises(NotFound):
        backup.restore(beside=True, point="2001-01-01")


def test_a_damaged_object_is_reported_and_not_delivered(rig: Rig, backup: Backup) -> None:
    rig.fill(2)
    backup.run()
    rig.shard.expunge_uids(HOME, rig.inbox.id, None)
    path = backup.objects()[0]
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content.replace(b"Number", b"Nummer"))
    report = backup.restore(beside=True)
    assert (report.restored, [problem.kind for problem in report.problems]) == (1, ["damaged"])


def test_annotations_come_back_where_there_are_none(rig: Rig, backup: Backup) -> None:
    furnish(rig)
    rig.shard.annotate(HOME, rig.inbox.id, {"/private/a": b"1", "/private/b": b"2"})
    rig.shard.annotate(HOME, ACCOUNT, {"/private/c": b"3"})
    rig.shard.annotate(HOME, rig.shard.mailbox(HOME, "Box").id, {"/private/a": b"4"})
    backup.run()
    rig.shard.annotate(HOME, rig.inbox.id, {"/private/a": None, "/private/b": b"newer"})
    rig.shard.annotate(HOME, ACCOUNT, {"/private/c": None})
    backup.restore(beside=True, mailbox="Box")
    folder = f"Restored {backup.repository.point().day}"
    assert rig.shard.annotations(HOME, rig.shard.mailbox(HOME, f"{folder}/Box").id) == {"/private/a": b"4"}
    assert rig.shard.annotations(HOME, ACCOUNT) == {}
    assert backup.restore(beside=False).problems == []
    assert rig.shard.annotations(HOME, rig.inbox.id) == {"/private/a": b"1", "/private/b": b"newer"}
    assert rig.shard.annotations(HOME, ACCOUNT) == {"/private/c": b"3"}


def test_rights_come_back_with_a_mailbox_that_is_made_anew(rig: Rig, backup: Backup) -> None:
    """Where it is there, its owner may have taken them back; what is laid beside is his alone."""
    furnish(rig)
    entry = {"bob@example.test": Entry(2, parse("lr"))}
    for name in ("INBOX", "Box"):
        number = rig.shard.mailbox(HOME, name).id
        rig.shard.change_acl(HOME, number, "bob@example.test", 2, "", parse("lr"))
    backup.run()
    rig.shard.change_acl(HOME, rig.inbox.id, "bob@example.test", 2, "", parse(""))
    backup.restore(beside=True, mailbox="Box")
    folder = f"Restored {backup.repository.point().day}"
    assert rig.shard.acl(HOME, rig.shard.mailbox(HOME, f"{folder}/Box").id) == {}
    rig.shard.delete(HOME, "Box")
    backup.restore(beside=False)
    assert rig.shard.acl(HOME, rig.shard.mailbox(HOME, "Box").id) == entry
    assert rig.shard.acl(HOME, rig.inbox.id) == {}


def test_annotations_that_find_no_room(rig: Rig, backup: Backup) -> None:
    rig.shard.annotate(HOME, rig.inbox.id, {"/private/old": b"1"})
    backup.run()
    most = rig.shard.site.limits.annotations
    values: dict[str, bytes | None] = {f"/private/{n}": b"" for n in range(most)}
    rig.shard.annotate(HOME, rig.inbox.id, {"/private/old": None, **values})
    [problem] = backup.restore(beside=False).problems
    assert (problem.kind, problem.path) == ("description", "INBOX")
    assert len(rig.shard.annotations(HOME, rig.inbox.id)) == most
