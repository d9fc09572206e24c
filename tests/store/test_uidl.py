"""UIDLs and places of another platform: kept with the message, through a rebuild too."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.core.errors import InvalidInput
from mailplat.store.uidl import check_uidl, in_places, split
from tests.store.conftest import HOME, Rig, letter, new


@given(st.lists(st.integers(1, 10_000), unique=True, max_size=30))
def test_places_are_exchanged_among_messages(order: list[int]) -> None:
    found = in_places([(uid, f"theirs-{uid}") for uid in order])
    said = {uid: split(text) for uid, text in found.items()}
    assert sorted(order, key=lambda uid: said[uid][0] or uid) == order
    assert all(uidl == f"theirs-{uid}" for uid, (_, uidl) in said.items())
    assert not any(place == uid for uid, (place, _) in said.items())
    for text in found.values():
        check_uidl(text)


@given(st.permutations(range(1, 25)), st.lists(st.integers(1, 24), unique=True, min_size=1).map(sorted))
def test_what_comes_later_may_stand_anywhere(order: list[int], ends: list[int]) -> None:
    """UIDs come in rounds, and POP3 shows all that are there in `order`."""
    kept: dict[int, float] = {}
    for end in [*ends, 24]:
        there = [(uid, "x") for uid in order if uid <= end]
        for uid, text in in_places(there, kept).items():
            check_uidl(text)
            kept[uid] = split(text)[0] or float(uid)
        assert sorted(kept, key=lambda uid: kept[uid]) == [uid for uid, _ in there]


@pytest.mark.parametrize("text", ["", " a", "0 a", "a b", "1 a b", "é", "x" * 71, "12345678901 a"])
def test_what_is_no_uidl(text: str) -> None:
    with pytest.raises(InvalidInput):
        check_uidl(text)


def test_the_order_of_a_maildrop(rig: Rig) -> None:
    """Two whose places are exchanged, one of ours behind them; one that goes; a rebuild from the files alone."""
    for uid, uidl in in_places([(1, "a"), (5, "b"), (3, "%c,:/")]).items():
        rig.append(new(letter(text=f"{uid}\r\n"), uid=uid, uidl=uidl))
    rig.append(new(letter(text="ours\r\n")))

    def shown(rig: Rig) -> list[tuple[int, str]]:
        listing = rig.shard.listing(HOME, rig.inbox.id).in_order()
        return [(uid, listing.uidl(place)) for place, uid in enumerate(listing.uids)]

    ours = f"{rig.inbox.uidvalidity}.6"
    assert shown(rig) == [(1, "a"), (5, "b"), (3, "%c,:/"), (6, ours)]
    rig.shard.expunge_uids(HOME, rig.inbox.id, [(1, 1)])
    assert shown(rig) == [(5, "b"), (3, "%c,:/"), (6, ours)]
