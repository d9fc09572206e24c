"""SEARCH (RFC 3501 6.4.4): text that is kept is asked first, then the index, and files last, one in memory at a time.

What is known of kept text leaves a key sure of some messages and open for others; only these are tested one by one
(criteria.py). A key without text is open for all of them.
"""

from collections.abc import Collection, Iterator, Mapping
from functools import partial

from mailplat.core.errors import LimitReached
from mailplat.core.route import Residence
from mailplat.db.driver import fetch_one
from mailplat.store import fetch
from mailplat.store.changes import Numbered, snapshot
from mailplat.store.criteria import FILE, HEADINGS, SMALL, Compiler, Message, inside
from mailplat.store.fulltext.finding import Found, look
from mailplat.store.ready import Ready
from mailplat.store.rendered import window
from mailplat.store.site import MailboxRow, Site
from mailplat.store.types import MAX_UID
from mailplat.wire.imap import search as keys
from mailplat.wire.imap.sequence import ranges

# Rows read at once.
_WINDOW = 2000

_END = "SELECT uid FROM message WHERE mailbox_id = ? AND uid > ? ORDER BY uid LIMIT 1 OFFSET ?"


def deadline_of(site: Site) -> float:
    """Clock.monotonic() by when a search that begins now must have ended."""
    return site.clock.monotonic() + site.limits.search_seconds


def search(
    site: Site,
    snapshots: Ready[Numbered],
    residence: Residence,
    mailbox_id: int,
    key: keys.Key,
    *,
    deadline: float | None = None,
) -> list[int]:
    """UIDs of the messages that match, ascending. `key` is bound: it has no sequence numbers. `deadline`: of
    `deadline_of`, for a search of several mailboxes. Raises NotFound, LimitReached when it takes longer than that."""
    deadline = deadline_of(site) if deadline is None else deadline
    with site.read() as connection:
        mailbox = site.mailbox_by_id(connection, residence.account_id, mailbox_id)
    found = look(site, mailbox, key, deadline)
    if not found:
        return _test(site, residence, mailbox, key, {}, None, deadline)
    present = set(snapshot(site, snapshots, residence, mailbox_id).uids)
    sure, unsure = settle(key, present, found)
    if unsure:
        sure |= set(_test(site, residence, mailbox, key, found, unsure, deadline))
    return sorted(sure)


def settle(key: keys.Key, present: set[int], found: Mapping[keys.Key, Found]) -> tuple[set[int], set[int]]:
    """(UIDs that match, UIDs that have to be tested) of those present; no other matches."""
    match key:
        case keys.All():
            return set(present), set()
        case keys.And(parts):
            settled = [settle(part, present, found) for part in parts]
            sure = set(present).intersection(*(sure for sure, _ in settled))
            possible = set(present).intersection(*(sure | unsure for sure, unsure in settled))
            return sure, possible - sure
        case keys.Or(parts):
            settled = [settle(part, present, found) for part in parts]
            sure = set[int]().union(*(sure for sure, _ in settled))
            return sure, set[int]().union(*(unsure for _, unsure in settled)) - sure
        case keys.Not(inner):
            sure, unsure = settle(inner, present, found)
            return present - sure - unsure, unsure
        case keys.Uids(ranges):
            return set(filter(inside(ranges), present)), set()
        case _:
            known = found.get(key)
            return (
                (set(), set(present)) if known is None else (known.matched & present, present - known.known)
            )


def _test(
    site: Site,
    residence: Residence,
    mailbox: MailboxRow,
    key: keys.Key,
    found: Mapping[keys.Key, Found],
    only: Collection[int] | None,
    deadline: float,
) -> list[int]:
    """Of all messages, or of some, those that match."""
    with site.read() as connection:
        sets = connection.exec_driver_sql(
            "SELECT DISTINCT flagset FROM message WHERE mailbox_id = ?", (mailbox.id,)
        )
        book = site.library.book(connection, mailbox.id, {number for (number,) in sets})
    compiler = Compiler(book, site.clock.now(), found)
    test = compiler.compile(key)
    read = partial(fetch.octets, site, residence, mailbox.id)
    columns = (*SMALL, *HEADINGS) if compiler.headings else SMALL
    matching: list[int] = []
    for number, wanted in enumerate(_all(site, mailbox.id) if only is None else _some(only)):
        if number:  # a window may have to be rendered first
            _check(site, deadline)
        for row in window(site, residence, mailbox.id, wanted, columns):
            if book.knows(row[2]) and test.matches(Message(row, read)):
                matching.append(row[0])
            if test.cost == FILE:
                _check(site, deadline)
    return matching


def _check(site: Site, deadline: float) -> None:
    if site.clock.monotonic() > deadline:
        raise LimitReached(f"a search took longer than {site.limits.search_seconds:g} s; search for less")


def _all(site: Site, mailbox_id: int) -> Iterator[list[tuple[int, int]]]:
    """UIDs of all messages, in windows."""
    last = 0
    while True:
        with site.read() as connection:
            found = fetch_one(connection, _END, (mailbox_id, last, _WINDOW - 1))
        yield [(last + 1, MAX_UID if found is None else found[0])]
        if found is None:
            return
        last = found[0]


def _some(only: Collection[int]) -> Iterator[list[tuple[int, int]]]:
    ordered = sorted(only)
    for start in range(0, len(ordered), _WINDOW):
        yield ranges(ordered[start : start + _WINDOW])
