"""The namer: brings names of files and the description files up to date with the index, within seconds.

A rename happens inside the write transaction that notes it, so that nobody who writes meets a file between two
names; only a reader may, and looks again (fetch.py). The transaction is the namer's alone: a name must not say the
UID of an append that is committed with it, and that another message gets should the commit fail. The directories are
fsynced behind the commit: should a power cut undo a rename, the row's file is found by the unique part of its name.
"""

import contextlib
import os
from collections.abc import Collection
from pathlib import Path

import structlog
from sqlalchemy.engine import Connection

from mailplat.core import disk
from mailplat.core.errors import NotFound
from mailplat.store.description import write_account, write_mailbox
from mailplat.store.flagsets import read_book
from mailplat.store.maildir import find_file, folder_of, full_name
from mailplat.store.site import COLUMNS, MailboxRow, Site
from mailplat.store.types import MAX_UID

log = structlog.get_logger(__name__)

# Mailboxes and accounts looked at in one transaction; each may cost a small durable file.
_MAILBOXES = 20

_LAGGING = (
    f"SELECT {COLUMNS} FROM mailbox WHERE named < modseq OR described = 0 ORDER BY id LIMIT {_MAILBOXES}"
)
_UNNAMED = (
    "SELECT uid, modseq, flagset, name FROM message WHERE mailbox_id = ? AND (modseq, uid) > (?, ?)"
    " ORDER BY modseq, uid LIMIT ?"
)

# How far a mailbox is that one transaction could not finish: (modseq, uid) of the last message looked at.
Cursors = dict[int, tuple[int, int]]


def settle_names(site: Site) -> int:
    """Until nothing lags behind. Returns the number of files renamed. Raises Unavailable, DiskFull."""
    renamed = 0
    cursors: Cursors = {}
    while True:
        with site.read() as connection:
            lagging = connection.exec_driver_sql(_LAGGING).fetchone()
            undescribed = connection.exec_driver_sql(
                "SELECT 1 FROM account WHERE described = 0 LIMIT 1"
            ).fetchone()
        if lagging is None and undescribed is None:
            return renamed
        count, folders = site.write(lambda connection: _settle_some(site, connection, cursors), alone=True)
        with contextlib.suppress(NotFound):  # a mailbox deleted since then
            site.sync_folders(folders, "names.dirsync")
        renamed += count


def _settle_some(site: Site, connection: Connection, cursors: Cursors) -> tuple[int, Collection[Path]]:
    """One transaction's share."""
    accounts = connection.exec_driver_sql(
        f"SELECT account_id FROM account WHERE described = 0 LIMIT {_MAILBOXES}"
    ).fetchall()
    for (account_id,) in accounts:
        write_account(site, connection, account_id)
    left = site.limits.names
    renamed = 0
    folders: set[Path] = set()
    for values in connection.exec_driver_sql(_LAGGING).fetchall():
        row = MailboxRow(*values)
        if not row.described:
            write_mailbox(site, connection, row)
        if row.named < row.modseq and left > 0:
            looked, changed, touched = _settle_mailbox(site, connection, row, cursors, left)
            left -= looked
            renamed += changed
            folders |= touched
    return renamed, folders


def _settle_mailbox(
    site: Site, connection: Connection, row: MailboxRow, cursors: Cursors, limit: int
) -> tuple[int, int, set[Path]]:
    """(messages looked at, files renamed, folders to fsync)."""
    start = cursors.get(row.id, (row.named, MAX_UID))
    messages = connection.exec_driver_sql(_UNNAMED, (row.id, *start, limit)).fetchall()
    book = read_book(connection, row.id)
    folder = site.mailbox_folder(row)
    touched: set[Path] = set()
    changed: list[tuple[str, int, int]] = []
    for uid, _, flagset, name in messages:
        mask = book.mask(flagset)
        if full_name(name, uid, mask) == name:
            continue
        wanted = _rename(folder, name, uid, mask)
        if wanted:
            changed.append((wanted, row.id, uid))
            touched |= {folder / "cur", folder / folder_of(name)}
    if changed:
        connection.exec_driver_sql("UPDATE message SET name = ? WHERE mailbox_id = ? AND uid = ?", changed)
    if len(messages) < limit:
        connection.exec_driver_sql("UPDATE mailbox SET named = ? WHERE id = ?", (row.modseq, row.id))
        cursors.pop(row.id, None)
    else:
        cursors[row.id] = (messages[-1][1], messages[-1][0])
    return max(len(messages), 1), len(changed), touched


def _rename(folder: Path, name: str, uid: int, mask: int) -> str:
    """The new name, "" where there is no file. Also where a transaction that was undone, or a power cut, left the
    file under a third name, whose C= then counts."""
    with disk.failures(folder):
        for candidate in (name, full_name(name, uid, mask), None):
            found = candidate or find_file(folder, name.partition(",")[0])
            if found is None:
                continue
            wanted = full_name(found, uid, mask)
            source, target = folder / folder_of(found) / found, folder / "cur" / wanted
            if source == target:
                if target.exists():
                    return wanted
                continue
            try:
                disk.rename(source, target, "names.rename")
            except FileNotFoundError:
                continue
            return wanted
    log.error("message file is missing; run shard verify", file=os.fspath(folder / folder_of(name) / name))
    return ""
