"""What a view of a mailbox is built from, and what happened since (RFC 7162)."""

import json
import threading
from collections import OrderedDict
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from mailplat.core.route import Residence
from mailplat.store.site import MailboxRow, Site
from mailplat.store.types import Changes, Snapshot, StoreLimits

# One row of three JSON arrays: SQLite makes 10,000 messages of it in half the time that as many rows take.
_ARRAYS = (
    "SELECT json_group_array(uid), json_group_array(modseq), json_group_array(flagset) FROM"
    " (SELECT uid, modseq, flagset FROM message WHERE mailbox_id = ? ORDER BY uid)"
)
# `+uid`: SQLite would otherwise walk the whole mailbox along its primary key to save this sort of a few rows.
_CHANGED = "SELECT uid, modseq, flagset FROM message WHERE mailbox_id = ? AND modseq > ? ORDER BY +uid"
_EXPUNGED = "SELECT uid FROM expunged WHERE mailbox_id = ? AND modseq > ? ORDER BY uid"


@dataclass(frozen=True, slots=True)
class _Kept:
    uidvalidity: int
    backfills: int
    snapshot: Snapshot


class Snapshots:
    """Snapshots kept ready, the least used given up first; bounded in number and in messages."""

    def __init__(self, limits: StoreLimits) -> None:
        self._limits = limits
        self._kept: OrderedDict[int, _Kept] = OrderedDict()
        self._messages = 0
        self._lock = threading.Lock()

    def get(self, row: MailboxRow) -> Snapshot | None:
        """Exactly this state of the mailbox, or nothing."""
        with self._lock:
            kept = self._kept.get(row.id)
            if kept is None or (
                kept.uidvalidity,
                kept.backfills,
                kept.snapshot.modseq,
                kept.snapshot.uidnext,
            ) != (
                row.uidvalidity,
                row.backfills,
                row.modseq,
                row.uidnext,
            ):
                return None
            self._kept.move_to_end(row.id)
            return kept.snapshot

    def put(self, row: MailboxRow, snapshot: Snapshot) -> None:
        with self._lock:
            self._drop(row.id)
            if len(snapshot.uids) > self._limits.snapshot_messages:
                return
            self._kept[row.id] = _Kept(row.uidvalidity, row.backfills, snapshot)
            self._messages += len(snapshot.uids)
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
    """The mailbox as it is now. Raises NotFound."""
    with site.read() as connection:
        row = site.mailbox_by_id(connection, residence.account_id, mailbox_id)
        found = snapshots.get(row)
        if found is None:
            found = _read_snapshot(site, connection, row)
            snapshots.put(row, found)
    return found


def _read_snapshot(site: Site, connection: Connection, row: MailboxRow) -> Snapshot:
    arrays = connection.exec_driver_sql(_ARRAYS, (row.id,)).one()
    uids, modseqs, sets = map(json.loads, arrays)
    distinct = sorted(set(sets))
    book = site.library.book(connection, row.id, distinct)
    place = {number: index for index, number in enumerate(distinct)}
    flags = list(map(place.__getitem__, sets))
    flagsets = [book.flags(number) for number in distinct]
    return Snapshot(row.uidvalidity, row.uidnext, row.modseq, uids, flags, modseqs, flagsets)


def changes(site: Site, residence: Residence, mailbox_id: int, since_modseq: int) -> Changes:
    """One short SELECT where nothing happened. Raises NotFound when the mailbox was deleted."""
    with site.read() as connection:
        row = site.mailbox_by_id(connection, residence.account_id, mailbox_id)
        if row.modseq <= since_modseq:
            return Changes(row.modseq, row.uidnext)
        changed = connection.exec_driver_sql(_CHANGED, (mailbox_id, since_modseq)).fetchall()
        expunged = connection.exec_driver_sql(_EXPUNGED, (mailbox_id, since_modseq)).fetchall()
        book = site.library.book(connection, mailbox_id, {number for _, _, number in changed})
    return Changes(
        row.modseq,
        row.uidnext,
        [(uid, modseq, book.flags(number)) for uid, modseq, number in changed],
        [uid for (uid,) in expunged],
    )
