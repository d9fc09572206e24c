"""A whole shard brought back: what is in it, and what its clients may believe of UIDs."""

import os
from pathlib import Path

import pytest

from mailplat.core.clock import ManualClock, SystemClock
from mailplat.core.errors import AlreadyExists, InvalidInput, Unavailable
from mailplat.core.route import Residence
from mailplat.store.repair import rebuild, verify
from mailplat.store.vault import owner
from mailplat.store.vault.finding import find
from mailplat.store.vault.prune import purge
from tests.store.backup.conftest import Backup, letters
from tests.store.conftest import HOME, Rig, letter, new

BOB = Residence(2, "s1", 1)


def seen(rig: Rig, home: Residence = HOME) -> dict[tuple[int, int], bytes]:
    """(UIDVALIDITY, UID) -> octets: what a client of the account knows by now."""
    return {
        (mailbox.uidvalidity, uid): octets
        for mailbox in rig.shard.mailboxes(home)
        for uid, octets in rig.shard.octets_many(home, mailbox.id, None)
    }


def furnish(rig: Rig) -> None:
    rig.shard.grant(2, 1)
    rig.append(*(new(letter(f"Number {n}"), internaldate=10.0**9 + n) for n in range(4)))
    rig.append(new(letter("Kept"), flags=("\\Flagged", "Word", "word2"), internaldate_zone=-90, uidl="old-1"))
    rig.shard.create(HOME, "Box/Höhe", special_use="\\Archive")
    rig.shard.copy(HOME, rig.inbox.id, [(2, 5)], "Box/Höhe")
    rig.shard.subscribe(HOME, "Box/Höhe", True)
    rig.deliver([(HOME, "INBOX", 0), (BOB, "INBOX", 0)], new(letter("To both")))
    rig.shard.store_flags(HOME, rig.inbox.id, [(1, 2)], "add", ["\\Seen", "late"])
    rig.shard.expunge_uids(HOME, rig.inbox.id, [(3, 3)])


def go_on(rig: Rig) -> None:
    """The shard's life after the point."""
    rig.append(*(new(letter(f"After {n}")) for n in range(3)))
    rig.shard.expunge_uids(HOME, rig.inbox.id, [(1, 1), (7, 7)])
    rig.shard.store_flags(HOME, rig.inbox.id, [(2, 2)], "set", [])
    rig.shard.create(HOME, "New")
    rig.append(new(letter("In a new mailbox")), mailbox="New")
    rig.shard.settle_names()
    rig.shard.sweep()


def test_back_into_place_with_uids_that_go_on(rig: Rig, backup: Backup) -> None:
    furnish(rig)
    before, known = letters(rig.shard), seen(rig)
    backup.run()
    go_on(rig)
    inbox, known = rig.inbox, known | seen(rig)
    rig.store.close()
    report = backup.restore_whole(rig.path, replace=True)
    assert (report.accounts, report.messages, report.renumbered, report.problems) == (2, 10, 0, [])
    assert {"index.db", "accounts"} <= {path.name for path in Path(report.aside).iterdir()}
    rig.reopen()
    assert letters(rig.shard) == before
    assert rig.shard.subscriptions(HOME) == ["Box/Höhe"]
    now = rig.inbox
    assert (now.id, now.uidvalidity) == (inbox.id, inbox.uidvalidity)
    assert now.uidnext >= inbox.uidnext
    assert now.modseq > inbox.modseq
    rig.shard.create(HOME, "Newer")
    for name in ("INBOX", "Newer"):
        rig.append(new(letter("Newest")), mailbox=name)
    for pair, octets in seen(rig).items():
        assert known.get(pair, octets) == octets
    assert verify(rig.shard, sweep_hours=0).problems == []


def test_a_client_that_knows_the_later_state_is_told_all_that_changed(rig: Rig, backup: Backup) -> None:
    furnish(rig)
    backup.run()
    go_on(rig)
    known = rig.inbox.modseq
    rig.store.close()
    backup.restore_whole(rig.path, replace=True)
    rig.reopen()
    told = rig.shard.changes(HOME, rig.inbox.id, known)
    assert [uid for uid, _, _ in told.changed] == [1, 2, 4, 5, 6]
    # What went is not known one by one: the mailbox is told as it is.
    assert told.present is not None
    assert list(told.present) == [1, 2, 4, 5, 6]


def same_as_known(known: dict[tuple[int, int], bytes], rig: Rig, home: Residence = HOME) -> bool:
    return all(known.get(pair, octets) == octets for pair, octets in seen(rig, home).items())


