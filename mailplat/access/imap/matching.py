"""SEARCH keys that the view alone can answer: UIDs, flags, MODSEQ (RFC 3501 6.4.4).

A mask has one octet for each message of the view, 1 where it matches; masks are combined as large integers.
"""

import operator
from collections.abc import Callable, Iterable
from itertools import compress

from mailplat.access.imap.view import View
from mailplat.wire.imap import search
from mailplat.wire.imap.sequence import SequenceSet


def match(key: search.Key, view: View) -> list[int] | None:
    """Positions of the messages that match, ascending; None where the store must be asked."""
    mask = _mask(key, view)
    if mask is None:
        return None
    return list(compress(range(len(view)), mask.to_bytes(len(view), "little")))


def _mask(key: search.Key, view: View) -> int | None:
    match key:
        case search.All():
            return _everything(view)
        case search.Recent():
            return 0  # no message is recent here, see the package
        case search.Flag(name, present):
            has = bytes((name in flags) is present for flags in view.flagsets)
            return int.from_bytes(bytes(map(has.__getitem__, view.flags)), "little")
        case search.ModSeq(value):
            return int.from_bytes(bytes(map(value.__le__, view.modseqs)), "little")
        case search.Uids(ranges):
            octets = bytearray(len(view))
            for low, high in view.spans(SequenceSet(tuple(ranges)), by_uid=True) if ranges else ():
                octets[low:high] = b"\x01" * (high - low)
            return int.from_bytes(octets, "little")
        case search.Not(inner):
            mask = _mask(inner, view)
            return None if mask is None else _everything(view) ^ mask
        case search.And(keys):
            return _combine(keys, view, _everything(view), operator.and_)
        case search.Or(keys):
            return _combine(keys, view, 0, operator.or_)
        case _:
            return None


def _everything(view: View) -> int:
    return int.from_bytes(b"\x01" * len(view), "little")


def _combine(
    keys: Iterable[search.Key], view: View, start: int, operation: Callable[[int, int], int]
) -> int | None:
    for key in keys:
        mask = _mask(key, view)
        if mask is None:
            return None
        start = operation(start, mask)
    return start
