from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.core.limits.imap import BOUNDS
from mailplat.wire.imap.errors import BadSyntax
from mailplat.wire.imap.sequence import (
    SequenceSet,
    among,
    compact,
    in_order,
    merge,
    missing,
    ranges,
)

parse = SequenceSet.parse


def test_ranges_and_stars() -> None:
    assert parse(b"1,3:5,7:*,*").ranges == ((1, 1), (3, 5), (7, 0), (0, 0))
    assert parse(b"$").saved
    assert parse(b"9:2").merged(100) == [(2, 9)]
    assert parse(b"5,1:3,4,9").merged(100) == [(1, 5), (9, 9)]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"0",
        b"1:",
        b":1",
        b"1,,2",
        b"1:2:3",
        b"a",
        b"-1",
        b"1 2",
        b"4294967296",
        b"**",
        b"$,1",
        b"1,",
        b"9" * 100,
    ],
)
def test_what_is_no_sequence_set(text: bytes) -> None:
    with pytest.raises(BadSyntax):
        parse(text)


def test_number_of_ranges_is_bounded() -> None:
    assert len(parse(b",".join([b"7"] * BOUNDS.ranges)).ranges) == BOUNDS.ranges
    with pytest.raises(BadSyntax):
        parse(b",".join([b"7"] * (BOUNDS.ranges + 1)))


def test_a_star_is_always_the_last_message() -> None:
    """RFC 3501 6.4.8: UID 559:* always holds the last, even if its UID is smaller."""
    assert parse(b"559:*").uids([3, 7]) == [7]
    assert parse(b"*").uids([3, 7]) == [7]
    assert parse(b"*:4").uids([3, 7]) == [7]
    assert parse(b"1:*").uids([]) == []


def test_the_largest_set_costs_nothing() -> None:
    assert parse(b"1:4294967295").uids([5, 4294967295]) == [5, 4294967295]
    assert parse(b",".join([b"1:4294967295"] * BOUNDS.ranges)).uids(list(range(1, 1001))) == list(
        range(1, 1001)
    )


def test_sequence_numbers() -> None:
    assert parse(b"2,1,5:*").numbers(6) == [(1, 2), (5, 6)]
    for text, count in ((b"7", 6), (b"7:*", 6), (b"1:7", 6), (b"*", 0), (b"1:*", 0)):
        with pytest.raises(BadSyntax):
            parse(text).numbers(count)


def test_rendering() -> None:
    assert compact([1, 2, 3, 9]) == b"1:3,9"
    assert compact([]) == b""
    assert compact([4294967295]) == b"4294967295"
    assert in_order([3, 1, 2]) == b"3,1,2"
    assert in_order([1, 2, 3]) == b"1:3"


sets = st.lists(st.integers(1, 60), max_size=30, unique=True).map(sorted)
members = st.one_of(st.integers(1, 60).map(str), st.just("*"))
texts = st.lists(st.one_of(members, st.tuples(members, members).map(":".join)), min_size=1, max_size=8).map(
    ",".join
)


@given(sets)
def test_compact_round_trip(numbers: list[int]) -> None:
    if numbers:
        assert parse(compact(numbers)).uids(numbers) == numbers
    assert [n for low, high in ranges(numbers) for n in range(low, high + 1)] == numbers


@given(texts, sets)
def test_uids_are_those_that_a_plain_reading_finds(text: str, present: list[int]) -> None:
    wanted = set()
    for item in text.split(","):
        low, _, high = item.partition(":")
        ends = [
            present[-1] if present and end == "*" else 0 if end == "*" else int(end)
            for end in (low, high or low)
        ]
        wanted |= set(range(min(ends), max(ends) + 1))
    assert parse(text.encode()).uids(present) == [uid for uid in present if uid in wanted]


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 9)).map(lambda pair: (pair[0], sum(pair)))))
def test_merged_ranges_are_apart(pairs: list[tuple[int, int]]) -> None:
    merged = merge(pairs)
    assert all(low[1] + 1 < high[0] for low, high in pairwise(merged))
    assert {n for a, b in merged for n in range(a, b + 1)} == {n for a, b in pairs for n in range(a, b + 1)}


_RANGES = st.lists(st.tuples(st.integers(1, 60), st.integers(0, 9)), max_size=6).map(
    lambda found: merge([(low, low + more) for low, more in found])
)


@given(_RANGES, st.sets(st.integers(1, 80)))
def test_missing_and_among(within: list[tuple[int, int]], numbers: set[int]) -> None:
    named = {number for low, high in within for number in range(low, high + 1)}
    absent = missing(within, sorted(numbers))
    assert [n for low, high in absent for n in range(low, high + 1)] == sorted(named - numbers)
    assert among(sorted(numbers), within) == sorted(named & numbers)
    assert missing([(1, 4294967295)], [7]) == [(1, 6), (8, 4294967295)]
