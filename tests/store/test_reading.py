"""rows, octets, snapshot, changes."""

import os
import threading
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.core.errors import InvalidInput, NotFound, Unavailable
from mailplat.store import Snapshot, StoreLimits
from mailplat.store.fetch import merge_ranges
from tests.store.conftest import HOME, Rig, letter, new


def test_columns_come_in_the_order_asked(rig: Rig) -> None:
    octets = letter("Grüße", extra="Date: Sat, 1 Feb 2020 10:00:00 +0100\r\nMessage-ID: <1@x>\r\nCc: c@x\r\n")
    rig.append(new(octets, internaldate=1_500_000_000, internaldate_zone=120, flags=("\\Seen", "Kw")))
    wanted = [
        "size",
        "flags",
        "uid",
        "subject",
        "from",
        "to",
        "cc",
        "bcc",
        "message_id",
        "sent",
        "internaldate",
    ]
    ((size, flags, uid, *text),) = rig.shard.rows(HOME, rig.inbox.id, None, wanted)
    assert (size, flags, uid) == (len(octets), ("\\Seen", "Kw"), 1)
    assert text == [
        "Grüße", "Ann <ann@example.test>", "bob@example.test", "c@x", "", "<1@x>", 1580547600, 1_500_000_000,
    ]  # fmt: skip
    ((zone, uidl, header_size, saved),) = rig.shard.rows(
        HOME, rig.inbox.id, [(1, 1)], ["internaldate_zone", "uidl", "header_size", "saved_at"]
    )
    assert (zone, uidl) == (120, f"{rig.inbox.uidvalidity}.1")
    assert header_size == octets.index(b"\r\n\r\n") + 4
    assert saved > 1_600_000_000


def test_ranges(rig: Rig) -> None:
    rig.fill(10)
    ask = lambda uids: [uid for (uid,) in rig.shard.rows(HOME, rig.inbox.id, uids, ["uid"])]  # noqa: E731
    assert ask(None) == list(range(1, 11))
    assert ask([(8, 6), (1, 2), (2, 2), (40, 2**32 - 1)]) == [1, 2, 6, 7, 8]
    assert ask([]) == []
    assert ask([(uid, uid) for uid in range(1, 3000, 2)]) == [1, 3, 5, 7, 9]


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60)), max_size=20))
def test_merged_ranges_name_the_same_numbers(pairs: list[tuple[int, int]]) -> None:
    merged = merge_ranges(pairs)
    wanted = {n for low, high in pairs for n in range(min(low, high), max(low, high) + 1)}
    assert [n for low, high in merged for n in range(low, high + 1)] == sorted(wanted)


def test_a_column_that_is_none(rig: Rig) -> None:
    for columns in (["uid; DROP TABLE message"], [], ["name"]):
        with pytest.raises(InvalidInput):
            rig.shard.rows(HOME, rig.inbox.id, None, columns)


def test_reading_what_is_gone(rig: Rig) -> None:
    rig.fill(2)
    rig.shard.expunge_uids(HOME, rig.inbox.id, [(1, 1)])
    assert rig.shard.octets(HOME, rig.inbox.id, 1) is None
    assert rig.shard.open(HOME, rig.inbox.id, 1) is None
    assert [uid for uid, _ in rig.shard.octets_many(HOME, rig.inbox.id, None)] == [2]
    with pytest.raises(NotFound):
        rig.shard.octets(HOME, 999, 1)


def test_a_file_under_another_name_is_found(rig: Rig) -> None:
    """The moment between the namer's rename and its commit, or a power cut that undid the rename."""
    rig.append(new(b"octets"))
    (path,) = rig.files()
    os.rename(path, path.parent.parent / "cur" / f"{path.name},U=1:2,FS")
    assert rig.shard.octets(HOME, rig.inbox.id, 1) == b"octets"
    file = rig.shard.open(HOME, rig.inbox.id, 1)
    assert file is not None
    with file:
        assert file.read() == b"octets"
    assert list(rig.shard.octets_many(HOME, rig.inbox.id, None)) == [(1, b"octets")]


def test_octets_are_those_of_the_file_whatever_the_index_says(rig: Rig) -> None:
    rig.append(new(b"octets"))
    (path,) = rig.files()
    for octets in (b"longer than the index says" * 100_000, b"short", b""):
        path.write_bytes(octets)
        assert list(rig.shard.octets_many(HOME, rig.inbox.id, None)) == [(1, octets)]


