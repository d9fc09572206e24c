"""What maildrops are made of: brought forward by what came and went, it is what a fresh look finds."""

import random
from array import array

import pytest

from mailplat.store import StoreLimits
from mailplat.store.listing import Listing
from mailplat.store.ready import Ready
from mailplat.store.tombstones import forget_tombstones
from tests.store.conftest import HOME, Rig, letter, new


def shown(listing: Listing) -> list[tuple[int, int, str]]:
    assert listing.octets == sum(listing.sizes)
    return [
        (uid, size, listing.uidl(place))
        for place, (uid, size) in enumerate(zip(listing.uids, listing.sizes, strict=True))
    ]


def look(rig: Rig) -> list[tuple[int, int, str]]:
    return shown(rig.shard.listing(HOME, rig.inbox.id))


def rows(rig: Rig) -> list[tuple[int, int, str]]:
    return rig.shard.rows(HOME, rig.inbox.id, None, ("uid", "size", "uidl"))  # type: ignore[return-value]


@pytest.mark.parametrize("seed", range(3))
def test_whatever_happens_between_two_looks(rig: Rig, seed: int) -> None:
    rng = random.Random(seed)
    for step in range(25):
        there = [uid for uid, _, _ in rows(rig)]
        match rng.choice(["append", "expunge", "flag", "backfill", "look"]):
            case "append":
                texts = range(rng.randint(1, 3))
                rig.append(*(new(letter(text="x" * rng.randint(0, 99) + "\r\n")) for _ in texts))
            case "expunge" if there:
                gone = rng.sample(there, rng.randint(1, len(there)))
                rig.shard.expunge_uids(HOME, rig.inbox.id, [(uid, uid) for uid in gone])
            case "flag" if there:
                rig.shard.store_flags(HOME, rig.inbox.id, [(there[0], there[0])], "add", ["\\Seen"])
            case "backfill":  # as a migration does it: above a gap, then into it
                uidnext = rig.inbox.uidnext
                rig.append(new(uid=uidnext + 5, uidl=f"theirs-{step}"))
                assert look(rig) == rows(rig)
                rig.append(new(uid=uidnext + 2, uidl=f"late-{step}"))
        if rng.random() < 0.7:
            assert look(rig) == rows(rig)
    assert look(rig) == rows(rig)


def test_an_older_listing_stays_as_it_was(rig: Rig) -> None:
    """Sessions share it."""
    rig.fill(3)
    older = rig.shard.listing(HOME, rig.inbox.id)
    assert rig.shard.listing(HOME, rig.inbox.id) is older
    before = shown(older)
    rig.fill(1)
    rig.shard.expunge_uids(HOME, rig.inbox.id, [(2, 2)])
    assert [uid for uid, _, _ in look(rig)] == [1, 3, 4]
    assert shown(older) == before


def test_inbox_is_renamed(rig: Rig) -> None:
    """RFC 3501 6.3.5: its messages leave it, and it stays."""
    rig.fill(3)
    assert len(look(rig)) == 3
    rig.shard.rename(HOME, "INBOX", "Old")
    assert look(rig) == rows(rig) == []
    rig.fill(1)
    assert look(rig) == rows(rig)
    old = rig.shard.listing(HOME, rig.shard.mailbox(HOME, "Old").id)
    assert len(old.uids) == 3


def test_forgotten_tombstones(rig: Rig) -> None:
    """What went cannot be told any more: all is read again."""
    rig.shard.site.limits = StoreLimits(tombstones=1)
    rig.fill(6)
    assert len(look(rig)) == 6
    for uid in (1, 3, 5):
        rig.shard.expunge_uids(HOME, rig.inbox.id, [(uid, uid)])
    forget_tombstones(rig.shard.site)
    assert look(rig) == rows(rig)
    assert [uid for uid, _, _ in look(rig)] == [2, 4, 6]


def test_what_is_kept_is_bounded(rig: Rig) -> None:
    """Mailboxes, and messages of all of them."""

    def made(count: int) -> Listing:
        return Listing(1, 1, 1, 0, array("I", range(count)), array("Q", range(count)), {})

    names = ["INBOX", "a", "b", "c"]
    for name in names[1:]:
        rig.shard.create(HOME, name)
    with rig.shard.site.read() as connection:
        boxes = [
            rig.shard.site.mailbox_by_id(
                connection, HOME.account_id, rig.shard.mailbox(HOME, name).id
            )._replace(uidvalidity=1, uidnext=1, modseq=1)
            for name in names
        ]
    listings = Ready[Listing](StoreLimits(snapshots=3, snapshot_messages=10))
    for box in boxes:
        listings.put(box, made(2))
    assert [listings.get(box) is not None for box in boxes] == [False, True, True, True]
    listings.put(boxes[3], made(11))  # larger than all that may be kept
    assert [listings.get(box) is not None for box in boxes] == [False, True, True, False]
    listings.put(boxes[3], made(8))
    assert [listings.get(box) is not None for box in boxes] == [False, False, True, True]
