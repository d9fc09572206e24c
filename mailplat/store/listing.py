"""What a maildrop is made of (RFC 1939 5): UIDs, sizes and UIDLs of one mailbox, 12 octets a message.

None of these ever changes while the message is there, whatever happens to its flags. So a listing that was read once
is kept, and brought forward by what came and what went: a client that polls costs what is new, not what is there.
"""

import json
from array import array
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from sqlalchemy.engine import Connection

from mailplat.core.route import Residence
from mailplat.store.ready import Ready
from mailplat.store.site import MailboxRow, Site
from mailplat.store.tombstones import expunged_since
from mailplat.store.uidl import split

# One row of JSON arrays: SQLite and json make 100,000 messages of it in a third of the time that as many rows take.
# `{since}` is UIDNEXT of what is known. UIDLs are given only where another platform made them.
_ARRAYS = (
    "SELECT json_group_array(uid), json_group_array(size),"
    " json_group_array(uid) FILTER (WHERE uidl IS NOT NULL),"
    " json_group_array(uidl) FILTER (WHERE uidl IS NOT NULL),"
    " count(*) FILTER (WHERE instr(uidl, ' ')) FROM"
    " (SELECT uid, size, uidl FROM message WHERE mailbox_id = ? AND uid >= ? ORDER BY uid)"
)


@dataclass(frozen=True, slots=True)
class Listing:
    """Shared between sessions: never written to. `uids` ascending, `sizes` in octets beside them. `uidls`: by UID,
    those that are not made of UIDVALIDITY and UID, as they are kept (uidl.py). `placed`: some have places."""

    uidvalidity: int
    uidnext: int
    modseq: int
    backfills: int
    uids: "array[int]"
    sizes: "array[int]"
    uidls: Mapping[int, str]
    placed: bool = False
    octets: int = field(init=False)  # of all

    def __len__(self) -> int:
        """Messages."""
        return len(self.uids)

    def __post_init__(self) -> None:
        object.__setattr__(self, "octets", sum(self.sizes))

    def uidl(self, place: int) -> str:
        """Of the message at this place, from 0."""
        uid = self.uids[place]
        return self.uidls.get(uid) or f"{self.uidvalidity}.{uid}"

    def places(self) -> dict[int, float]:
        """By UID, among UIDs: where each stands for POP3."""
        said = {uid: split(text)[0] for uid, text in self.uidls.items()} if self.placed else {}
        return {uid: said.get(uid) or float(uid) for uid in self.uids}

    def in_order(self) -> "Listing":
        """As POP3 shows it: where some have places, `uids` do not ascend then."""
        if not self.placed:
            return self
        said = {uid: split(text) for uid, text in self.uidls.items()}
        placed = {uid: place for uid, (place, _) in said.items() if place}
        order = sorted(
            range(len(self.uids)), key=lambda at: (placed.get(self.uids[at], self.uids[at]), self.uids[at])
        )
        return replace(
            self,
            uids=array("I", [self.uids[at] for at in order]),
            sizes=array("Q", [self.sizes[at] for at in order]),
            uidls={uid: uidl for uid, (_, uidl) in said.items()},
            placed=False,
        )


def listing(site: Site, listings: Ready[Listing], residence: Residence, mailbox_id: int) -> Listing:
    """The mailbox as it is now. Raises NotFound, Unavailable."""
    with site.read() as connection:
        row = site.mailbox_by_id(connection, residence.account_id, mailbox_id)
        kept = listings.get(row)
        if kept is not None and (kept.modseq, kept.uidnext) == (row.modseq, row.uidnext):
            return kept
        expunged = expunged_since(connection, row.id, kept.modseq) if kept is not None else None
        if kept is None or expunged is None:
            found = _read(connection, row, None)
        else:
            found = _read(connection, row, _without(kept, expunged))
    listings.put(row, found)
    return found


def fresh(site: Site, residence: Residence, mailbox_id: int) -> Listing:
    """Nothing of it is from memory. Raises NotFound, Unavailable."""
    with site.read() as connection:
        return _read(connection, site.mailbox_by_id(connection, residence.account_id, mailbox_id), None)


def _read(connection: Connection, row: MailboxRow, known: Listing | None) -> Listing:
    """What is known and what came behind it; all of it where nothing is."""
    since = known.uidnext if known is not None else 0
    *arrays, placed = connection.exec_driver_sql(_ARRAYS, (row.id, since)).one()
    uids, sizes, foreign, uidls = map(json.loads, arrays)
    named = dict(zip(foreign, uidls, strict=True))
    if known is None:
        return Listing(
            row.uidvalidity,
            row.uidnext,
            row.modseq,
            row.backfills,
            array("I", uids),
            array("Q", sizes),
            named,
            bool(placed),
        )
    return Listing(
        row.uidvalidity,
        row.uidnext,
        row.modseq,
        row.backfills,
        known.uids + array("I", uids),
        known.sizes + array("Q", sizes),
        {**known.uidls, **named} if named else known.uidls,
        known.placed or bool(placed),
    )


def _without(known: Listing, expunged: list[int]) -> Listing:
    """In pieces between what went: as cheap for one message as for all."""
    uids, sizes, start = array("I"), array("Q"), 0
    gone = []
    for uid in expunged:
        at = bisect_left(known.uids, uid, start)
        if at < len(known.uids) and known.uids[at] == uid:
            uids += known.uids[start:at]
            sizes += known.sizes[start:at]
            start = at + 1
            gone.append(uid)
    if not gone:
        return known
    uids += known.uids[start:]
    sizes += known.sizes[start:]
    uidls = dict(known.uidls)
    for uid in gone:
        uidls.pop(uid, None)
    return replace(known, uids=uids, sizes=sizes, uidls=uidls)
