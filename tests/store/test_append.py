"""Messages come to be: octets, numbers, rows, usage, names of files."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from mailplat.core import disk
from mailplat.core.errors import (
    AlreadyExists,
    InvalidInput,
    LimitReached,
    NotFound,
    OverQuota,
    StaleEpoch,
    Unavailable,
)
from mailplat.core.hint import MailboxChanged
from mailplat.core.quota import NO_QUOTA
from mailplat.core.route import Residence
from mailplat.core.spool import Body
from mailplat.store import NewMessage, StoreLimits
from mailplat.store.append import Arrival
from mailplat.store.staging import find_berth, stage_all
from tests.store.conftest import HOME, Rig, letter, new


def test_octets_come_back_as_they_came_below_the_trace(rig: Rig) -> None:
    octets = bytes(range(1, 256)) + b"\r\n\r\n" + b"\x00\xff body without end"
    (done,) = rig.append(new(octets, prefix=b"Received: x\r\n"))
    assert rig.shard.octets(HOME, rig.inbox.id, done.uid) == b"Received: x\r\n" + octets


def test_uids_ascend_and_one_change_has_one_modseq(rig: Rig) -> None:
    first = rig.append(new(), new())
    (second,) = rig.append(new())
    assert [each.uid for each in first] == [1, 2]
    assert second.uid == 3
    assert first[0].modseq == first[1].modseq < second.modseq
    assert (rig.inbox.uidnext, rig.inbox.modseq) == (4, second.modseq)


def test_mailbox_and_account_count_what_they_hold(rig: Rig) -> None:
    rig.append(new(b"12345"), new(b"123", flags=("\\Seen",)))
    inbox = rig.inbox
    assert (inbox.messages, inbox.unseen, inbox.size) == (2, 1, 8)
    assert rig.shard.usage(HOME) == (8, 2)


def test_file_has_date_and_size_and_lies_in_new(rig: Rig) -> None:
    rig.append(new(b"12345", internaldate=1_000_000_000.7, internaldate_zone=-330))
    (path,) = rig.files()
    assert path.parent.name == "new"
    assert path.name.endswith(",S=5,Z=-330")
    assert int(os.stat(path).st_mtime) == 1_000_000_000
    assert not os.listdir(rig.shard.tmp)


def test_who_listens_is_told_after_the_commit(rig: Rig) -> None:
    rig.append(new())
    assert MailboxChanged(1, rig.inbox.id) in rig.hints.sent


def test_a_body_above_the_mapped_limit_is_rendered_from_its_file(tmp_path: Path) -> None:
    octets = letter("Large", "line\r\n" * 5000)
    small = Rig(tmp_path / "small")
    large = Rig(tmp_path / "large", StoreLimits(mapped=1000))
    wanted = ["envelope", "body", "bodystructure", "header_size", "subject", "size"]
    for rig in (small, large):
        rig.append(new(octets))
    assert small.shard.rows(HOME, 1, None, wanted) == large.shard.rows(HOME, 1, None, wanted)
    small.close()
    large.close()


def test_empty_message_is_kept(rig: Rig) -> None:
    (done,) = rig.append(new(b""))
    assert rig.shard.octets(HOME, rig.inbox.id, done.uid) == b""


def test_nothing_to_append_is_nothing_done(rig: Rig) -> None:
    assert rig.append() == []


class TestMoves:
    """What a move keeps."""

    def test_numbers_and_name_are_final_at_once(self, rig: Rig) -> None:
        message = new(
            b"x", uid=77, modseq=900, flags=("\\Seen", "\\Answered", "Work", "$Junk"), uidl="a,b/c:%d"
        )
        (done,) = rig.append(message)
        assert (done.uid, done.modseq) == (77, 900)
        assert rig.inbox.uidnext == 78
        assert rig.inbox.modseq >= 900
        ((uidl, flags),) = rig.shard.rows(HOME, rig.inbox.id, None, ["uidl", "flags"])
        assert uidl == "a,b/c:%d"
        assert flags == ("\\Answered", "\\Seen", "Work", "$Junk")
        (path,) = rig.files()
        assert path.parent.name == "cur"
        assert path.name.endswith(",S=1,P=a%2Cb%2Fc%3A%25d,U=77:2,RSab")
        assert rig.shard.settle_names() == 0

    def test_a_uid_is_given_once(self, rig: Rig) -> None:
        rig.append(new(uid=5), new(uid=9))
        rig.shard.expunge_uids(HOME, rig.inbox.id, [(9, 9)])
        for taken in (5, 9):
            with pytest.raises(AlreadyExists):
                rig.append(new(uid=taken))
        with pytest.raises(AlreadyExists):
            rig.append(new(uid=20), new(uid=20))
        assert [each.uid for each in rig.append(new(uid=7))] == [7]
        assert len(rig.files()) == 3  # the expunged one waits for the sweeper
        assert rig.inbox.uidnext == 10

    def test_the_last_uid(self, rig: Rig) -> None:
        rig.append(new(uid=2**32 - 1))
        with pytest.raises(LimitReached):
            rig.append(new())
        assert list(rig.shard.snapshot(HOME, rig.inbox.id).uids) == [2**32 - 1]


class TestDedupe:
    def test_same_key_stores_nothing(self, rig: Rig) -> None:
        (first,) = rig.append(new(dedupe="q1:7"))
        (again, other) = rig.append(new(dedupe="q1:7"), new(dedupe="q1:8"))
        assert again.duplicate
        assert again.uid == first.uid
        assert not other.duplicate
        assert rig.inbox.messages == 2
        assert len(rig.files()) == 2

    def test_key_outlives_the_message(self, rig: Rig) -> None:
        rig.append(new(dedupe="k"))
        rig.shard.expunge_uids(HOME, rig.inbox.id, None)
        assert rig.append(new(dedupe="k"))[0].duplicate

    def test_key_belongs_to_its_mailbox(self, rig: Rig) -> None:
        rig.shard.create(HOME, "Other")
        rig.append(new(dedupe="k"))
        assert not rig.append(new(dedupe="k"), mailbox="Other")[0].duplicate


class TestDelivery:
    def test_one_file_for_all(self, rig: Rig) -> None:
        homes = [Residence(number, "s1", 1) for number in (1, 2, 3)]
        done = rig.deliver([(home, "INBOX", 0) for home in homes], new(b"one"))
        assert [each.uid for each in done] == [1, 1, 1]
        inodes = {path.stat().st_ino for home in homes for path in rig.files(home.account_id)}
        assert len(inodes) == 1
        for home in homes:
            mailbox = rig.shard.mailbox(home, "INBOX")
            assert rig.shard.octets(home, mailbox.id, 1) == b"one"
            assert rig.shard.usage(home) == (3, 1)

    def test_all_or_nothing(self, rig: Rig) -> None:
        other = Residence(2, "s1", 1)
        with pytest.raises(OverQuota):
            rig.deliver([(HOME, "INBOX", 0), (other, "INBOX", 2)], new(b"three"))
        assert rig.inbox.messages == 0
        assert rig.files(1) == rig.files(2) == []
        assert not os.listdir(rig.shard.tmp)

    def test_retry_reaches_only_who_was_left_out(self, rig: Rig) -> None:
        other = Residence(2, "s1", 1)
        rig.deliver([(HOME, "INBOX", 0)], new(dedupe="q"))
        done = rig.deliver([(HOME, "INBOX", 0), (other, "INBOX", 0)], new(dedupe="q"))
        assert [each.duplicate for each in done] == [True, False]
        assert len(rig.files(1)) == len(rig.files(2)) == 1

    def test_one_shard_only(self, rig: Rig) -> None:
        with pytest.raises(InvalidInput):
            rig.deliver([(HOME, "INBOX", 0), (Residence(2, "s2", 1), "INBOX", 0)], new())


class TestRefusals:
    def test_no_mailbox(self, rig: Rig) -> None:
        with pytest.raises(NotFound):
            rig.append(new(), mailbox="Nowhere")

    @pytest.mark.parametrize(
        "message",
        [
            new(uid=0),
            new(uid=2**32),
            new(modseq=5),
            new(uid=1, modseq=0),
            new(uidl="with space"),
            new(uidl="x" * 71),
            new(flags=("\\Nonsense",)),
            new(flags=("two words",)),
            new(internaldate=float("nan")),
            new(internaldate=1e300),
            new(internaldate_zone=10_000),
        ],
    )
    def test_what_cannot_be_right(self, rig: Rig, message: NewMessage) -> None:
        with pytest.raises(InvalidInput):
            rig.append(message)
        assert rig.files() == []

    def test_old_epoch_writes_nothing(self, rig: Rig) -> None:
        rig.shard.grant(1, 5)
        with pytest.raises(StaleEpoch):
            rig.append(new())
        assert rig.append(new(), home=Residence(1, "s1", 5))[0].uid == 1

    def test_newer_epoch_proves_itself(self, rig: Rig) -> None:
        rig.append(new(), home=Residence(1, "s1", 9))
        with pytest.raises(StaleEpoch):
            rig.append(new())

    def test_quota(self, rig: Rig) -> None:
        rig.append(new(b"12345"), quota=5)
        with pytest.raises(OverQuota):
            rig.append(new(b"6"), quota=5)
        assert rig.shard.usage(HOME) == (5, 1)

    def test_too_many_keywords(self, tmp_path: Path) -> None:
        rig = Rig(tmp_path / "s", StoreLimits(keywords=3))
        with pytest.raises(LimitReached):
            rig.append(new(flags=("a", "b", "c", "d")))
        assert rig.files() == []
        assert rig.inbox.messages == 0
        rig.close()

    def test_a_closed_body_is_never_stored_as_an_empty_one(self, rig: Rig) -> None:
        class Vanishing(Body):
            """Its owner closes it at the worst moment."""

            def save(self, *args: Any, **kwargs: Any) -> int:
                self.close()
                return super().save(*args, **kwargs)

        body = Vanishing(None, 10)
        body.write(b"octets")
        with pytest.raises(Unavailable):
            rig.append(NewMessage(body))
        assert rig.inbox.messages == 0
        assert not os.listdir(rig.shard.tmp)


@pytest.mark.parametrize("syncfs", [True, False])
def test_many_messages_with_and_without_syncfs(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, syncfs: bool
) -> None:
    if syncfs and not disk.Batch.supported:
        pytest.skip("this system has no syncfs that reports errors")
    monkeypatch.setattr(disk.Batch, "supported", syncfs)
    steps: list[str] = []
    monkeypatch.setattr(disk, "step", steps.append)
    texts = [b"Subject: %d\r\n\r\n" % number for number in range(40)]
    done = rig.append(*map(new, texts))
    assert [rig.shard.octets(HOME, rig.inbox.id, each.uid) for each in done] == texts
    assert (steps.count("append.syncfs"), steps.count("append.fsync")) == ((1, 0) if syncfs else (0, 40))
    assert not os.listdir(rig.shard.tmp)


async def test_files_that_were_placed_half_way_are_placed_to_the_end(rig: Rig) -> None:
    """A group of appends that fails is run again one by one: what stands stays, the rest follows."""
    site = rig.shard.site
    messages = [new(b"one", uid=5), new(b"two")]  # one for cur/, one for new/
    berth = find_berth(site, HOME, "INBOX", NO_QUOTA, messages)
    arrival = Arrival(site, [berth], stage_all(site, messages, berth.keywords))
    folder = berth.folder / "new"
    folder.rename(berth.folder / "away")
    with pytest.raises(NotFound):
        arrival.place()
    (berth.folder / "away").rename(folder)
    assert arrival.place() == {str(berth.folder / "cur"), str(folder)}
    assert sorted(path.read_bytes() for path in rig.files()) == [b"one", b"two"]
    assert not os.listdir(site.tmp)


async def test_a_cancelled_append_is_whole(rig: Rig) -> None:
    tasks = [asyncio.create_task(rig.store.append(HOME, "INBOX", [new() for _ in range(50)]))]
    await asyncio.sleep(0)
    tasks[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[0]
    assert rig.inbox.messages == len(rig.files()) == 50


async def test_many_at_once_share_commits_and_keep_order(rig: Rig) -> None:
    for number in range(2, 6):
        rig.shard.grant(number, 1)
    homes = [Residence(1 + number % 5, "s1", 1) for number in range(100)]
    done = await asyncio.gather(*(rig.store.append(home, "INBOX", [new()]) for home in homes))
    for number in range(1, 6):
        uids = sorted(
            each[0].uid for home, each in zip(homes, done, strict=True) if home.account_id == number
        )
        assert uids == list(range(1, 21))