def test_in_an_empty_place_uids_stay_and_later_ones_leap(rig: Rig, backup: Backup, tmp_path: Path) -> None:
    """Nobody can say which UIDs were given behind the point: the next ones are beyond all of them."""
    furnish(rig)
    before, known = letters(rig.shard), seen(rig)
    numbers = [(box.name, box.uidvalidity) for box in rig.shard.mailboxes(HOME)]
    uidls = [uidl for (uidl,) in rig.shard.rows(HOME, rig.inbox.id, None, ("uidl",))]
    backup.run()
    go_on(rig)
    modseq, known = rig.inbox.modseq, known | seen(rig)
    report = backup.restore_whole(tmp_path / "elsewhere")
    assert (report.renumbered, report.mailboxes) == (0, 4)
    other = Rig(tmp_path / "elsewhere")
    try:
        assert letters(other.shard) == before
        assert [(box.name, box.uidvalidity) for box in other.shard.mailboxes(HOME)] == numbers
        assert other.inbox.modseq > modseq
        assert other.append(new(letter("Newest")))[0].uid > 1_000_000
        other.shard.create(HOME, "New")
        other.append(new(letter("Newest")), mailbox="New")
        assert same_as_known(known, other)
        kept = [uidl for (uidl,) in other.shard.rows(HOME, other.inbox.id, None, ("uidl",))]
        assert kept[:-1] == uidls  # POP3 clients download nothing twice
        other.shard.settle_names()
        rebuilt = rebuild(other.shard)
        assert rebuilt.problems == []
        again = [uidl for (uidl,) in other.shard.rows(HOME, other.inbox.id, None, ("uidl",))]
        assert again == kept
        assert other.inbox.uidnext > 1_000_000
    finally:
        other.close()


def test_an_older_point_leaps_further_and_without_room_gets_a_new_uidvalidity(
    rig: Rig, backup: Backup, tmp_path: Path
) -> None:
    furnish(rig)
    known = seen(rig)
    uidls = [uidl for (uidl,) in rig.shard.rows(HOME, rig.inbox.id, None, ("uidl",))]
    backup.run()
    after = {}
    for days in (0, 10, 300):
        path = tmp_path / f"after{days}"
        clock = ManualClock(SystemClock().now() + days * 86_400)
        report = backup.restore_whole(path, clock=clock)
        assert report.renumbered == (report.mailboxes if days == 300 else 0)
        after[days] = Rig(path)
    try:
        assert after[10].inbox.uidnext - after[0].inbox.uidnext >= 864_000
        other = after[300]
        other.append(new(letter("Newest")))
        assert not known.keys() & seen(other).keys()
        kept = [uidl for (uidl,) in other.shard.rows(HOME, other.inbox.id, None, ("uidl",))]
        assert kept[:-1] == uidls
    finally:
        for each in after.values():
            each.close()


def test_a_mailbox_that_was_deleted_since_comes_back_with_a_new_uidvalidity(rig: Rig, backup: Backup) -> None:
    furnish(rig)
    old = rig.shard.mailbox(HOME, "Box/Höhe").uidvalidity
    backup.run()
    rig.shard.delete(HOME, "Box/Höhe")
    rig.shard.create(HOME, "Box/Höhe")
    newer = rig.shard.mailbox(HOME, "Box/Höhe").uidvalidity
    rig.store.close()
    assert backup.restore_whole(rig.path, replace=True).renumbered == 1
    rig.reopen()
    assert rig.shard.mailbox(HOME, "Box/Höhe").uidvalidity > max(old, newer)


def test_the_vault_and_legal_holds_come_back_in_an_empty_place(
    rig: Rig, backup: Backup, tmp_path: Path
) -> None:
    furnish(rig)
    owner.hold(rig.shard.site, 1, address="ann@example.test", reason="case 7", by="root")
    rig.shard.delete(HOME, "Box/Höhe")
    rig.shard.remove_account(BOB, address="bob@example.test")
    rig.shard.sweep()
    rig.shard.expunge_uids(HOME, rig.inbox.id, [(5, 5)])  # its file still waits for its move

    def kept(each: Rig) -> list[tuple[object, ...]]:
        site = each.shard.site
        return [
            (item.mailbox, item.uid, item.reason, item.at, item.internaldate, set(item.flags.split()),
             item.subject, (site.path / item.path).read_bytes())
            for item in sorted(find(site, [1, 2]), key=lambda item: (item.mailbox, item.uid, item.account_id))
        ]  # fmt: skip

    report = backup.run()
    rig.shard.sweep()
    before = kept(rig)
    assert report.vault == len(before) == 7
    assert backup.restore_whole(tmp_path / "elsewhere").vault == 7
    other = Rig(tmp_path / "elsewhere")
    try:
        assert kept(other) == before
        assert owner.owners(other.shard.site) == owner.owners(rig.shard.site)
        assert verify(other.shard, sweep_hours=0).problems == []
        with pytest.raises(InvalidInput, match="legal hold"):
            purge(other.shard.site, 1)
        rebuild(other.shard)
        assert kept(other) == before
    finally:
        other.close()


