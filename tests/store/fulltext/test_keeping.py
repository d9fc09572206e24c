"""Step by step behind the index: what came, what went, and what cannot be told."""

import random

import pytest

from mailplat.core.errors import DiskFull
from mailplat.store import StoreLimits
from mailplat.store.fulltext import blocks, keeping, texts
from mailplat.store.fulltext.keeping import Step, advance
from mailplat.store.tombstones import forget_tombstones
from mailplat.wire.imap import search as keys
from tests.store.conftest import HOME, Rig, letter, new
from tests.store.fulltext.conftest import find, keep, kept_octets, scanned


def known(rig: Rig, part: int = texts.CONTENT, mailbox: int | None = None) -> list[int]:
    """UIDs whose text is kept, ascending; each kind of the part must say the same."""
    found: list[list[int]] = []
    with rig.shard.site.fulltext.read() as connection:
        assert connection is not None
        for kind in texts.KINDS[part]:
            rows = connection.exec_driver_sql(
                "SELECT uids, octets, messages, length(texts), low, high FROM block"
                " WHERE mailbox_id = ? AND kind = ?",
                (rig.inbox.id if mailbox is None else mailbox, kind),
            ).fetchall()
            for uids, octets, count, length, low, high in rows:
                numbers = blocks.to_numbers(uids)
                assert (octets, count, low, high) == (length, len(numbers), min(numbers), max(numbers))
            found.append(sorted(uid for row in rows for uid in blocks.to_numbers(row[0])))
    assert all(each == found[0] for each in found)
    return found[0]


def count_blocks(rig: Rig, kind: int = texts.BODY) -> int:
    with rig.shard.site.fulltext.read() as connection:
        assert connection is not None
        query = "SELECT count(*) FROM block WHERE kind = ?"
        return int(connection.exec_driver_sql(query, (kind,)).scalar_one())


@pytest.mark.parametrize("part", texts.KINDS)
def test_steps_of_a_few_messages(kept: Rig, monkeypatch: pytest.MonkeyPatch, part: int) -> None:
    monkeypatch.setattr(keeping, "_MESSAGES", 2)
    kept.fill(5)
    steps = [advance(kept.shard.site, kept.inbox.id, part) for _ in range(4)]
    assert steps == [Step(True, False), Step(True, False), Step(False, False), Step(False, False)]
    assert known(kept, part) == list(range(1, 11))


def test_a_step_ends_after_so_many_octets(kept: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "_OCTETS", 3000)
    kept.append(*(new(letter(text="x" * 2000)) for _ in range(4)))
    assert advance(kept.shard.site, kept.inbox.id, texts.CONTENT).more
    assert known(kept) == [1, 2, 3, 4, 5, 6, 7]


def test_what_is_expunged_is_gone_from_the_disk(rig: Rig) -> None:
    """Of a large one too: whole pages are free then, and must not say what they held."""
    rig.append(*(new(letter(f"secret{n}", f"hidden{n}\r\n")) for n in range(8)))
    rig.append(new(letter("secret8", "hidden8\r\n" * 20_000)))
    keep(rig)
    assert b"secret3" in kept_octets(rig)
    assert b"hidden3" in kept_octets(rig)
    rig.shard.expunge_uids(HOME, rig.inbox.id, [(4, 4), (9, 9)])
    assert find(rig, keys.Body("hidden3")) == []
    rig.shard.keep_texts()
    left = kept_octets(rig)
    for number in (3, 8):
        assert f"secret{number}".encode() not in left
        assert f"hidden{number}".encode() not in left
    assert known(rig) == known(rig, texts.HEADINGS) == [1, 2, 3, 5, 6, 7, 8]
    assert b"hidden2" in left


def test_a_mailbox_and_an_account_that_are_gone(kept: Rig) -> None:
    kept.shard.create(HOME, "Box")
    kept.append(new(letter(text="boxed\r\n")), mailbox="Box")
    box = kept.shard.mailbox(HOME, "Box").id
    find(kept, keys.Body("x"), box)
    kept.shard.keep_texts()
    assert known(kept, mailbox=box) == [1]
    kept.shard.delete(HOME, "Box")
    kept.shard.keep_texts()
    assert b"boxed" not in kept_octets(kept)
    assert known(kept) == [1, 2, 3, 4, 5]
    kept.shard.remove_account(HOME)
    kept.shard.keep_texts()
    assert b"number" not in kept_octets(kept)
    with kept.shard.site.fulltext.read() as connection:
        assert connection is not None
        assert connection.exec_driver_sql("SELECT count(*) FROM part").scalar_one() == 0


