"""What each key of a SEARCH asks of one message (RFC 3501 6.4.4): a key becomes a test, the cheaper ones come first.

Text is compared decoded and folded (wire/mime/text.py). Where the text of a message is kept (fulltext/) it is known
whether it matches; else TEXT, BODY and fields that the index does not keep are looked for in the message itself.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from mailplat.store.flagsets import Book
from mailplat.store.fulltext.finding import Found
from mailplat.store.fulltext.texts import CUT
from mailplat.wire.imap import search as keys
from mailplat.wire.mime import Part, scan
from mailplat.wire.mime.rendering import email_id
from mailplat.wire.mime.text import field_texts, fold, searchable_text

# Columns of a message; the second ones where a test needs them.
SMALL = ("m.uid", "m.modseq", "m.flagset", "m.size", "m.internaldate", "m.zone", "m.saved_at")
HEADINGS = (
    "r.sent_day", "r.subject", "r.sender", "r.recipient", "r.cc", "r.bcc", "r.message_id", "r.email_id",
)  # fmt: skip
# Fields that the index keeps, by their place among the columns.
_KEPT = {"subject": 8, "from": 9, "to": 10, "cc": 11, "bcc": 12, "message-id": 13}
_SAVED_AT, _SENT_DAY, _EMAIL_ID = 6, 7, 14

_DAY = 86_400
_EPOCH_DAY = 719_163  # datetime.date(1970, 1, 1).toordinal()

# Costs of a test: from a comparison to a look into the file.
_FREE, _INDEX, FILE = range(3)


class Message:
    """One message while it is tested; `row`: SMALL, and HEADINGS where the compiler says so."""

    __slots__ = ("_octets", "_read", "_root", "row", "uid")

    def __init__(self, row: Sequence[Any], read: Callable[[int], bytes | None]) -> None:
        self.row = row
        self.uid: int = row[0]
        self._read = read
        self._octets: bytes | None = None
        self._root: Part | None = None

    def content(self) -> tuple[bytes, Part]:
        """An expunged message is empty and matches no text."""
        if self._root is None or self._octets is None:
            self._octets = self._read(self.uid) or b""
            self._root = scan(self._octets)
        return self._octets, self._root


@dataclass(frozen=True, slots=True)
class Test:
    matches: Callable[[Message], bool]
    cost: int


class Compiler:
    def __init__(self, book: Book, now: float, found: Mapping[keys.Key, Found]) -> None:
        """`found`: what is known of messages whose text is kept."""
        self._book = book
        self._now = now  # one moment for all messages
        self._found = found
        self.headings = False  # a test looks at columns of `rendering`

    def compile(self, key: keys.Key) -> Test:
        match key:
            case keys.All():
                return Test(lambda _: True, _FREE)
            case keys.And(parts):
                tests = self._cheapest_first(parts)
                every = [test.matches for test in tests]
                return Test(lambda message: all(test(message) for test in every), tests[-1].cost)
            case keys.Or(parts):
                tests = self._cheapest_first(parts)
                some = [test.matches for test in tests]
                return Test(lambda message: any(test(message) for test in some), tests[-1].cost)
            case keys.Not(inner):
                test = self.compile(inner)
                return Test(lambda message: not test.matches(message), test.cost)
            case keys.Header(field, text):
                return self._kept(key, self._header(field.strip().lower(), fold(text)))
            case keys.Text(text):
                return self._kept(key, _in_content(fold(text), headers=True))
            case keys.Body(text):
                return self._kept(key, _in_content(fold(text), headers=False))
            case keys.Dated(sent, compare, day):
                self.headings = self.headings or sent
                own = _sent_day if sent else _internal_day
                return Test(partial(_on_day, own, compare, day), _INDEX if sent else _FREE)
            case keys.EmailId(value):
                self.headings = True
                return Test(partial(_has_email_id, value), FILE)
            case _:
                return self._small(key)

    def _small(self, key: keys.Key) -> Test:
        """Tests of the small columns."""
        match key:
            case keys.Uids(ranges):
                named = inside(ranges)
                return Test(lambda message: named(message.uid), _FREE)
            case keys.Flag(name, present):
                return Test(partial(_flagged, self._book, {}, name.casefold(), present), _FREE)
            case keys.Recent():
                return Test(lambda _: False, _FREE)  # \Recent is never kept
            case keys.Size(larger, octets):
                return Test(lambda m: m.row[3] > octets if larger else m.row[3] < octets, _FREE)
            case keys.Saved(compare, day):
                return Test(partial(_on_day, _saved_day, compare, day), _FREE)
            case keys.Within(older, seconds):
                since = self._now - seconds
                return Test(lambda m: m.row[4] < since if older else m.row[4] >= since, _FREE)
            case keys.ModSeq(value):
                return Test(lambda message: message.row[1] >= value, _FREE)
            case _:
                raise TypeError(f"{type(key).__name__} is not bound to UIDs: this is a bug")

    def _kept(self, key: keys.Key, test: Test) -> Test:
        """Look at a message only where its text is not kept."""
        found = self._found.get(key)
        if found is None:
            return test
        matched, known = found.matched, found.known
        return Test(lambda m: m.uid in matched if m.uid in known else test.matches(m), test.cost)

    def _cheapest_first(self, parts: Sequence[keys.Key]) -> list[Test]:
        return sorted(map(self.compile, parts), key=lambda test: test.cost)

    def _header(self, field: str, text: str) -> Test:
        """The index keeps the beginning of some fields; where that does not decide, the message does."""

        def inside(message: Message) -> bool:
            octets, root = message.content()
            return any(text in value for value in field_texts(octets, root, field))

        place = _KEPT.get(field)
        if place is None or not text:
            return Test(inside, FILE)
        self.headings = True

        def matches(message: Message) -> bool:
            kept: str = message.row[place]
            if text in fold(kept):
                return True
            return len(kept) >= CUT and inside(message)

        return Test(matches, _INDEX)


def _has_email_id(value: str, message: Message) -> bool:
    """Rows from before revision 0006 do not say; the file does."""
    return bool((message.row[_EMAIL_ID] or email_id(message.content()[0])) == value)


def inside(ranges: Sequence[tuple[int, int]]) -> Callable[[int], bool]:
    """Whether a UID is in one of these ranges, which ascend and do not overlap."""
    lows, highs = [low for low, _ in ranges], [high for _, high in ranges]

    def is_inside(uid: int) -> bool:
        place = bisect_right(lows, uid) - 1
        return place >= 0 and uid <= highs[place]

    return is_inside


def _flagged(book: Book, known: dict[int, bool], name: str, present: bool, message: Message) -> bool:
    number = message.row[2]
    found = known.get(number)
    if found is None:
        found = known[number] = name in (flag.casefold() for flag in book.flags(number))
    return found is present


def _on_day(own: Callable[[Sequence[Any]], int | None], compare: keys.Compare, day: int, m: Message) -> bool:
    on = own(m.row)
    if on is None:  # a Date that cannot be read is on no day
        return False
    return on == day if compare == "on" else on < day if compare == "before" else on >= day


def _sent_day(row: Sequence[Any]) -> int | None:
    day: int | None = row[_SENT_DAY]
    return day


def _internal_day(row: Sequence[Any]) -> int:
    """RFC 3501 6.4.4: "disregarding time and timezone": the day that its own zone shows."""
    return int((row[4] + row[5] * 60) // _DAY) + _EPOCH_DAY


def _saved_day(row: Sequence[Any]) -> int:
    return int(row[_SAVED_AT] // _DAY) + _EPOCH_DAY


def _in_content(text: str, *, headers: bool) -> Test:
    def matches(message: Message) -> bool:
        octets, root = message.content()
        return any(text in piece for piece in searchable_text(octets, root, headers=headers))

    return Test(matches, FILE)
