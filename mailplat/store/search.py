"""SEARCH (RFC 3501 6.4.4): text that is kept is asked first, then the index, and files last, one in memory at a time.

What is known of kept text leaves a key sure of some messages and open for others; only these are tested one by one
(criteria.py). A key without text is open for all of them.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from mailplat.core.errors import LimitReached
from mailplat.core.route import Residence
from mailplat.store import fetch
from mailplat.store.changes import Numbered, snapshot
from mailplat.store.criteria import FILE, HEADINGS, SMALL, Compiler, Message, inside
from mailplat.store.fulltext.finding import Found, look
from mailplat.store.index.tables import WITH_RENDERING
from mailplat.store.ready import Ready
from mailplat.store.site import MailboxRow, Site
from mailplat.wire.imap import search as keys

# Rows read at once.
_WINDOW = 2000


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
    matching: list[int] = []
    rows = _rows if only is None else partial(_some_rows, only=only)
    for row in rows(site, mailbox, headings=compiler.headings):
        if book.knows(row[2]) and test.matches(Message(row, read)):
            matching.append(row[0])
        if test.cost == FILE and site.clock.monotonic() > deadline:
            raise LimitReached(f"a search took longer than {site.limits.search_seconds:g} s; search for less")
    return matching


def _rows(site: Site, mailbox: MailboxRow, *, headings: bool) -> Iterator[Sequence[Any]]:
    columns, source = _columns(headings)
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


def _some_rows(
    site: Site, mailbox: MailboxRow, *, headings: bool, only: Collection[int]
) -> Iterator[Sequence[Any]]:
    columns, source = _columns(headings)
    ordered = sorted(only)
    for start in range(0, len(ordered), _WINDOW):
        uids = json.dumps(ordered[start : start + _WINDOW])
        with site.read() as connection:
            window = connection.exec_driver_sql(
                f"SELECT {columns} FROM json_each(?) j CROSS JOIN {source}"
                " WHERE m.mailbox_id = ? AND m.uid = j.value ORDER BY j.id",
                (uids, mailbox.id),
            ).fetchall()
        yield from window


def _columns(headings: bool) -> tuple[str, str]:
    return (f"{SMALL}, {HEADINGS}", WITH_RENDERING) if headings else (SMALL, "message m")
