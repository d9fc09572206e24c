"""SEARCH (RFC 3501 6.4.4): a key becomes a test of one message; what the index knows is asked before any file.

Text is compared decoded and folded (wire/mime/text.py). TEXT, BODY and fields that the index does not keep are
looked for in the message itself, one file in memory at a time.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from mailplat.core.errors import LimitReached
from mailplat.core.route import Residence
from mailplat.store import fetch
from mailplat.store.flagsets import Book
from mailplat.store.index.tables import WITH_RENDERING
from mailplat.store.site import MailboxRow, Site
from mailplat.wire.imap import search as keys
from mailplat.wire.mime import Part, scan
from mailplat.wire.mime.rendering import SEARCHABLE_CHARACTERS, email_id
from mailplat.wire.mime.text import field_texts, fold, searchable_text

# Rows read at once.
_WINDOW = 2000

_SMALL = "m.uid, m.modseq, m.flagset, m.size, m.internaldate, m.zone, m.saved_at"
_HEADINGS = "r.sent_day, r.subject, r.sender, r.recipient, r.cc, r.bcc, r.message_id, r.email_id"
# Fields that the index keeps, by their place among the columns.
_KEPT = {"subject": 8, "from": 9, "to": 10, "cc": 11, "bcc": 12, "message-id": 13}
_SAVED_AT, _SENT_DAY, _EMAIL_ID = 6, 7, 14

_DAY = 86_400
_EPOCH_DAY = 719_163  # datetime.date(1970, 1, 1).toordinal()

# Costs of a test: from a comparison to a look into the file.
_FREE, _INDEX, _FILE = range(3)


class _Message:
    """One message while it is tested."""

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
class _Test:
    matches: Callable[[_Message], bool]
    cost: int


def deadline_of(site: Site) -> float:
    """Clock.monotonic() by when a search that begins now must have ended."""
    return site.clock.monotonic() + site.limits.search_seconds


def search(
    site: Site, residence: Residence, mailbox_id: int, key: keys.Key, *, deadline: float | None = None
) -> list[int]:
    """UIDs of the messages that match, ascending. `key` is bound: it has no sequence numbers. `deadline`: of
    `deadline_of`, for a search of several mailboxes. Raises NotFound, LimitReached when it takes longer than that."""
    deadline = deadline_of(site) if deadline is None else deadline
    with site.read() as connection:
        mailbox = site.mailbox_by_id(connection, residence.account_id, mailbox_id)
        sets = connection.exec_driver_sql(
            "SELECT DISTINCT flagset FROM message WHERE mailbox_id = ?", (mailbox_id,)
        )
        book = site.library.book(connection, mailbox_id, {number for (number,) in sets})
    compiler = _Compiler(book, site.clock.now())
    test = compiler.compile(key)
    read = partial(fetch.octets, site, residence, mailbox_id)
    found: list[int] = []
    for row in _rows(site, mailbox, headings=compiler.headings):
        if book.knows(row[2]) and test.matches(_Message(row, read)):
            found.append(row[0])
        if test.cost == _FILE and site.clock.monotonic() > deadline:
            raise LimitReached(f"a search took longer than {site.limits.search_seconds:g} s; search for less")
    return found


def _rows(site: Site, mailbox: MailboxRow, *, headings: bool) -> Iterator[Sequence[Any]]:
    columns = f"{_SMALL}, {_HEADINGS}" if headings else _SMALL
    source = WITH_RENDERING if headings else "message m"
    last = 0
    while True:
        with site.read() as connection:
            window = connection.exec_driver_sql(
                f"SELECT {columns} FROM {source} WHERE m.mailbox_id = ? AND m.uid > ? ORDER BY m.uid LIMIT ?",
                (mailbox.id, last, _WINDOW),
            ).fetchall()
        yield from window
        if len(window) < _WINDOW:
            return
        last = window[-1][0]


class _Compiler:
    def __init__(self, book: Book, now: float) -> None:
        self._book = book
        self._now = now  # one moment for all messages
        self.headings = False  # a test looks at columns of `rendering`

    def compile(self, key: keys.Key) -> _Test:
        match key:
            case keys.All():
                return _Test(lambda _: True, _FREE)
            case keys.And(parts):
                tests = self._cheapest_first(parts)
                every = [test.matches for test in tests]
                return _Test(lambda message: all(test(message) for test in every), tests[-1].cost)
            case keys.Or(parts):
                tests = self._cheapest_first(parts)
                some = [test.matches for test in tests]
                return _Test(lambda message: any(test(message) for test in some), tests[-1].cost)
            case keys.Not(inner):
                test = self.compile(inner)
                return _Test(lambda message: not test.matches(message), test.cost)
            case keys.Header(field, text):
                return self._header(field.strip().lower(), fold(text))
            case keys.Text(text):
                return _in_content(fold(text), headers=True)
            case keys.Body(text):
                return _in_content(fold(text), headers=False)
            case keys.Dated(sent, compare, day):
                self.headings = self.headings or sent
                own = _sent_day if sent else _internal_day
                return _Test(partial(_on_day, own, compare, day), _INDEX if sent else _FREE)
            case keys.EmailId(value):
                self.headings = True
                return _Test(partial(_has_email_id, value), _FILE)
            case _:
                return self._small(key)

    def _small(self, key: keys.Key) -> _Test:
        """Tests of the small columns."""
        match key:
            case keys.Uids(ranges):
                return _Test(
                    partial(_in_ranges, [low for low, _ in ranges], [high for _, high in ranges]), _FREE
                )
            case keys.Flag(name, present):
                return _Test(partial(_flagged, self._book, {}, name.casefold(), present), _FREE)
            case keys.Recent():
                return _Test(lambda _: False, _FREE)  # \Recent is never kept
            case keys.Size(larger, octets):
                return _Test(lambda m: m.row[3] > octets if larger else m.row[3] < octets, _FREE)
            case keys.Saved(compare, day):
                return _Test(partial(_on_day, _saved_day, compare, day), _FREE)
            case keys.Within(older, seconds):
                since = self._now - seconds
                return _Test(lambda m: m.row[4] < since if older else m.row[4] >= since, _FREE)
            case keys.ModSeq(value):
                return _Test(lambda message: message.row[1] >= value, _FREE)
            case _:
                raise TypeError(f"{type(key).__name__} is not bound to UIDs: this is a bug")

    def _cheapest_first(self, parts: Sequence[keys.Key]) -> list[_Test]:
        return sorted(map(self.compile, parts), key=lambda test: test.cost)

    def _header(self, field: str, text: str) -> _Test:
        """The index keeps the beginning of some fields; where that does not decide, the message does."""

        def inside(message: _Message) -> bool:
            octets, root = message.content()
            return any(text in value for value in field_texts(octets, root, field))

        place = _KEPT.get(field)
        if place is None or not text:
            return _Test(inside, _FILE)
        self.headings = True

        def matches(message: _Message) -> bool:
            kept: str = message.row[place]
            if text in fold(kept):
                return True
            return len(kept) >= _CUT and inside(message)

        return _Test(matches, _INDEX)


# A kept field of at least this length may have been cut; a decoded one a little before its limit.
_CUT = SEARCHABLE_CHARACTERS - 8


def _has_email_id(value: str, message: _Message) -> bool:
    """Rows from before revision 0006 do not say; the file does."""
    return bool((message.row[_EMAIL_ID] or email_id(message.content()[0])) == value)


def _in_ranges(lows: list[int], highs: list[int], message: _Message) -> bool:
    place = bisect_right(lows, message.uid) - 1
    return place >= 0 and message.uid <= highs[place]


def _flagged(book: Book, known: dict[int, bool], name: str, present: bool, message: _Message) -> bool:
    number = message.row[2]
    found = known.get(number)
    if found is None:
        found = known[number] = name in (flag.casefold() for flag in book.flags(number))
    return found is present


def _on_day(own: Callable[[Sequence[Any]], int | None], compare: keys.Compare, day: int, m: _Message) -> bool:
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


def _in_content(text: str, *, headers: bool) -> _Test:
    def matches(message: _Message) -> bool:
        octets, root = message.content()
        return any(text in piece for piece in searchable_text(octets, root, headers=headers))

    return _Test(matches, _FILE)
