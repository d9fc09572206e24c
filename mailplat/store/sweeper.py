"""The sweeper: removes the files and folders that no row speaks of any more (table `leaving`), and old keys.

A row of `leaving` is written in the transaction that took the message's, mailbox's or account's rows away, so
that a crash forgets no file. Later work may keep such files for a time instead of removing them at once.
"""

import contextlib
import shutil
from functools import partial

from sqlalchemy.engine import Connection

from mailplat.core import disk
from mailplat.store.maildir import new_unique
from mailplat.store.site import Site

# Paths in one round: what a transaction notes as done.
_ROUND = 500
_DAY = 86_400

# Instead of a mailbox: the folder of an account, renamed already.
_ASIDE = -1


def sweep_leaving(site: Site) -> int:
    """Until none is left. Returns how many were removed. Raises Unavailable."""
    removed = 0
    while True:
        with site.read() as connection:
            accounts = connection.exec_driver_sql(
                "SELECT DISTINCT account_id FROM leaving WHERE mailbox_id = 0"
            ).fetchall()
            leaving = connection.exec_driver_sql(
                f"SELECT id, path FROM leaving WHERE mailbox_id <> 0 ORDER BY id LIMIT {_ROUND}"
            ).fetchall()
        for (account_id,) in accounts:
            site.write(partial(_set_aside, site, account_id), alone=True)
        for _, path in leaving:
            remove_path(site, path)
        disk.step("sweep.unlink")
        if leaving:
            site.write(partial(_forget, [(number,) for number, _ in leaving]))
            removed += len(leaving)
        if not leaving and not accounts:
            return removed


def set_aside(site: Site, connection: Connection, account_id: int) -> None:
    """Rename the folder of an account that was removed, under the write lock, so that nobody opens the account
    again meanwhile; what is in it is removed behind, which may take long."""
    rows = connection.exec_driver_sql(
        "SELECT id, path FROM leaving WHERE account_id = ? AND mailbox_id = 0", (account_id,)
    ).fetchall()
    for number, path in rows:
        aside = f"tmp/gone.{new_unique()}"
        with disk.failures(site.path / path), contextlib.suppress(FileNotFoundError):
            disk.rename(site.path / path, site.path / aside, "sweep.rename")
        connection.exec_driver_sql(
            "UPDATE leaving SET path = ?, mailbox_id = ? WHERE id = ?", (aside, _ASIDE, number)
        )


def _set_aside(site: Site, account_id: int, connection: Connection) -> None:
    set_aside(site, connection, account_id)


def _forget(numbers: list[tuple[int]], connection: Connection) -> None:
    connection.exec_driver_sql("DELETE FROM leaving WHERE id = ?", numbers)


def expire_keys(site: Site) -> None:
    """Dedupe keys that no queue can try again."""
    oldest = int(site.clock.now()) - site.limits.dedupe_days * _DAY
    with site.read() as connection:
        old = connection.exec_driver_sql("SELECT 1 FROM dedupe WHERE at < ? LIMIT 1", (oldest,)).fetchone()
    if old is not None:
        site.write(
            lambda connection: connection.exec_driver_sql(
                "DELETE FROM dedupe WHERE at < ?", (oldest,)
            ).close()
        )


def remove_path(site: Site, path: str) -> None:
    """A file or a folder with all in it, relative to the shard; gone already is fine."""
    target = site.path / path
    with disk.failures(target):
        try:
            if target.is_dir() and not target.is_symlink():
                shutil.rmtree(target)
            else:
                target.unlink()
        except FileNotFoundError:  # another process sweeps too
            return
