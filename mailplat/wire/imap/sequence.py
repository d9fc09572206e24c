"""Sequence sets: `1:5,9,20:*` and `$` (RFC 3501 9, RFC 5182), kept as ranges and never expanded.

`1:4294967295` costs as much as `1`: sets are resolved against what a mailbox holds, by bisection.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mailplat.core.limits.imap import BOUNDS
from mailplat.wire.imap.errors import BadSyntax

STAR = 0  # stands for "*": the largest number in use
LARGEST = 0xFFFF_FFFF

Range = tuple[int, int]

_WELL_FORMED = re.compile(
    rb"(?:\d{1,10}|\*)(?::(?:\d{1,10}|\*))?(?:,(?:\d{1,10}|\*)(?::(?:\d{1,10}|\*))?)*"
).fullmatch


@dataclass(frozen=True, slots=True)
class SequenceSet:
    """Sequence numbers or UIDs, as a client named them. `saved` is "$": the result of the last SEARCH that
    saved one (RFC 5182); it has no ranges of its own."""

    ranges: tuple[Range, ...]
    saved: bool = False

    @classmethod
    def parse(cls, text: bytes, most: int = BOUNDS.ranges) -> "SequenceSet":
        """At most so many ranges. Raises BadSyntax."""
        if text == b"$":
            return cls((), saved=True)
        if not _WELL_FORMED(text):
            raise BadSyntax("not a sequence set")
        items = text.split(b",")
        if len(items) > most:
            raise BadSyntax(f"a sequence set of more than {most} ranges")
        return cls(tuple(map(_range, items)))

    def merged(self, largest: int) -> list[Range]:
        """The ranges in order, without overlaps, "*" being `largest`. 5:* is *:5 (RFC 3501 9), so it always
        holds `largest`."""
        pairs = [(low or largest, high or largest) for low, high in self.ranges]
        return merge([(low, high) if low <= high else (high, low) for low, high in pairs])

    def uids(self, present: Sequence[int]) -> list[int]:
        """Those of `present`, a view's UIDs in ascending order, that the set names. UIDs that are not there
        are no error (RFC 3501 6.4.8)."""
        if not present:
            return []
        found: list[int] = []
        for low, high in self.merged(present[-1]):
            found += present[bisect_left(present, low) : bisect_right(present, high)]
        return found

    def numbers(self, count: int) -> list[Range]:
        """Ranges of sequence numbers in a mailbox of `count` messages. Raises BadSyntax for a number beyond
        it, and for "*" where the mailbox is empty (RFC 3501 9, seq-number)."""
        if self.ranges and count == 0:
            raise BadSyntax("the mailbox is empty")
        merged = self.merged(count)
        if merged and merged[-1][1] > count:
            raise BadSyntax(f"a sequence number is beyond the {count} messages of the mailbox")
        return merged


def merge(pairs: Iterable[Range]) -> list[Range]:
    """Ranges (low <= high) sorted, overlapping and neighbouring ones made one."""
    merged: list[Range] = []
    for low, high in sorted(pairs):
        if merged and low <= merged[-1][1] + 1:
            if high > merged[-1][1]:
                merged[-1] = (merged[-1][0], high)
        else:
            merged.append((low, high))
    return merged


def missing(within: Iterable[Range], present: Sequence[int]) -> list[Range]:
    """What of some ranges, sorted and apart from each other, is not in `present` (ascending), as ranges: as many as
    `present` has gaps there, however long they are."""
    found: list[Range] = []
    for low, high in within:
        for number in present[bisect_left(present, low) : bisect_right(present, high)]:
            if low < number:
                found.append((low, number - 1))
            low = number + 1
        if low <= high:
            found.append((low, high))
    return found


def among(numbers: Iterable[int], within: Sequence[Range]) -> list[int]:
    """Those of ascending numbers that lie in ranges, sorted and apart from each other."""
    lows = [low for low, _ in within]
    return [n for n in numbers if (at := bisect_right(lows, n)) and n <= within[at - 1][1]]


def ranges(numbers: Iterable[int]) -> list[Range]:
    """Ascending numbers as ranges: [1, 2, 3, 9] -> [(1, 3), (9, 9)]."""
    found: list[Range] = []
    low = high = -1
    for number in numbers:
        if number == high + 1 and high >= 0:
            high = number
            continue
        if high >= 0:
            found.append((low, high))
        low = high = number
    if high >= 0:
        found.append((low, high))
    return found


def compact(numbers: Iterable[int]) -> bytes:
    """Ascending numbers as a sequence set: [1, 2, 3, 9] -> b"1:3,9"."""
    return render(ranges(numbers))


def render(pairs: Iterable[Range]) -> bytes:
    return b",".join(b"%d" % low if low == high else b"%d:%d" % (low, high) for low, high in pairs)


def in_order(numbers: Sequence[int]) -> bytes:
    """Numbers as a set that keeps their order, for COPYUID (RFC 4315 3), where the n-th of one set goes with
    the n-th of the other."""
    return (
        compact(numbers)
        if all(map(int.__lt__, numbers, numbers[1:]))
        else b",".join(b"%d" % n for n in numbers)
    )


def _range(item: bytes) -> Range:
    low, _, high = item.partition(b":")
    first = _number(low)
    return first, _number(high) if high else first


def _number(text: bytes) -> int:
    if text == b"*":
        return STAR
    number = int(text)
    if not 0 < number <= LARGEST:
        raise BadSyntax("a sequence number must be from 1 to 4294967295")
    return number