def test_contents_of_rows_that_were_read_before(rig: Rig) -> None:
    """Meanwhile one was expunged and its file swept, one got another name, one is in no place to be found."""
    for octets in (b"one", b"two", b"three", b"four"):
        rig.append(new(octets))
    rows = rig.shard.rows(HOME, rig.inbox.id, None, ("uid", "file", "size"))
    rig.shard.expunge_uids(HOME, rig.inbox.id, [(2, 2)])
    rig.shard.sweep()
    rig.shard.store_flags(HOME, rig.inbox.id, [(3, 3)], "add", ("\\Seen",))
    rig.shard.settle_names()
    contents = rig.shard.contents(HOME, rig.inbox.id, rows)
    assert [next(contents), next(contents), next(contents)] == [b"one", None, b"three"]
    for path in rig.files():
        if path.read_bytes() == b"four":
            path.unlink()
    with pytest.raises(Unavailable, match="shard verify"):
        next(contents)


def test_contents_of_a_mailbox_below_inbox(rig: Rig) -> None:
    archive = rig.shard.create(HOME, "Archive")
    rig.append(new(b"octets"))
    rig.shard.copy(HOME, rig.inbox.id, None, "Archive")
    for _ in range(2):
        rows = rig.shard.rows(HOME, archive.id, None, ("uid", "file", "size"))
        assert list(rig.shard.contents(HOME, archive.id, rows)) == [b"octets"]
        rig.shard.settle_names()  # from new/ to cur/


def test_a_missing_file_is_said_to_be_missing(rig: Rig) -> None:
    rig.append(new())
    rig.files()[0].unlink()
    with pytest.raises(Unavailable, match="shard verify"):
        rig.shard.octets(HOME, rig.inbox.id, 1)


