"""What a view of a mailbox is built from, and what happened since (RFC 7162)."""

import json
import threading
from array import array
from bisect import bisect_left
from collections import OrderedDict
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from mailplat.core.route import Residence
from mailplat.db.driver import fetch_all
from mailplat.store.site import MailboxRow, Site
from mailplat.store.tombstones import expunged_since
from mailplat.store.types import Changes, Snapshot, StoreLimits

# One row of three JSON arrays: SQLite makes 10,000 messages of it in half the time that as many rows take.
_ARRAYS = (
    "SELECT json_group_array(uid), json_group_array(modseq), json_group_array(flagset) FROM"
    " (SELECT uid, modseq, flagset FROM message WHERE mailbox_id = ? ORDER BY uid)"
)
# `+uid`: SQLite would otherwise walk the whole mailbox along its primary key to save this sort of a few rows.
_CHANGED = "SELECT uid, modseq, flagset FROM message WHERE mailbox_id = ? AND modseq > ? ORDER BY +uid"
_PRESENT = "SELECT json_group_array(uid) FROM (SELECT uid FROM message WHERE mailbox_id = ? ORDER BY uid)"

# Changes that are put into a copy of an older snapshot; with more of them reading it all is as cheap. An expunge
# moves all that is behind it, so there are fewer of these.
_FEW_CHANGED = 5000
_FEW_EXPUNGED = 200

# Flag sets that an array of 16 bits can number.
_SHORT = 0x10000


@dataclass(frozen=True, slots=True)
class _Kept:
    uidvalidity: int
    backfills: int
    sets: tuple[int, ...]  # the index's number of each of the snapshot's flagsets
    snapshot: Snapshot


class Snapshots:
    """Snapshots kept ready, the least used given up first; bounded in number and in messages."""

    def __init__(self, limits: StoreLimits) -> None:
        self._limits = limits
        self._kept: OrderedDict[int, _Kept] = OrderedDict()
        self._messages = 0
        self._lock = threading.Lock()

    def get(self, row: MailboxRow) -> _Kept | None:
        """This mailbox, now or earlier; nothing that changes cannot lead from to now."""
        with self._lock:
            kept = self._kept.get(row.id)
            if (
                kept is None
                or (kept.uidvalidity, kept.backfills) != (row.uidvalidity, row.backfills)
                or kept.snapshot.modseq > row.modseq
                or kept.snapshot.uidnext > row.uidnext
            ):
                return None
            self._kept.move_to_end(row.id)
            return kept

    def put(self, row: MailboxRow, kept: _Kept) -> None:
        messages = len(kept.snapshot.uids)
        with self._lock:
            self._drop(row.id)
            if messages > self._limits.snapshot_messages:
                return
            self._kept[row.id] = kept
            self._messages += messages
            while len(self._kept) > self._limits.snapshots or self._messages > self._limits.snapshot_messages:
                self._drop(next(iter(self._kept)))

    def forget(self) -> None:
        with self._lock:
            self._kept.clear()
            self._messages = 0

    def _drop(self, mailbox_id: int) -> None:
        kept = self._kept.pop(mailbox_id, None)
        if kept is not None:
            self._messages -= len(kept.snapshot.uids)


def snapshot(site: Site, snapshots: Snapshots, residence: Residence, mailbox_id: int) -> Snapshot:
    """The mailbox as it is now. Raises NotFound. What it costs after a few changes does not grow with the mailbox,
    but for three copies of memory."""
    with site.read() as connection:
        row = site.mailbox_by_id(connection, residence.account_id, mailbox_id)
        kept = snapshots.get(row)
        if kept is not None and (kept.snapshot.modseq, kept.snapshot.uidnext) == (row.modseq, row.uidnext):
            return kept.snapshot
        found = _bring_forward(site, connection, row, kept) if kept is not None else None
        if found is None:
            found = _read(site, connection, row)
        snapshots.put(row, found)
    return found.snapshot


def _read(site: Site, connection: Connection, row: MailboxRow) -> _Kept:
    uids, modseqs, sets = map(json.loads, connection.exec_driver_sql(_ARRAYS, (row.id,)).one())
    distinct = sorted(set(sets))
    book = site.library.book(connection, row.id, distinct)
    place = {number: index for index, number in enumerate(distinct)}
    flagsets = [book.flags(number) for number in distinct]
    taken = Snapshot(
        row.uidvalidity,
        row.uidnext,
        row.modseq,
        array("I", uids),
        array("H" if len(distinct) <= _SHORT else "I", map(place.__getitem__, sets)),
        array("Q", modseqs),
        flagsets,
    )
    return _Kept(row.uidvalidity, row.backfills, tuple(distinct), taken)


def _bring_forward(site: Site, connection: Connection, row: MailboxRow, kept: _Kept) -> _Kept | None:
    """An older snapshot and what happened since, as the present one. None where so much has that all is better read.
    The older one stays as it is: views are made from it."""
    old = kept.snapshot
    since = (row.id, old.modseq)
    changed = fetch_all(connection, f"{_CHANGED} LIMIT {_FEW_CHANGED + 1}", since)
    expunged = expunged_since(connection, row.id, old.modseq, _FEW_EXPUNGED + 1)
    place = {number: index for index, number in enumerate(kept.sets)}
    for _, _, number in changed:
        place.setdefault(number, len(place))
    if expunged is None or len(expunged) > _FEW_EXPUNGED:
        return None
    if len(changed) > _FEW_CHANGED or len(place) > _SHORT:
        return None
    book = site.library.book(connection, row.id, place)
    uids, flags, modseqs = array("I", old.uids), array("H", old.flags), array("Q", old.modseqs)
    for uid, modseq, number in changed:
        at = bisect_left(uids, uid)
        if at == len(uids):
            uids.append(uid)
            flags.append(place[number])
            modseqs.append(modseq)
        elif uids[at] == uid:
            flags[at], modseqs[at] = place[number], modseq
        else:
            return None
    for uid in expunged:
        at = bisect_left(uids, uid)
        if at < len(uids) and uids[at] == uid:
            del uids[at], flags[at], modseqs[at]
    flagsets = [*old.flagsets, *(book.flags(number) for number in list(place)[len(kept.sets) :])]
    taken = Snapshot(row.uidvalidity, row.uidnext, row.modseq, uids, flags, modseqs, flagsets)
    return _Kept(row.uidvalidity, row.backfills, tuple(place), taken)


def changes(site: Site, residence: Residence, mailbox_id: int, since_modseq: int) -> Changes:
    """One short SELECT where nothing happened. Raises NotFound when the mailbox was deleted."""
    with site.read() as connection:
        row = site.mailbox_by_id(connection, residence.account_id, mailbox_id)
        if row.modseq <= since_modseq:
            return Changes(row.modseq, row.uidnext)
        changed = fetch_all(connection, _CHANGED, (mailbox_id, since_modseq))
        expunged = expunged_since(connection, mailbox_id, since_modseq)
        present = None
        if expunged is None:
            present = array("I", json.loads(connection.exec_driver_sql(_PRESENT, (mailbox_id,)).scalar_one()))
        book = site.library.book(connection, mailbox_id, {number for _, _, number in changed})
    return Changes(
        row.modseq,
        row.uidnext,
        [(uid, modseq, book.flags(number)) for uid, modseq, number in changed],
        expunged or (),
        present,
    )
