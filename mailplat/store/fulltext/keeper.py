"""What keeps fulltext.db close behind the index. Of the processes of a shard one does so at a time.

It looks at the mailboxes that this process has changed or searched, and from time to time at all that it keeps: what
a process that died left undone. Between two steps it rests as long as the step took: who waits for a login or a
message shares the core with it at most half of the time.
"""

import json
import threading
import time
from collections import deque
from collections.abc import Iterator

import structlog

from mailplat.core import disk
from mailplat.db.engine import Damaged
from mailplat.store.fulltext.keeping import advance, enrol
from mailplat.store.fulltext.texts import KINDS
from mailplat.store.site import Site

log = structlog.get_logger("fulltext")

# Changes of so many seconds are taken together.
DELAY_S = 1.0

# Seconds after which another process is let at the file; it looks for that each DELAY_S.
ROUND_S = 2.0

# Seconds between two looks at all that is kept.
SWEEP_S = 600.0

# Mailboxes in one look.
_MAILBOXES = 500

_CHANGED = (
    "SELECT m.id, m.account_id, m.uidvalidity, m.backfills, m.modseq, m.uidnext FROM json_each(?) j"
    " JOIN mailbox m ON m.id = j.value"
)
_KEPT = (
    "SELECT DISTINCT mailbox_id FROM part WHERE mailbox_id IN (SELECT value FROM json_each(?))"
    " OR account_id IN (SELECT value FROM json_each(?))"
)
_ALL = "SELECT id FROM mailbox WHERE id > ? AND messages > 0 ORDER BY id LIMIT ?"
_PARTS = (
    "SELECT part, mailbox_id, account_id, uidvalidity, backfills, modseq, uidnext FROM part"
    " WHERE (mailbox_id, part) > (?, ?) ORDER BY mailbox_id, part LIMIT ?"
)


class Rounds:
    """What is to be looked at, and a round of it; for one thread (behind.py)."""

    def __init__(self, site: Site, stop: threading.Event | None = None) -> None:
        self._site = site
        self._stop = stop or threading.Event()
        self._behind: deque[int] = deque()  # mailboxes that may have something new, in turn
        self._sweep_at = 0.0
        self._untrimmed = (
            True  # what was removed may still be in SQLite's log; who was before us may have died
        )

    @property
    def idle(self) -> float:
        """Seconds until something is due that nobody asks for."""
        return max(0.0, self._sweep_at - time.monotonic())

    def round(self) -> bool:
        """Whether there is more to be done. Raises Unavailable, DiskFull."""
        try:
            return self._round()
        except Damaged as error:
            log.error(
                "the text kept for search is damaged; it is made anew",
                shard=self._site.name,
                reason=str(error),
            )
            self._site.fulltext.damaged = True
            return True

    def _round(self) -> bool:
        kept = self._site.fulltext
        if kept.mode == "off" or kept.damaged:
            return self._remove()
        if not kept.exists and not kept.wanted and kept.mode != "all":
            kept.touched.clear()
            self._sweep_at = time.monotonic() + SWEEP_S
            return False
        swept = time.monotonic() >= self._sweep_at
        wanted = _drain(kept.wanted)
        try:
            self._collect({mailbox_id for mailbox_id, _ in wanted}, swept=swept)
            done = not (self._behind or (self._untrimmed and kept.exists)) or self._work(wanted)
        except BaseException:
            kept.wanted |= wanted
            self._sweep_at = 0.0  # what was touched is found by its MODSEQ
            raise
        if not done:
            kept.wanted |= wanted
        elif swept:
            self._sweep_at = time.monotonic() + SWEEP_S
        return not done or bool(self._behind)

    def _remove(self) -> bool:
        kept = self._site.fulltext
        self._sweep_at = time.monotonic() + SWEEP_S
        if not kept.exists:
            kept.damaged = False
            return False
        with kept.held() as mine:
            if mine:
                kept.remove()
        return not mine

    def _collect(self, mailboxes: set[int], *, swept: bool) -> None:
        """Put mailboxes that are to be looked at into the queue: those named, and what was touched or is swept."""
        site = self._site
        touched = _drain(site.fulltext.touched)
        accounts = {account_id for account_id, mailbox_id in touched if not mailbox_id}
        changed = {mailbox_id for _, mailbox_id in touched if mailbox_id}
        if site.fulltext.mode == "all":
            mailboxes |= changed
        elif changed or accounts:
            with site.fulltext.read() as connection:
                if connection is not None:
                    found = connection.exec_driver_sql(
                        _KEPT, (json.dumps(list(changed)), json.dumps(list(accounts)))
                    )
                    mailboxes |= {mailbox_id for (mailbox_id,) in found}
        if swept:
            mailboxes.update(_changed(site))
            if site.fulltext.mode == "all":
                mailboxes.update(_unkept(site))
        self._behind.extend(sorted(mailboxes.difference(self._behind)))

    def _work(self, wanted: set[tuple[int, int]]) -> bool:
        """Steps for ROUND_S. False where another process is at it."""
        site = self._site
        with site.fulltext.held() as mine:
            if not mine:
                return False
            site.fulltext.create()
            enrol(site, wanted)
            until = time.monotonic() + ROUND_S
            while self._behind and time.monotonic() < until and not self._stop.is_set():
                began = time.monotonic()
                mailbox_id = self._behind.popleft()
                if site.fulltext.mode == "all":
                    enrol(site, [(mailbox_id, part) for part in KINDS])
                steps = [advance(site, mailbox_id, part) for part in KINDS]
                self._untrimmed = self._untrimmed or any(step.removed for step in steps)
                if any(step.more for step in steps):
                    self._behind.append(mailbox_id)
                    self._stop.wait(time.monotonic() - began)
            if self._untrimmed and site.fulltext.trim():
                self._untrimmed = False
                disk.step("fulltext.trim")
        return not self._untrimmed


def _drain(pairs: set[tuple[int, int]]) -> set[tuple[int, int]]:
    """Other threads add to it meanwhile."""
    taken = set()
    while pairs:
        taken.add(pairs.pop())
    return taken


def _changed(site: Site) -> Iterator[int]:
    """Mailboxes of which what is kept is not what the index says, or not all of it."""
    last = (0, 0)
    while True:
        with site.fulltext.read() as connection:
            if connection is None:
                return
            kept = connection.exec_driver_sql(_PARTS, (*last, _MAILBOXES)).fetchall()
        if not kept:
            return
        with site.read() as index:
            rows = index.exec_driver_sql(_CHANGED, (json.dumps([row[1] for row in kept]),)).fetchall()
        now = {tuple(row) for row in rows}
        yield from (row[1] for row in kept if tuple(row[1:]) not in now)
        last = (kept[-1][1], kept[-1][0])


def _unkept(site: Site) -> Iterator[int]:
    """Mailboxes with messages, of which nothing is kept."""
    last = 0
    while True:
        with site.read() as index:
            rows = index.exec_driver_sql(_ALL, (last, _MAILBOXES)).fetchall()
        if not rows:
            return
        found = {mailbox_id for (mailbox_id,) in rows}
        with site.fulltext.read() as connection:
            if connection is not None:
                kept = connection.exec_driver_sql(_KEPT, (json.dumps(list(found)), "[]"))
                found -= {mailbox_id for (mailbox_id,) in kept}
        yield from found
        last = rows[-1][0]