def test_in_place_the_vault_stays_what_it_is(rig: Rig, backup: Backup) -> None:
    furnish(rig)
    rig.shard.expunge_uids(HOME, rig.inbox.id, [(1, 1)])
    rig.shard.sweep()
    backup.run()
    purge(rig.shard.site, 1)  # also UID 3, of furnish
    rig.shard.expunge_uids(HOME, rig.inbox.id, [(2, 2)])
    rig.shard.sweep()
    rig.store.close()
    assert backup.restore_whole(rig.path, replace=True).vault == 0
    rig.reopen()
    assert [item.uid for item in find(rig.shard.site, [1])] == [2]
    assert verify(rig.shard, sweep_hours=0).problems == []


def test_an_old_index_that_cannot_be_read_vouches_for_nothing(rig: Rig, backup: Backup) -> None:
    furnish(rig)
    backup.run()
    go_on(rig)
    known = seen(rig)
    rig.store.close()
    (rig.path / "index.db").write_bytes(b"\0" * 10_000)
    report = backup.restore_whole(rig.path, replace=True)
    assert report.renumbered == 0
    rig.reopen()
    rig.append(new(letter("Newest")))
    assert same_as_known(known, rig)


def test_a_shard_with_accounts_is_not_replaced_unasked_nor_in_use(rig: Rig, backup: Backup) -> None:
    rig.fill(1)
    backup.run()
    with pytest.raises(Unavailable, match="in use"):
        backup.restore_whole(rig.path, replace=True)
    rig.store.close()
    with pytest.raises(AlreadyExists):
        backup.restore_whole(rig.path)
    rig.reopen()
    assert rig.inbox.messages == 1


def test_accounts_that_live_elsewhere_are_left_out(rig: Rig, backup: Backup) -> None:
    furnish(rig)
    backup.run()
    rig.store.close()
    report = backup.restore_whole(rig.path, replace=True, elsewhere={2})
    assert (report.accounts, report.elsewhere) == (1, 1)
    rig.reopen()
    assert rig.shard.mailboxes(BOB) == []
    rig.shard.grant(2, 5)  # it moves back
    assert rig.shard.mailbox(Residence(2, "s1", 5), "INBOX").messages == 0
    assert verify(rig.shard, sweep_hours=0).problems == []


def test_an_epoch_does_not_go_back(rig: Rig, backup: Backup) -> None:
    rig.fill(1)
    backup.run()
    rig.shard.grant(1, 7)
    rig.store.close()
    backup.restore_whole(rig.path, replace=True)
    rig.reopen()
    assert rig.append(new(), home=Residence(1, "s1", 7))[0].uid > 1


def test_octets_that_are_damaged_or_missing_do_not_come_back(rig: Rig, backup: Backup) -> None:
    rig.fill(3)
    backup.run()
    one, other, _ = backup.objects()
    content = one.read_bytes()
    one.unlink()
    one.write_bytes(content[:-1] + b"?")
    other.unlink()
    rig.store.close()
    report = backup.restore_whole(rig.path, replace=True)
    assert sorted(problem.kind for problem in report.problems) == ["damaged", "missing"]
    rig.reopen()
    assert rig.inbox.messages == 1
    assert verify(rig.shard, sweep_hours=0).problems == []


def test_dates_are_kept_where_two_messages_share_their_octets(rig: Rig, backup: Backup) -> None:
    rig.append(new(internaldate=10.0**9), new(internaldate=1.1 * 10**9))
    before = letters(rig.shard)
    backup.run()
    rig.store.close()
    backup.restore_whole(rig.path, replace=True)
    rig.reopen()
    assert letters(rig.shard) == before
    rig.store.close()
    os.unlink(rig.path / "index.db")
    rig.rebuild()
    assert letters(rig.shard) == before
