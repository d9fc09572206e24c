"""What a View finds and drops in its arrays, against what a list would say."""

from array import array
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from mailplat.access.imap.view import Manner, View
from mailplat.store.types import Changes, Snapshot

# More sets than are looked for one by one, and numbers whose octets turn up across two neighbours.
SETS: list[tuple[str, ...]] = [("\\Seen",) * (n % 2) + (f"k{n}",) for n in range(600)]


def view(flags: Sequence[int], sets: Sequence[tuple[str, ...]] = SETS) -> View:
    count = len(flags)
    snapshot = Snapshot(
        1,
        count + 1,
        5,
        array("I", range(1, count + 1)),
        array("H", flags),
        array("Q", [5] * count),
        list(sets),
    )
    return View(1, "INBOX", snapshot, examined=False, checked=0.0)


numbers = st.lists(st.sampled_from([0, 1, 2, 3, 255, 256, 257, 511, 512, 599]), max_size=40)


@given(numbers, st.sampled_from([4, 600]))
def test_first_unseen(flags: list[int], sets: int) -> None:
    flags = [number % sets for number in flags]
    seen = view(flags, SETS[:sets])
    wanted = next((place for place, number in enumerate(flags) if "\\Seen" not in SETS[number]), None)
    assert seen.first_without("\\Seen") == wanted


@given(numbers, st.data())
def test_what_went_is_cut_out(flags: list[int], draw: st.DataObject) -> None:
    uids = list(range(1, len(flags) + 1))
    gone = draw.draw(st.sets(st.sampled_from(uids))) if uids else set()
    left = [uid for uid in uids if uid not in gone]
    for changes in (Changes(6, 100, [], sorted(gone)), Changes(6, 100, [], [], left)):
        seen = view(flags)
        seen.apply(changes, 0.0)
        said = seen.flush(expunge=True, manner=Manner())
        assert list(seen.uids) == left
        assert list(seen.flags) == [flags[uid - 1] for uid in left]
        assert said.count(b" EXPUNGE") == len(gone)
