"""Reading messages: rows of the index, octets of the files."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy.engine import Connection

from mailplat.core.errors import InvalidInput, Unavailable
from mailplat.core.route import Residence
from mailplat.db.driver import fetch_all, fetch_one
from mailplat.store.index.renderings import NAMES, NO_SPARE, Spare
from mailplat.store.index.tables import WITH_OR_WITHOUT, WITH_RENDERING
from mailplat.store.maildir import find_file, folder_of, full_name, mailbox_folder
from mailplat.store.opening import open_file, open_folder, read_all, read_file
from mailplat.store.site import MailboxRow, Site
from mailplat.store.types import UidRanges

# What `rows` can answer, as SQL. "flags", "uidl" and "file" are made of more than their column.
_COLUMNS = {
    "uid": "m.uid",
    "modseq": "m.modseq",
    "flags": "m.flagset",
    "internaldate": "m.internaldate",
    "internaldate_zone": "m.zone",
    "size": "m.size",
    "file": "m.name",  # where the octets are, below the account's folder; for `contents`
    "saved_at": "m.saved_at",
    "uidl": "m.uidl",
    "header_size": "r.header_size",
    "envelope": "r.envelope",
    "body": "r.body",
    "bodystructure": "r.bodystructure",
    "subject": "r.subject",
    "from": "r.sender",
    "to": "r.recipient",
    "cc": "r.cc",
    "bcc": "r.bcc",
    "message_id": "r.message_id",
    "sent": "r.sent",
    "sent_day": "r.sent_day",
    "preview": "r.preview",  # None: not made yet, see later.py
    "email_id": "r.email_id",  # the same
}
# Of these, what a message without its rendering does not have: rendered.py makes it.
RENDERED = frozenset(name for name, expression in _COLUMNS.items() if expression.startswith("r."))

# Ranges of UIDs in one statement.
_RANGES = 400
# A file that is being renamed is looked for so often before it counts as missing.
_TRIES = 3


def select_messages(
    connection: Connection,
    mailbox_id: int,
    uids: UidRanges,
    columns: str,
    *,
    source: str = "message m",
    where: str = "",
) -> Iterator[Sequence[tuple[Any, ...]]]:
    """Rows of `message m`, or another source of these, in UID order, in pieces. `where` is SQL of ours, without
    values."""
    extra = f" AND {where}" if where else ""
    if uids is None:
        statement = f"SELECT {columns} FROM {source} WHERE m.mailbox_id = ?{extra} ORDER BY m.uid"
        yield fetch_all(connection, statement, (mailbox_id,))
        return
    ordered = merge_ranges(uids)
    for start in range(0, len(ordered), _RANGES):
        some = ordered[start : start + _RANGES]
        if len(some) == 1:
            statement = f"SELECT {columns} FROM {source} WHERE m.mailbox_id = ? AND m.uid BETWEEN ? AND ?"
            values: tuple[int, ...] = (mailbox_id, *some[0])
        else:
            marks = ", ".join(["(?, ?)"] * len(some))
            statement = (
                f"WITH wanted (low, high) AS (VALUES {marks}) SELECT {columns} FROM wanted CROSS JOIN {source}"
                " WHERE m.mailbox_id = ? AND m.uid BETWEEN wanted.low AND wanted.high"
            )
            values = (*(bound for pair in some for bound in pair), mailbox_id)
        yield fetch_all(connection, f"{statement}{extra} ORDER BY m.uid", values)


def select_rendered(
    connection: Connection, mailbox_id: int, uids: UidRanges, columns: Sequence[str], spare: Spare
) -> Iterator[Sequence[tuple[Any, ...]]]:
    """Rows of `message m` and `rendering r`. `spare` has the renderings of messages that have none in the index; of
    what has it in neither there is no row."""
    if not spare:
        yield from select_messages(connection, mailbox_id, uids, ", ".join(columns), source=WITH_RENDERING)
        return
    made = {at: NAMES.index(name[2:]) for at, name in enumerate(columns) if name.startswith("r.")}
    wanted = ", ".join(("m.uid", "r.id", *columns))
    for piece in select_messages(connection, mailbox_id, uids, wanted, source=WITH_OR_WITHOUT):
        found: list[tuple[Any, ...]] = []
        for uid, number, *values in piece:
            if number is None and uid in spare:
                for at, place in made.items():
                    values[at] = spare[uid][place]
            if number is not None or uid in spare:
                found.append(tuple(values))
        yield found


def merge_ranges(uids: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ascending, without overlap; neighbours joined; (5, 2) means (2, 5)."""
    merged: list[tuple[int, int]] = []
    for low, high in sorted((min(pair), max(pair)) for pair in uids):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return merged


