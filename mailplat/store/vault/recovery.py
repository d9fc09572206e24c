"""Rows of the vault from its files: part of a rebuild, and of a shard's restore from a backup."""

import os
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy.engine import Connection

from mailplat.core import disk
from mailplat.store.deliveries import remember
from mailplat.store.flagsets import name_flags
from mailplat.store.index.renderings import columns
from mailplat.store.maildir import parse_name, saved_at, spread
from mailplat.store.rendering import render_file
from mailplat.store.site import Site
from mailplat.store.vault.owner import ROOT, insert_owner, read_owner
from mailplat.store.vault.place import Description, parse_vault_name, read_description

_INSERT = (
    "INSERT INTO vault (account_id, mailbox_id, mailbox, uid, reason, at, size, internaldate, zone, flags, file,"
    " name, placed, restored, sender, recipient, subject, message_id)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, 0, ?, ?, ?, ?)"
)

# Of staging.columns.
_SUBJECT, _SENDER, _RECIPIENT, _MESSAGE_ID = 3, 4, 5, 8


def recover(site: Site, root: Path | None = None) -> int:
    """Every file below vault/ has a row again, every row a file, and what mailplat-vault.json says of holds and
    addresses is true. `root`: where vault/ is, if not in the shard itself. Nobody else may use the shard. Returns
    how many rows are new."""
    found = 0
    for account_id, folder in _accounts((root or site.path) / ROOT):
        owner = read_owner(folder, account_id)
        if owner is not None:
            with site.database.write() as connection:
                insert_owner(connection, owner)
        for mailbox_id, box in _numbered(folder, "m"):
            with site.database.write() as connection:
                found += _box(connection, site, account_id, mailbox_id, box)
    with site.database.write() as connection:
        _drop_vanished(connection, (root or site.path))
        _reserve_numbers(connection)
    return found


def _reserve_numbers(connection: Connection) -> None:
    """A mailbox that is gone keeps its number: what comes back must not go into another one that has got it."""
    (last,) = connection.exec_driver_sql("SELECT coalesce(max(mailbox_id), 0) FROM vault").one()
    done = connection.exec_driver_sql(
        "UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = 'mailbox'", (last,)
    )
    if not done.rowcount:
        connection.exec_driver_sql("INSERT INTO sqlite_sequence (name, seq) VALUES ('mailbox', ?)", (last,))


def _accounts(root: Path) -> Iterator[tuple[int, Path]]:
    for _, folder in _folders(root):
        for account_id, account in _numbered(folder, ""):
            if spread(account_id) == folder.name:
                yield account_id, account


def _numbered(folder: Path, prefix: str) -> Iterator[tuple[int, Path]]:
    for name, path in _folders(folder):
        number = name.removeprefix(prefix)
        if name == prefix + number and number.isascii() and number.isdecimal():
            yield int(number), path


def _folders(path: Path) -> list[tuple[str, Path]]:
    with disk.failures(path):
        try:
            with os.scandir(path) as entries:
                return sorted(
                    (entry.name, Path(entry.path)) for entry in entries if entry.is_dir(follow_symlinks=False)
                )
        except FileNotFoundError:
            return []


def _box(connection: Connection, site: Site, account_id: int, mailbox_id: int, folder: Path) -> int:
    known = {
        name
        for (name,) in connection.exec_driver_sql(
            "SELECT name FROM vault WHERE account_id = ? AND mailbox_id = ?", (account_id, mailbox_id)
        )
    }
    described = read_description(folder)
    values, delivered = [], []
    with disk.failures(folder), os.scandir(folder) as entries:
        for entry in entries:
            said = parse_name(entry.name)
            if said.ours and entry.name not in known and entry.is_file(follow_symlinks=False):
                row = _row(entry, described, int(site.clock.now()))
                values.append((account_id, mailbox_id, *row))
                if said.key:
                    delivered.append((said.key, said.uid, 1, saved_at(said.unique)))
    if values:
        connection.exec_driver_sql(_INSERT, values)
        remember(site, connection, account_id, mailbox_id, delivered)
    return len(values)


def _row(entry: os.DirEntry[str], described: Description, now: int) -> tuple[int | str, ...]:
    said = parse_name(entry.name)
    at, reason = parse_vault_name(entry.name)
    status = entry.stat(follow_symlinks=False)
    words = columns(render_file(Path(entry.path)))
    return (
        described.name or "INBOX",
        said.uid,
        reason,
        at or now,
        status.st_size,
        int(status.st_mtime // 1),
        said.zone,
        " ".join(name_flags(said.mask, described.keywords)),
        entry.name,
        entry.name,
        words[_SENDER],
        words[_RECIPIENT],
        words[_SUBJECT],
        words[_MESSAGE_ID],
    )


def _drop_vanished(connection: Connection, root: Path) -> None:
    """Rows that speak of nothing. Those that wait for their move keep their file elsewhere."""
    boxes = connection.exec_driver_sql("SELECT DISTINCT account_id, mailbox_id FROM vault").fetchall()
    for account_id, mailbox_id in boxes:
        folder = root / ROOT / spread(account_id) / str(account_id) / f"m{mailbox_id}"
        present = set(os.listdir(folder)) if folder.is_dir() else set()
        rows = connection.exec_driver_sql(
            "SELECT id, name FROM vault WHERE account_id = ? AND mailbox_id = ? AND placed = 1",
            (account_id, mailbox_id),
        ).fetchall()
        gone = [(number,) for number, name in rows if name not in present]
        if gone:
            connection.exec_driver_sql("DELETE FROM vault WHERE id = ?", gone)