def test_a_link_does_not_lead_out_of_the_account(rig: Rig, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("of another tenant")
    rig.append(new())
    (path,) = rig.files()
    path.unlink()
    path.symlink_to(secret)
    with pytest.raises(Unavailable):
        rig.shard.octets(HOME, rig.inbox.id, 1)


class TestSnapshot:
    def test_says_all(self, rig: Rig) -> None:
        rig.append(new(), new(flags=("\\Seen",)), new(flags=("Kw", "\\Seen")), new(flags=("\\Seen",)))
        snapshot = rig.shard.snapshot(HOME, rig.inbox.id)
        assert list(snapshot.uids) == [1, 2, 3, 4]
        assert [snapshot.flagsets[number] for number in snapshot.flags] == [
            (), ("\\Seen",), ("\\Seen", "Kw"), ("\\Seen",),
        ]  # fmt: skip
        inbox = rig.inbox
        assert (snapshot.uidvalidity, snapshot.uidnext, snapshot.modseq) == (
            inbox.uidvalidity, inbox.uidnext, inbox.modseq,
        )  # fmt: skip

    def test_is_kept_until_something_changes(self, rig: Rig) -> None:
        rig.fill(3)
        first = rig.shard.snapshot(HOME, rig.inbox.id)
        assert rig.shard.snapshot(HOME, rig.inbox.id) is first
        rig.shard.store_flags(HOME, rig.inbox.id, [(2, 2)], "add", ["\\Seen"])
        second = rig.shard.snapshot(HOME, rig.inbox.id)
        assert second is not first
        assert second.flagsets[second.flags[1]] == ("\\Seen",)

    def test_notices_a_backfill(self, rig: Rig) -> None:
        """A move may put a message below UIDNEXT and below the highest MODSEQ."""
        rig.append(new(uid=9, modseq=1000))
        assert list(rig.shard.snapshot(HOME, rig.inbox.id).uids) == [9]
        rig.append(new(uid=4, modseq=10))
        assert list(rig.shard.snapshot(HOME, rig.inbox.id).uids) == [4, 9]

    def test_keeps_no_more_than_it_may(self, tmp_path: Path) -> None:
        rig = Rig(tmp_path / "s1", StoreLimits(snapshots=2, snapshot_messages=5))
        for name in ("a", "b", "c"):
            rig.shard.create(HOME, name)
            rig.fill(2, name)
        taken = [rig.shard.snapshot(HOME, rig.shard.mailbox(HOME, name).id) for name in ("a", "b", "c")]
        again = [rig.shard.snapshot(HOME, rig.shard.mailbox(HOME, name).id) for name in ("c", "b", "a")]
        assert again[0] is taken[2]
        assert again[1] is taken[1]
        assert again[2] is not taken[0]
        rig.fill(6)
        assert rig.shard.snapshot(HOME, rig.inbox.id) is not rig.shard.snapshot(HOME, rig.inbox.id)
        rig.close()

    def test_an_older_one_brought_forward_is_the_present_one(self, rig: Rig) -> None:
        """Beside a process that reads everything each time."""
        reader = Rig(rig.path, StoreLimits(snapshot_messages=0))
        random = Random(3)
        rig.fill(20)

        def seen(snapshot: Snapshot) -> tuple[object, ...]:
            flags = [snapshot.flagsets[number] for number in snapshot.flags]
            return (
                snapshot.uidnext,
                snapshot.modseq,
                *zip(snapshot.uids, snapshot.modseqs, flags, strict=True),
            )

        for step in range(150):
            before = rig.shard.snapshot(HOME, rig.inbox.id)
            kept = seen(before)
            for _ in range(random.randint(1, 3)):
                uid = random.randint(1, before.uidnext)
                match random.randrange(4):
                    case 0:
                        rig.append(new(), new(flags=(f"kw{step % 7}",)))
                    case 1:
                        rig.shard.store_flags(
                            HOME, rig.inbox.id, [(uid, uid + 2)], "add", ["\\Seen", f"kw{step % 5}"]
                        )
                    case 2:
                        rig.shard.store_flags(HOME, rig.inbox.id, [(uid, uid)], "remove", ["\\Seen"])
                    case 3:
                        rig.shard.expunge_uids(HOME, rig.inbox.id, [(uid, uid)])
            assert seen(rig.shard.snapshot(HOME, rig.inbox.id)) == seen(
                reader.shard.snapshot(HOME, rig.inbox.id)
            )
            assert seen(before) == kept, "views are made from it"
        reader.close()

    def test_another_process_sees_keywords_made_here(self, rig: Rig) -> None:
        other = Rig(rig.path)
        rig.append(new(flags=("one",)))
        other.shard.snapshot(HOME, rig.inbox.id)
        rig.append(new(flags=("two", "one")))
        snapshot = other.shard.snapshot(HOME, rig.inbox.id)
        assert [snapshot.flagsets[number] for number in snapshot.flags] == [("one",), ("one", "two")]
        other.append(new(flags=("three",)))
        rig.append(new(flags=("three", "four")))
        assert rig.shard.rows(HOME, rig.inbox.id, [(3, 4)], ["flags"]) == [
            (("three",),),
            (("three", "four"),),
        ]
        other.close()


class TestChanges:
    def test_nothing(self, rig: Rig) -> None:
        rig.fill(1)
        changes = rig.shard.changes(HOME, rig.inbox.id, rig.inbox.modseq)
        assert (changes.modseq, changes.uidnext, list(changes.changed), list(changes.expunged)) == (
            rig.inbox.modseq, 2, [], [],
        )  # fmt: skip

    def test_new_changed_gone(self, rig: Rig) -> None:
        rig.fill(3)
        since = rig.inbox.modseq
        rig.fill(2)
        rig.shard.store_flags(HOME, rig.inbox.id, [(2, 2)], "add", ["\\Seen"])
        rig.shard.expunge_uids(HOME, rig.inbox.id, [(1, 1), (5, 5)])
        changes = rig.shard.changes(HOME, rig.inbox.id, since)
        assert [(uid, flags) for uid, _, flags in changes.changed] == [(2, ("\\Seen",)), (4, ())]
        assert changes.expunged == [1, 5]
        assert changes.modseq == rig.inbox.modseq

    def test_of_a_mailbox_that_was_deleted(self, rig: Rig) -> None:
        made = rig.shard.create(HOME, "x")
        rig.shard.delete(HOME, "x")
        with pytest.raises(NotFound):
            rig.shard.changes(HOME, made.id, 0)


def test_readers_never_miss_a_message_while_names_change(rig: Rig) -> None:
    rig.append(*(new(b"%d" % number) for number in range(20)))
    inbox = rig.inbox.id
    wrong: list[object] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            try:
                found = dict(rig.shard.octets_many(HOME, inbox, None))
                if found != {uid: b"%d" % (uid - 1) for uid in range(1, 21)}:
                    wrong.append(found)
            except Exception as error:  # noqa: BLE001 - told to the test
                wrong.append(error)

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(30):
        rig.shard.store_flags(HOME, inbox, None, "add" if number % 2 else "remove", ["\\Seen", "kw"])
        rig.shard.settle_names()
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []
