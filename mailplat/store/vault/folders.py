"""The end of folders of the vault in which nothing is any more, under the write lock: nobody brings a file there
meanwhile. A row of `leaving` only asks for it. Between that row and now, which may be a restart apart, mail may have
come there again, or a hold; and a file that no row speaks of is not ours to remove: rebuild finds it.
"""

import os
from pathlib import Path

import structlog
from sqlalchemy.engine import Connection

from mailplat.core import disk
from mailplat.store.maildir import MAILBOX_FILE
from mailplat.store.site import Site
from mailplat.store.vault.owner import OWNER_FILE, vault_path

log = structlog.get_logger(__name__)

# In `leaving`, instead of a mailbox: a file of the vault, and one of its folders.
FILE, FOLDER = -2, -3

# Not before the files that were pruned of the same account.
_READY = (
    f"SELECT id, account_id, path FROM leaving f WHERE mailbox_id = {FOLDER} AND NOT EXISTS"
    f" (SELECT 1 FROM leaving l WHERE l.mailbox_id = {FILE} AND l.account_id = f.account_id) ORDER BY id"
)


def remove_folders(site: Site) -> int:
    """Returns how many rows of `leaving` are done with. Step: vault.rmdir. Raises Unavailable."""
    with site.read() as connection:
        if connection.exec_driver_sql(_READY).fetchone() is None:
            return 0
    return site.write(lambda connection: _remove_some(site, connection), alone=True)


def _remove_some(site: Site, connection: Connection) -> int:
    rows = connection.exec_driver_sql(_READY).fetchall()
    for number, account_id, path in rows:
        if not _in_use(connection, account_id, Path(path)):
            with disk.failures(site.path / path):
                _remove_empty(site.path / path)
            disk.step("vault.rmdir")
        connection.exec_driver_sql("DELETE FROM leaving WHERE id = ?", (number,))
    return len(rows)


def _in_use(connection: Connection, account_id: int, path: Path) -> bool:
    if path == vault_path(account_id):
        statement = (
            "SELECT 1 FROM vault WHERE account_id = ?"
            " UNION ALL SELECT 1 FROM vault_owner WHERE account_id = ?"
        )
        return connection.exec_driver_sql(statement, (account_id, account_id)).fetchone() is not None
    mailbox_id = int(path.name.removeprefix("m"))
    statement = "SELECT 1 FROM vault WHERE account_id = ? AND mailbox_id = ?"
    return connection.exec_driver_sql(statement, (account_id, mailbox_id)).fetchone() is not None


def _remove_empty(folder: Path) -> bool:
    """With the small files that describe it. False where anything else is there, which then stays."""
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return True
    described = [
        entry for entry in entries if entry.name.removeprefix(".").startswith((MAILBOX_FILE, OWNER_FILE))
    ]
    boxes = [entry for entry in entries if entry.is_dir(follow_symlinks=False)]
    full = [box for box in boxes if not _remove_empty(Path(box.path))]
    if full or len(described) + len(boxes) < len(entries):
        log.warning(
            "folder of the vault has files that no row speaks of; run shard rebuild", folder=str(folder)
        )
        return False
    for entry in described:
        os.unlink(entry.path)
    os.rmdir(folder)
    return True