def rows(
    site: Site,
    residence: Residence,
    mailbox_id: int,
    uids: UidRanges,
    columns: Sequence[str],
    spare: Spare = NO_SPARE,
) -> list[tuple[Any, ...]]:
    """The columns asked for of each message that is there, in UID order; for those of RENDERED call rendered.rows.
    Raises NotFound, InvalidInput for a column that is none."""
    unknown = [column for column in columns if column not in _COLUMNS]
    if unknown or not columns:
        raise InvalidInput(f"no such column: {', '.join(unknown) or '(none)'}")
    expressions = [_COLUMNS[column] for column in columns]
    found: list[tuple[Any, ...]] = []
    with site.read() as connection:
        mailbox = site.mailbox_by_id(connection, residence.account_id, mailbox_id)
        if "uidl" in columns:
            expressions[columns.index("uidl")] = (
                f"coalesce(m.uidl, '{mailbox.uidvalidity}.' || cast(m.uid AS text))"
            )
        if "file" in columns:
            folder = mailbox_folder(mailbox.id, mailbox.name)
            prefix = f"{folder}/" if folder else ""
            expressions[columns.index("file")] = (  # as folder_of has it
                f"iif(instr(m.name, ':2,'), '{prefix}cur/', '{prefix}new/') || m.name"
            )
        if RENDERED.isdisjoint(columns):
            pieces = select_messages(connection, mailbox_id, uids, ", ".join(expressions))
        else:
            pieces = select_rendered(connection, mailbox_id, uids, expressions, spare)
        for piece in pieces:
            found += piece
        if "flags" not in columns:
            return found
        at = columns.index("flags")
        book = site.library.book(connection, mailbox_id, {row[at] for row in found})
    return [(*row[:at], book.flags(row[at]), *row[at + 1 :]) for row in found]


def open_message(site: Site, residence: Residence, mailbox_id: int, uid: int) -> BinaryIO | None:
    """The file for reading, None when the message was expunged. Raises NotFound, Unavailable."""
    with site.read() as connection:
        mailbox = site.mailbox_by_id(connection, residence.account_id, mailbox_id)
    fd = _open(site, mailbox, uid)
    return None if fd is None else os.fdopen(fd, "rb")


def octets(site: Site, residence: Residence, mailbox_id: int, uid: int) -> bytes | None:
    """The whole message, None when it was expunged. Raises NotFound, Unavailable."""
    with site.read() as connection:
        mailbox = site.mailbox_by_id(connection, residence.account_id, mailbox_id)
    fd = _open(site, mailbox, uid)
    return None if fd is None else read_all(fd)


def octets_many(
    site: Site, residence: Residence, mailbox_id: int, uids: UidRanges
) -> Iterator[tuple[int, bytes]]:
    """(uid, octets) of each message that is there, in UID order, one file in memory at a time."""
    listed = rows(site, residence, mailbox_id, uids, ("uid", "file", "size"))
    for row, octets in zip(listed, contents(site, residence, mailbox_id, listed), strict=True):
        if octets is not None:
            yield row[0], octets


def contents(
    site: Site, residence: Residence, mailbox_id: int, listed: Iterable[tuple[int, str, int]]
) -> Iterator[bytes | None]:
    """The octets of messages whose columns "uid", "file" and "size" were read before, one after the other; None: it
    was expunged meanwhile. Raises NotFound, Unavailable."""
    folder = open_folder(site.account_folder(residence.account_id))
    try:
        for uid, file, size in listed:
            found = None if folder is None else read_file(file, size, folder)
            yield octets(site, residence, mailbox_id, uid) if found is None else found
    finally:
        if folder is not None:
            os.close(folder)


def locate(site: Site, mailbox: MailboxRow, uid: int) -> tuple[Path | None, bool]:
    """Where a message's file is, None when it is not there, and whether the message has a row. By the row's name;
    where that file is not, by the name the namer is about to write into the row; at last by the unique part."""
    folder = site.mailbox_folder(mailbox)
    with site.read() as connection:
        row = fetch_one(
            connection,
            "SELECT name, flagset FROM message WHERE mailbox_id = ? AND uid = ?",
            (mailbox.id, uid),
        )
        if row is None:
            return None, False
        name, flagset = row
        mask = site.library.book(connection, mailbox.id, (flagset,)).mask(flagset)
    for candidate in (name, full_name(name, uid, mask)):
        path = folder / folder_of(candidate) / candidate
        if os.path.lexists(path):
            return path, True
    found = find_file(folder, name.partition(",")[0])
    return (None if found is None else folder / folder_of(found) / found), True


def _open(site: Site, mailbox: MailboxRow, uid: int) -> int | None:
    path = None
    for _ in range(_TRIES):
        path, present = locate(site, mailbox, uid)
        if not present:
            return None
        fd = None if path is None else open_file(path)
        if fd is not None:
            return fd
    raise Unavailable(
        f"{site.mailbox_folder(mailbox)}: the file of UID {uid} is missing; run `mailplat shard verify`"
    )
