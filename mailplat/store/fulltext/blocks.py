"""Blocks: the texts of many messages in one row, without I/O.

The text of each message ends with a SEPARATOR, so that none runs into the next. Numbers are little-endian on disk.
"""

import sys
from array import array
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

from mailplat.store.fulltext.octets import finder
from mailplat.store.fulltext.texts import SEPARATOR

# Octets of text after which a block is full: larger ones are read no faster, and to take one message out writes all
# of it anew.
BLOCK = 128 * 1024

# Octets from one find to the next below which bytes.find is faster: it is called sooner, and looks slower.
_NEAR = 4096

# Messages, for mail with hardly any text.
_MESSAGES = 4096


@dataclass(slots=True)
class Block:
    uids: "array[int]" = field(default_factory=lambda: array("I"))
    ends: "array[int]" = field(default_factory=lambda: array("I"))  # of each text with its separator
    texts: bytes = b""

    def find(self, needle: bytes) -> Iterator[int]:
        """UIDs whose text holds `needle`, which is not empty."""
        texts, uids, ends = self.texts, self.uids, self.ends
        find = finder(texts, needle)
        start, at = 0, find(0)
        while at >= 0:
            number = bisect_right(ends, at)
            yield uids[number]
            near = at - start < _NEAR
            start = ends[number]
            at = texts.find(needle, start) if near else find(start)

    def items(self) -> Iterator[tuple[int, bytes]]:
        start = 0
        for uid, end in zip(self.uids, self.ends, strict=True):
            yield uid, self.texts[start : end - 1]
            start = end

    def without(self, gone: Collection[int]) -> "Block":
        return _block([item for item in self.items() if item[0] not in gone])

    def with_next(self, other: "Block") -> "Block":
        shift = len(self.texts)
        ends = array("I", self.ends)
        ends.extend(end + shift for end in other.ends)
        return Block(self.uids + other.uids, ends, self.texts + other.texts)


def may_join(first: tuple[int, int], second: tuple[int, int]) -> bool:
    """Whether two blocks of (octets, messages) are one in the end."""
    return first[0] + second[0] <= BLOCK and first[1] + second[1] <= _MESSAGES


def pack(items: Iterable[tuple[int, bytes]]) -> Iterator[Block]:
    """(UID, text) in blocks, in their order."""
    some: list[tuple[int, bytes]] = []
    octets = 0
    for uid, text in items:
        if some and not may_join((octets, len(some)), (len(text) + 1, 1)):
            yield _block(some)
            some, octets = [], 0
        some.append((uid, text))
        octets += len(text) + 1
    if some:
        yield _block(some)


def _block(items: list[tuple[int, bytes]]) -> Block:
    block = Block()
    end = 0
    for uid, text in items:
        end += len(text) + 1
        block.uids.append(uid)
        block.ends.append(end)
    block.texts = b"".join([part for _, text in items for part in (text, SEPARATOR)])
    return block


def to_octets(numbers: "array[int]") -> bytes:
    return _little(array("I", numbers)).tobytes()


def to_numbers(octets: bytes) -> "array[int]":
    numbers = array("I")
    numbers.frombytes(octets)
    return _little(numbers)


def _little(numbers: "array[int]") -> "array[int]":
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
