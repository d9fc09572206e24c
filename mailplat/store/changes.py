"""What a view of a mailbox is built from, and what happened since (RFC 7162)."""

import json
from array import array
from bisect import bisect_left
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from mailplat.core.route import Residence
from mailplat.db.driver import fetch_all
from mailplat.store.ready import Ready
from mailplat.store.site import MailboxRow, Site
from mailplat.store.tombstones import expunged_since
from mailplat.store.types import Changes, Snapshot

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
class Numbered:
    """A snapshot that can be brought forward."""

    uidvalidity: int
    backfills: int
    sets: tuple[int, ...]  # the index's number of each of the snapshot's flagsets
    snapshot: Snapshot

    @property
    def uidnext(self) -> int:
        return self.snapshot.uidnext

    @property
    def modseq(self) -> int:
        return self.snapshot.modseq

    def __len__(self) -> int:
        """Messages."""
        return len(self.snapshot.uids)


def snapshot(site: Site, snapshots: Ready[Numbered], residence: Residence, mailbox_id: int) -> Snapshot:
    """The mailbox as it is now. Raises NotFound. What it costs after a few changes does not grow with the mailbox,
    but for three copies of memory."""
    with site.read() as connection:
        row = site.mailbox_by_id(connection, residence.account_id, mailbox_id)
        kept = snapshots.get(row)
        if kept is not None and (kept.modseq, kept.uidnext) == (row.modseq, row.uidnext):
            return kept.snapshot
        found = _bring_forward(site, connection, row, kept) if kept is not None else None
        if found is None:
            found = _read(site, connection, row)
        snapshots.put(row, found)
    return found.snapshot


def _read(site: Site, connection: Connection, row: MailboxRow) -> Numbered:
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
    return Numbered(row.uidvalidity, row.backfills, tuple(distinct), taken)


def _bring_forward(site: Site, connection: Connection, row: MailboxRow, kept: Numbered) -> Numbered | None:
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
    return Numbered(row.uidvalidity, row.backfills, tuple(place), taken)


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
