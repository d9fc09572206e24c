"""Blocks say what a look at each text would say."""

from hypothesis import given
from hypothesis import strategies as st

from mailplat.store.fulltext import blocks
from mailplat.store.fulltext.blocks import Block, may_join, pack, to_numbers, to_octets

# Few letters, so that texts match; no separator within what is searched for.
_text = st.text("ab\u00e9", max_size=6).map(str.encode)
_items = st.dictionaries(
    st.integers(1, 2**32 - 1), st.lists(_text, max_size=3).map(b"\xff".join), max_size=12
)


def holds(items: dict[int, bytes], needle: bytes) -> list[int]:
    return [uid for uid, text in items.items() if needle in text]


def found(some: list[Block], needle: bytes) -> list[int]:
    return [uid for block in some for uid in block.find(needle)]


@given(_items, _text.filter(bool), st.sets(st.integers(0, 11)))
def test_find_and_without(items: dict[int, bytes], needle: bytes, places: set[int]) -> None:
    packed = list(pack(items.items()))
    assert found(packed, needle) == holds(items, needle)
    gone = {uid for place, uid in enumerate(items) if place in places}
    rest = {uid: text for uid, text in items.items() if uid not in gone}
    left = [block.without(gone) for block in packed]
    assert found(left, needle) == holds(rest, needle)
    assert [item for block in left for item in block.items()] == list(rest.items())


@given(_items, _items, _text.filter(bool))
def test_two_are_one(first: dict[int, bytes], second: dict[int, bytes], needle: bytes) -> None:
    one, other = ([*pack(items.items()), Block()][0] for items in (first, second))
    assert list(one.with_next(other).find(needle)) == holds(first, needle) + holds(second, needle)


def test_a_block_is_full_by_octets_and_by_messages() -> None:
    half = blocks.BLOCK // 2
    assert [len(block.uids) for block in pack((n, b"x" * (half - 1)) for n in range(1, 6))] == [2, 2, 1]
    assert [len(block.uids) for block in pack((n, b"x" * 2 * blocks.BLOCK) for n in range(1, 3))] == [1, 1]
    assert len(list(pack((n, b"") for n in range(1, 10_000)))) == 3
    assert may_join((half, 1), (half, 1))
    assert not may_join((half, 1), (half + 1, 1))


def test_no_text_runs_into_the_next() -> None:
    """What stands between them is in no UTF-8."""
    (block,) = pack([(1, b"a"), (2, b"b")])
    assert block.texts == b"a\xffb\xff"


def test_numbers_on_disk() -> None:
    numbers = to_numbers(b"\x01\x00\x00\x00\xff\xff\xff\xff")
    assert list(numbers) == [1, 2**32 - 1]
    assert to_octets(numbers) == b"\x01\x00\x00\x00\xff\xff\xff\xff"
