"""What a search is asked to return, and ESEARCH, which returns it (RFC 4731, 5182, 5267, 9394, 7377)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from mailplat.wire.imap.arguments import Arguments
from mailplat.wire.imap.errors import BadSyntax
from mailplat.wire.imap.response import mailbox
from mailplat.wire.imap.sequence import LARGEST, compact
from mailplat.wire.imap.spelling import PLAIN, Spelling
from mailplat.wire.imap.strings import string

RETURN_OPTIONS = ("MIN", "MAX", "ALL", "COUNT", "SAVE", "PARTIAL")

# RFC 9394 4: both ends with a minus or none, never "*".
_PARTIAL = re.compile(rb"(-?)(\d{1,10}):(-?)(\d{1,10})(?=[ )])")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Partial:
    """Places within a result, both ends included, from 1; `from_end`: counted from the last one back."""

    said: bytes  # the range as the client wrote it: the reply repeats it
    first: int
    last: int
    from_end: bool

    def of(self, found: Sequence[T]) -> Sequence[T]:
        """That part of a result, in the result's order; empty where it lies beyond (RFC 9394 3.1)."""
        if self.from_end:
            return found[max(0, len(found) - self.last) : max(0, len(found) - self.first + 1)]
        return found[self.first - 1 : self.last]


@dataclass(frozen=True, slots=True)
class Returns:
    """RESULT options: some of RETURN_OPTIONS, PARTIAL with its range."""

    options: frozenset[str]
    partial: Partial | None = None

    @property
    def saves(self) -> bool:
        return "SAVE" in self.options

    @property
    def silent(self) -> bool:
        """Nothing but SAVE: there is no ESEARCH reply (RFC 5182 2.1, example 1)."""
        return self.options == {"SAVE"}

    def kept(self, found: Sequence[T]) -> Sequence[T]:
        """What SAVE saves of a result, in its order, and what MODSEQ speaks of: all of it, but where nothing
        else than MIN, MAX and PARTIAL is returned only these (RFC 5182 2.4, RFC 9394 3.2, RFC 4731 3.2)."""
        some = self.options & {"MIN", "MAX", "PARTIAL"}
        if not some or self.options & {"ALL", "COUNT"} or not found:
            return found
        chosen = set(self.partial.of(range(len(found)))) if self.partial is not None else set()
        if "MIN" in some:
            chosen.add(0)
        if "MAX" in some:
            chosen.add(len(found) - 1)
        return [found[place] for place in sorted(chosen)]


def parse_returns(arguments: Arguments) -> Returns | None:
    """RETURN (...) and the space behind it, where it comes next; else None and nothing eaten. Raises BadSyntax."""
    if arguments.octets[arguments.at : arguments.at + 8].upper() != b"RETURN (":
        return None
    arguments.at += 7
    partials: list[Partial] = []

    def option() -> str:
        word = arguments.keyword(*RETURN_OPTIONS)
        if word == "PARTIAL":
            arguments.space()
            partials.append(parse_partial(arguments))
        return word

    options = frozenset(arguments.items(option) or ("ALL",))  # RFC 4731 3.1: none is ALL
    if len(partials) > 1 or (partials and "ALL" in options):
        raise BadSyntax("PARTIAL twice, or PARTIAL with ALL")  # RFC 9394 3.1
    arguments.space()
    return Returns(options, partials[0] if partials else None)


def parse_partial(arguments: Arguments) -> Partial:
    """The range of PARTIAL (RFC 9394 4): `1:100`, `-1:-100`, either end first. Raises BadSyntax."""
    found = _PARTIAL.match(arguments.octets, arguments.at)
    if found is None or found[1] != found[3]:
        raise BadSyntax("a range such as 1:100 or -1:-100 expected")
    first, last = sorted((int(found[2]), int(found[4])))
    if not 0 < first <= last <= LARGEST:
        raise BadSyntax("a place in a result must be from 1 to 4294967295")
    arguments.at = found.end()
    return Partial(found[0], first, last, bool(found[1]))


# What no RETURN and RETURN () ask for (RFC 4731 3.1, RFC 9051 6.4.4).
ALL = Returns(frozenset({"ALL"}))


def esearch_line(
    tag: str,
    numbers: Sequence[int],
    returns: Returns,
    *,
    uid: bool,
    modseq: int | None = None,
    source: tuple[str, int] | None = None,
    spelling: Spelling = PLAIN,
) -> bytes:
    """ESEARCH of numbers in the order of the result: ascending, or as SORT put them. MIN and MAX are then its first
    and last, and only runs that ascend become ranges (RFC 5267 3.1, 3.2). Of nothing found there is no MIN, MAX, ALL
    and MODSEQ (RFC 4731 3.1). `source`: name and UIDVALIDITY of the mailbox, for a search of several
    (RFC 7377 2.1)."""
    correlator = b"TAG " + string(tag.encode("ascii"))
    if source is not None:
        correlator += b" MAILBOX %b UIDVALIDITY %d" % (mailbox(source[0], spelling), source[1])
    parts = [b"* ESEARCH (%b)" % correlator]
    if uid:
        parts.append(b"UID")
    options = returns.options
    if numbers and "MIN" in options:
        parts.append(b"MIN %d" % numbers[0])
    if numbers and "MAX" in options:
        parts.append(b"MAX %d" % numbers[-1])
    if numbers and "ALL" in options:
        parts.append(b"ALL " + compact(numbers))
    if "COUNT" in options:
        parts.append(b"COUNT %d" % len(numbers))
    if returns.partial is not None:
        part = returns.partial.of(numbers)
        parts.append(b"PARTIAL (%b %b)" % (returns.partial.said, compact(part) if part else b"NIL"))
    if modseq is not None and numbers:
        parts.append(b"MODSEQ %d" % modseq)
    return b" ".join(parts) + b"\r\n"
