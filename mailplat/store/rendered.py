"""Reading with what is rendered of each message: ENVELOPE, BODYSTRUCTURE, the fields of SEARCH and SORT.

What is delivered or appended is rendered before it has its row. What comes from another platform in bulk (with
`NewMessage.render_later`) is not: rendering is a third of what such a copy costs, a legacy platform would be read for
longer because of it, and most old mail is asked for days later, if ever. Such messages are rendered behind
(renderer.py), and whoever is here earlier does it for those that he asks for. Either keeps what it made in the index.

Where it cannot be kept (the disk is full, the index is locked) the values are as good without.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import structlog

from mailplat.core import disk
from mailplat.core.errors import NotFound, Unavailable
from mailplat.core.route import Residence
from mailplat.db.driver import fetch_one
from mailplat.store import fetch
from mailplat.store.index import renderings
from mailplat.store.index.renderings import NO_SPARE, Columns, Spare, columns
from mailplat.store.opening import open_file
from mailplat.store.rendering import render_open
from mailplat.store.site import Site
from mailplat.store.types import MAX_UID, UidRanges
from mailplat.wire.mime import render

log = structlog.get_logger("store")

# Messages whose renderings are made and kept in one transaction, and are in memory together.
BATCH = 200


def rows(
    site: Site, residence: Residence, mailbox_id: int, uids: UidRanges, names: Sequence[str]
) -> list[tuple[Any, ...]]:
    """The columns asked for of each message that is there, in UID order. Raises NotFound, InvalidInput for a
    column that is none; Unavailable where a file that has to be read cannot be."""
    spare = NO_SPARE
    if not fetch.RENDERED.isdisjoint(names):
        spare = complete(site, residence, mailbox_id, uids)
    return fetch.rows(site, residence, mailbox_id, uids, names, spare)


def complete(site: Site, residence: Residence, mailbox_id: int, uids: UidRanges) -> Spare:
    """Render what is not yet of these messages; gives what could not be kept. Raises NotFound, Unavailable where a
    file cannot be read."""
    spare: dict[int, Columns] = {}
    missing = _missing(site, mailbox_id, uids)
    for start in range(0, len(missing), BATCH):
        made = make(site, residence, mailbox_id, missing[start : start + BATCH])
        try:
            _keep(site, mailbox_id, made)
        except Unavailable as error:
            log.warning("renderings are not kept", shard=site.name, reason=str(error))
            spare |= made
    return spare


def settle(site: Site, mailbox_id: int, uids: Sequence[int]) -> int:
    """Render these for whoever asks later; how many were there. One whose file cannot be read is left as it is, and
    who asks for it is told what is wrong. Raises Unavailable, DiskFull where nothing can be written."""
    with site.read() as connection:
        row = fetch_one(connection, "SELECT account_id FROM mailbox WHERE id = ?", (mailbox_id,))
    if row is None:
        return 0
    residence = Residence(row[0], site.name, 0)  # reading needs no epoch
    made: dict[int, Columns] = {}
    with suppress(NotFound):
        try:
            made = make(site, residence, mailbox_id, uids)
        except Unavailable:
            for uid in uids:
                try:
                    made |= make(site, residence, mailbox_id, [uid])
                except Unavailable as error:
                    log.warning(
                        "a message is not rendered",
                        shard=site.name,
                        mailbox=mailbox_id,
                        uid=uid,
                        reason=str(error),
                    )
    _keep(site, mailbox_id, made)
    return len(made)


def later(site: Site, mailbox_id: int, low: int, limit: int) -> list[int]:
    """The first UIDs, from `low` on, of messages that are not rendered yet."""
    with site.read() as connection:
        return renderings.later(connection, mailbox_id, low, MAX_UID, limit)


def make(site: Site, residence: Residence, mailbox_id: int, uids: Sequence[int]) -> dict[int, Columns]:
    """Of each of these messages that is there. Raises NotFound, Unavailable."""
    made: dict[int, Columns] = {}
    listed = fetch.rows(site, residence, mailbox_id, [(uid, uid) for uid in uids], ("uid", "file", "size"))
    small = [row for row in listed if row[2] <= site.limits.mapped]
    for row, octets in zip(small, fetch.contents(site, residence, mailbox_id, small), strict=True):
        if octets is not None:
            made[row[0]] = columns(render(octets, with_preview=False))
    for uid, name, size in listed:
        if size > site.limits.mapped:
            file = fetch.open_message(site, residence, mailbox_id, uid)
            if file is not None:
                with file, disk.failures(name):
                    made[uid] = columns(render_open(file, with_preview=False))
    disk.step("rendered.make")
    return made


def _keep(site: Site, mailbox_id: int, made: Spare) -> None:
    if made:
        site.write(lambda connection: renderings.keep(connection, mailbox_id, made))


def window(
    site: Site, residence: Residence, mailbox_id: int, uids: UidRanges, columns: Sequence[str]
) -> list[tuple[Any, ...]]:
    """The same, of columns of `message m` and of `rendering r` as SQL."""
    joined = any(column.startswith("r.") for column in columns)
    spare = complete(site, residence, mailbox_id, uids) if joined else NO_SPARE
    with site.read() as connection:
        site.mailbox_by_id(connection, residence.account_id, mailbox_id)
        if joined:
            pieces = fetch.select_rendered(connection, mailbox_id, uids, columns, spare)
        else:
            pieces = fetch.select_messages(connection, mailbox_id, uids, ", ".join(columns))
        return [row for piece in pieces for row in piece]


def headers(
    site: Site, residence: Residence, mailbox_id: int, uids: UidRanges, most: int
) -> Iterator[tuple[int, bytes]]:
    """(uid, header block) of each message that is there, cut after `most` octets; of a file no more is read."""
    listed = rows(site, residence, mailbox_id, uids, ("uid", "file", "header_size"))
    folder = site.account_folder(residence.account_id)
    for uid, name, size in listed:
        fd = open_file(f"{folder}/{name}")
        if fd is None:
            file = fetch.open_message(site, residence, mailbox_id, uid)
        else:
            file = os.fdopen(fd, "rb", buffering=0)
        if file is not None:
            with file, disk.failures("message file"):
                yield uid, file.read(min(size, most))


def _missing(site: Site, mailbox_id: int, uids: UidRanges) -> list[int]:
    """Those of `uids` that are not rendered yet, ascending."""
    ordered = [(1, MAX_UID)] if uids is None else fetch.merge_ranges(uids)
    if not ordered:
        return []
    with site.read() as connection:
        if not renderings.later(connection, mailbox_id, ordered[0][0], ordered[-1][1], 1):
            return []
        return [uid for low, high in ordered for uid in renderings.later(connection, mailbox_id, low, high)]