def test_many_blocks_go_in_several_steps(kept: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "_BLOCKS", 1)
    monkeypatch.setattr(blocks, "BLOCK", 10)
    kept.fill(5)
    kept.shard.keep_texts()
    kept.shard.remove_account(HOME)
    kept.shard.keep_texts()
    assert count_blocks(kept) == 0


def test_messages_below_uidnext(kept: Rig) -> None:
    """As a migration brings them: what is kept begins anew."""
    kept.append(new(letter("high", "high\r\n"), uid=100))
    kept.shard.keep_texts()
    kept.append(new(letter("low", "low\r\n"), uid=50))
    assert find(kept, keys.Body("low")) == [50]
    kept.shard.keep_texts()
    assert known(kept) == known(kept, texts.HEADINGS) == [1, 2, 3, 4, 5, 50, 100]
    assert find(kept, keys.Or((keys.Body("low"), keys.Header("subject", "high")))) == [50, 100]


def test_where_nobody_can_tell_what_went(kept: Rig) -> None:
    kept.shard.site.limits = StoreLimits(tombstones=1)
    for uid in (2, 3, 5):
        kept.shard.expunge_uids(HOME, kept.inbox.id, [(uid, uid)])
    forget_tombstones(kept.shard.site)
    kept.shard.keep_texts()
    assert known(kept) == known(kept, texts.HEADINGS) == [1, 4]
    assert b"number 2" not in kept_octets(kept)


@pytest.mark.parametrize("seed", range(2))
def test_blocks_stay_few(rig: Rig, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """One message after the other comes and goes; what is kept is what is there, in some blocks."""
    monkeypatch.setattr(blocks, "BLOCK", 1000)
    chance = random.Random(seed)
    rig.fill(1)
    keep(rig)
    for _ in range(40):
        rig.append(new(letter(text="x" * chance.randrange(200))))
        uids = list(rig.shard.snapshot(HOME, rig.inbox.id).uids)
        if len(uids) > 12:
            gone = chance.sample(uids, chance.randrange(1, 6))
            rig.shard.expunge_uids(HOME, rig.inbox.id, [(uid, uid) for uid in gone])
        advance(rig.shard.site, rig.inbox.id, texts.CONTENT)
        assert known(rig) == list(rig.shard.snapshot(HOME, rig.inbox.id).uids)
        assert count_blocks(rig) <= 8  # log2 of a block, and two for each 1000 octets of text
    assert find(rig, keys.Body("x")) == scanned(rig.shard, keys.Body("x"), rig.inbox.id)


def test_what_is_left_of_blocks_is_put_together(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK", 1000)
    rig.append(*(new(letter(text="x" * 180)) for _ in range(40)))
    keep(rig)
    assert count_blocks(rig) == 8
    rig.shard.expunge_uids(HOME, rig.inbox.id, [(uid, uid) for uid in range(1, 41) if uid % 5])
    rig.shard.keep_texts()
    assert known(rig) == list(range(5, 41, 5))
    assert count_blocks(rig) <= 3


def test_a_file_that_cannot_be_read_is_left_out(rig: Rig) -> None:
    rig.fill(3)
    rig.files()[1].unlink()
    find(rig, keys.Header("subject", "x"))
    rig.shard.site.fulltext.want(rig.inbox.id, texts.CONTENT)
    rig.shard.keep_texts()
    assert len(known(rig)) == 2
    assert len(known(rig, texts.HEADINGS)) == 3  # the index has these


def test_a_full_disk_takes_no_text_and_lets_it_go(kept: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.fill(1)
    monkeypatch.setattr(kept.shard.site, "limits", StoreLimits(reserve=2**62))
    monkeypatch.setattr("mailplat.store.site._RESERVED_PART", 1)
    with pytest.raises(DiskFull):
        advance(kept.shard.site, kept.inbox.id, texts.CONTENT)
    kept.shard.expunge_uids(HOME, kept.inbox.id, [(1, 1), (6, 6)])
    assert advance(kept.shard.site, kept.inbox.id, texts.CONTENT) == Step(False, True)
    assert known(kept) == [2, 3, 4, 5]
