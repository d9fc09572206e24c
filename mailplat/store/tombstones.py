"""Expunged UIDs (table `expunged`): kept so that whoever was away hears what went meanwhile, and forgotten beyond
limits.tombstones of a mailbox, the oldest first (RFC 7162 5.3 allows it). Those of a pinned account (Site.pinned) are
all kept: as long as it can go back to the platform that it came from they say what is to be removed there.

A row with UID 0, which no message has, says up to which MODSEQ they are forgotten. Who asks for changes since an
earlier one is given all UIDs that are there instead: what else he knew is gone. The row is committed before the first
tombstone goes, so that a crash at any point leaves at most some that nobody needs, which the next round removes.
"""

from typing import Any

from sqlalchemy.engine import Connection

from mailplat.core import disk
from mailplat.db.driver import fetch_all
from mailplat.store.site import Site

# Instead of a UID.
FORGOTTEN = 0

# Rows in one transaction: other writers wait for no more than so many.
_BATCH = 5000

_SINCE = "SELECT uid FROM expunged WHERE mailbox_id = ? AND modseq > ? ORDER BY uid LIMIT ?"
_FLOOR = (
    "SELECT modseq FROM expunged WHERE mailbox_id = ? AND uid > 0"
    " ORDER BY modseq DESC, uid DESC LIMIT 1 OFFSET ?"
)


def expunged_since(
    connection: Connection, mailbox_id: int, modseq: int, most: int | None = None
) -> list[int] | None:
    """UIDs that went after `modseq`, ascending, at most so many. None where that is forgotten."""
    found = fetch_all(connection, _SINCE, (mailbox_id, modseq, -1 if most is None else most))
    if found and found[0][0] == FORGOTTEN:
        return None
    return [uid for (uid,) in found]


def mark_forgotten(connection: Connection, mailbox_id: int, modseq: int) -> None:
    """Nobody can tell any more what was expunged up to `modseq`."""
    connection.exec_driver_sql(
        "INSERT INTO expunged (mailbox_id, modseq, uid) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        (mailbox_id, modseq, FORGOTTEN),
    )


def replace_tombstones(connection: Connection, mailbox_id: int, modseq: int) -> None:
    """The same, by one mark instead of all that is older."""
    connection.exec_driver_sql(
        "DELETE FROM expunged WHERE mailbox_id = ? AND modseq <= ?", (mailbox_id, modseq)
    )
    mark_forgotten(connection, mailbox_id, modseq)


def forget_tombstones(site: Site) -> int:
    """In each mailbox of which this process expunged something since the last call. Returns how many were forgotten.
    Raises DiskFull, Unavailable."""
    forgotten = 0
    while site.expunged_in:
        mailbox_id = site.expunged_in.pop()
        try:
            forgotten += _forget(site, mailbox_id)
        except BaseException:
            site.expunged_in.add(mailbox_id)  # nobody could say whether it may be forgotten: looked at again
            raise
    return forgotten


def _forget(site: Site, mailbox_id: int) -> int:
    with site.read() as connection:
        floor = connection.exec_driver_sql(_FLOOR, (mailbox_id, site.limits.tombstones)).scalar()
        owner = connection.exec_driver_sql(
            "SELECT account_id FROM mailbox WHERE id = ?", (mailbox_id,)
        ).scalar()
    if floor is None or (owner is not None and site.pinned(owner)):
        return 0

    def mark(connection: Connection) -> None:
        there = connection.exec_driver_sql("SELECT 1 FROM mailbox WHERE id = ?", (mailbox_id,)).fetchone()
        if there is not None:  # deleted meanwhile: its rows went with it
            mark_forgotten(connection, mailbox_id, floor)

    site.write(mark)
    disk.step("tombstones.mark")
    forgotten = 0
    while count := site.write(lambda connection: _remove(connection, mailbox_id, floor)):
        forgotten += count
        disk.step("tombstones.remove")
    return forgotten


def _remove(connection: Connection, mailbox_id: int, floor: int) -> int:
    """Some of what the mark at `floor` stands for, older marks too."""
    rows: Any = connection.exec_driver_sql(
        "SELECT mailbox_id, modseq, uid FROM expunged WHERE mailbox_id = ? AND modseq <= ?"
        " AND NOT (modseq = ? AND uid = 0) ORDER BY modseq, uid LIMIT ?",
        (mailbox_id, floor, floor, _BATCH),
    ).fetchall()
    if rows:
        connection.exec_driver_sql(
            "DELETE FROM expunged WHERE mailbox_id = ? AND modseq = ? AND uid = ?",
            [tuple(row) for row in rows],
        )
    return len(rows)
