"""What one account has in the vault of a shard that is being emptied, into the vault of another: rows, files, hold.

Batch by batch: files are copied and synced, then rows there in one commit, then those here go. A batch that was cut
short is begun again: what is there already is known by the unique part of the file's name, which it keeps. A message
is never in neither vault, and for the moment between two commits in both.

Its mailbox's number means another mailbox there, so each mailbox gets a fresh number; what is restored goes by name.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from sqlalchemy.engine import Connection

from mailplat.core import disk
from mailplat.core.spool import Body
from mailplat.store.accounts import leave
from mailplat.store.maildir import parse_name
from mailplat.store.site import Site
from mailplat.store.staging import discard
from mailplat.store.types import SYSTEM_FLAGS
from mailplat.store.vault.finding import Item
from mailplat.store.vault.owner import Owner, find_owner, make_folder, vault_path, write_owner
from mailplat.store.vault.place import box_path, describe, mask_of, place_waiting, vault_name
from mailplat.store.vault.prune import remove_rows

# Files in one commit; each is written and synced before.
_BATCH = 100

# In `leaving`, instead of a mailbox: a file of the vault.
_VAULT = -2

_COLUMNS = ", ".join(Item._fields)
_INSERT = (
    "INSERT INTO vault (account_id, mailbox_id, mailbox, uid, reason, at, size, internaldate, zone, flags, file,"
    " name, placed, restored, sender, recipient, subject, message_id)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?)"
)
# No account has the number 0: the row is made for its number and goes at once.
_NUMBER = (
    "INSERT INTO mailbox (account_id, name, special_use, uidvalidity, uidnext, modseq, uid_ceiling, modseq_ceiling,"
    " messages, unseen, size, backfills, named, described) VALUES (0, '', '', 1, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1)"
    " RETURNING id"
)


@dataclass(slots=True)
class Carried:
    """How far it is."""

    messages: int = 0
    octets: int = 0
    missing: int = 0  # rows without a file: they stay where they are
    more: bool = True
    last: int = 0  # the row that was looked at last
    boxes: dict[int, int] = field(default_factory=dict)  # numbers of mailboxes there, by those here


def carry(source: Site, target: Site, account_id: int, done: Carried) -> None:
    """Some of it; again with the same `done` while there is `more`. At the end the account's owner row goes too:
    nothing of the account is left in the vault of `source` unless files are missing. Not for the event loop's
    thread. Raises DiskFull, Unavailable."""
    if not done.last:
        place_waiting(source)
    with source.read() as connection:
        owner = find_owner(connection, account_id)
    items = _next(source, account_id, done.last)
    # A hold goes before what it keeps. That an account is gone is forgotten where it has no mail: it goes with mail.
    if owner.held_at is not None or not (done.last or items):
        target.write(lambda connection: _merge_owner(target, connection, owner), alone=True)
    if items:
        done.last = items[-1].id
        known = _known(target, account_id)
        present = [item for item in items if (source.path / item.path).exists()]
        fresh = [item for item in present if parse_name(item.file).unique not in known]
        _copy(source, target, fresh, owner, done.boxes)
        source.write(partial(_drop, source, [item.id for item in present]), alone=True)
        source.changed.set()
        done.messages += len(fresh)
        done.octets += sum(item.size for item in fresh)
        done.missing += len(items) - len(present)
        return
    done.more = False
    if not done.missing:
        source.write(lambda connection: _forget_owner(source, connection, account_id), alone=True)
        source.changed.set()


def _next(site: Site, account_id: int, last: int) -> list[Item]:
    with site.read() as connection:
        rows = connection.exec_driver_sql(
            f"SELECT {_COLUMNS} FROM vault WHERE account_id = ? AND id > ? AND placed = 1 ORDER BY id LIMIT ?",
            (account_id, last, _BATCH),
        ).fetchall()
    return [Item(*row) for row in rows]


def _known(site: Site, account_id: int) -> set[str]:
    with site.read() as connection:
        rows = connection.exec_driver_sql("SELECT file FROM vault WHERE account_id = ?", (account_id,))
        return {parse_name(file).unique for (file,) in rows.fetchall()}


def _copy(source: Site, target: Site, items: Sequence[Item], owner: Owner, boxes: dict[int, int]) -> None:
    """`boxes`: numbers there by numbers here, filled on the way."""
    staged: list[tuple[Item, Path]] = []
    target.check_space(sum(item.size for item in items))
    try:
        for item in items:
            path = target.tmp / parse_name(item.file).unique
            discard([path])  # of an attempt that was cut short
            body = Body.of_file(source.path / item.path)
            try:
                staged.append((item, path))
                body.save(path, b"", "carry", mtime=item.internaldate)
            finally:
                body.close()
        if staged:
            target.write(lambda connection: _enter(target, connection, staged, owner, boxes), alone=True)
    finally:
        discard(path for _, path in staged)


def _enter(
    site: Site,
    connection: Connection,
    staged: Sequence[tuple[Item, Path]],
    owner: Owner,
    boxes: dict[int, int],
) -> None:
    """Files into their folders, synced, before the commit of the rows that speak of them."""
    folders: dict[Path, None] = {}
    rows: list[tuple[object, ...]] = []
    for item, path in staged:
        if item.mailbox_id not in boxes:
            boxes[item.mailbox_id] = connection.exec_driver_sql(_NUMBER).scalar_one()
            connection.exec_driver_sql("DELETE FROM mailbox WHERE account_id = 0")
        number = boxes[item.mailbox_id]
        folder = make_folder(site, box_path(item.account_id, number))
        words = dict.fromkeys(word for word in item.flags.split() if word not in SYSTEM_FLAGS)
        described = describe(folder, number, item.mailbox, words)
        mask = mask_of(item.flags, described.keywords)
        name = vault_name(item.uid, mask, item.at, item.reason, item.file)
        with disk.failures(folder):
            disk.rename(path, folder / name, "carry.rename")
        folders[folder] = None
        moved = item._replace(mailbox_id=number, name=name)
        rows.append(tuple(getattr(moved, field) for field in Item._fields if field != "id"))
    for folder in folders:
        with disk.failures(folder):
            disk.fsync_directory(folder, "carry.dirsync")
    connection.exec_driver_sql(_INSERT, rows)
    _merge_owner(site, connection, owner)


def _drop(site: Site, ids: Sequence[int], connection: Connection) -> None:
    """Under a hold too: the other shard has it, with the hold."""
    rows: list[Sequence[int | str]] = []
    for number in ids:
        rows += connection.exec_driver_sql(
            "SELECT id, account_id, mailbox_id, name FROM vault WHERE id = ?", (number,)
        ).fetchall()
    remove_rows(site, connection, rows)


def _merge_owner(site: Site, connection: Connection, owner: Owner) -> None:
    """What is known of it there stays; what is known here fills the gaps."""
    known = find_owner(connection, owner.account_id)
    merged = replace(
        known,
        address=known.address or owner.address,
        removed_at=known.removed_at if known.removed_at is not None else owner.removed_at,
    )
    if known.held_at is None and owner.held_at is not None:
        merged = replace(merged, held_at=owner.held_at, hold_reason=owner.hold_reason, hold_by=owner.hold_by)
    if merged != known:
        write_owner(site, connection, merged)


def _forget_owner(site: Site, connection: Connection, account_id: int) -> None:
    """Unless something came meanwhile."""
    left = connection.exec_driver_sql("SELECT 1 FROM vault WHERE account_id = ?", (account_id,)).fetchone()
    if left is None:
        connection.exec_driver_sql("DELETE FROM vault_owner WHERE account_id = ?", (account_id,))
        leave(site, connection, account_id, _VAULT, [str(vault_path(account_id))])
