"""The sweeper: removes the files and folders that no row speaks of any more (table `leaving`), and old keys.

A row of `leaving` is written in the transaction that took the message's, mailbox's or account's rows away, so
that a crash forgets no file. What goes into the vault is brought there first: a folder is not removed before.

While a backup copies the index and what the copy lists, nothing is swept (`held`): what was there at that moment has
a file until the backup has it too.
"""

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from sqlalchemy.engine import Connection

from mailplat.core import disk
from mailplat.core.errors import Unavailable
from mailplat.store.maildir import new_unique, parse_name
from mailplat.store.site import Site
from mailplat.store.vault.folders import FOLDER, remove_folders
from mailplat.store.vault.place import place_account, place_waiting

# Paths in one round: what a transaction notes as done.
_ROUND = 500
_DAY = 86_400

# Instead of a mailbox: the folder of an account, renamed already.
_ASIDE = -1

# In the shard's folder: shared by who sweeps, exclusive for who needs that nobody does.
LOCK = "sweep.lock"

# A round of any process ends sooner, that of an account with millions of files too.
_PATIENCE_S = 300.0
_POLL_S = 0.02


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Until this ends no process sweeps the shard in `path`. Raises Unavailable when a round does not end."""
    deadline = time.monotonic() + _PATIENCE_S
    with disk.failures(path), open(path / LOCK, "a") as lock:
        while not _try(lock.fileno(), fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                raise Unavailable(f"{path}: files of expunged mail are being removed; try again later")
            time.sleep(_POLL_S)
        yield


def _try(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def sweep_leaving(site: Site) -> int:
    """Until none is left, or a backup holds us back. Returns how many were removed or brought into the vault. Raises
    Unavailable."""
    removed = 0
    while True:
        with disk.failures(site.path), open(site.path / LOCK, "a") as lock:
            if not _try(lock.fileno(), fcntl.LOCK_SH):
                return removed  # the next round has them
            done, left = _sweep_some(site)
        removed += done
        if not left:
            return removed + remove_folders(site)


def _sweep_some(site: Site) -> tuple[int, bool]:
    """One round: how many, and whether there may be more."""
    placed = place_waiting(site)
    with site.read() as connection:
        accounts = connection.exec_driver_sql(
            "SELECT DISTINCT account_id FROM leaving l WHERE mailbox_id = 0 AND NOT EXISTS"
            " (SELECT 1 FROM vault v WHERE v.placed = 0 AND v.account_id = l.account_id)"
        ).fetchall()
        leaving = connection.exec_driver_sql(
            f"SELECT id, path FROM leaving l WHERE mailbox_id NOT IN (0, {FOLDER}) AND NOT EXISTS (SELECT 1"
            f" FROM vault v WHERE v.placed = 0 AND v.mailbox_id = l.mailbox_id) ORDER BY id LIMIT {_ROUND}"
        ).fetchall()
    for (account_id,) in accounts:
        site.write(partial(_set_aside, site, account_id), alone=True)
    remove_strays(site, [path for _, path in leaving if not remove_path(site, path)])
    disk.step("sweep.unlink")
    if leaving:
        site.write(partial(_forget, [(number,) for number, _ in leaving]))
    return placed + len(leaving), bool(leaving or accounts)


def set_aside(site: Site, connection: Connection, account_id: int) -> None:
    """Rename the folder of an account that was removed, under the write lock, so that nobody opens the account
    again meanwhile; what is in it is removed behind, which may take long."""
    place_account(site, connection, account_id)
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


def remove_path(site: Site, path: str) -> bool:
    """A file or a folder with all in it, relative to the shard; False when it was gone already."""
    target = site.path / path
    with disk.failures(target):
        try:
            if target.is_dir() and not target.is_symlink():
                _remove_folder(target)
            else:
                target.unlink()
        except FileNotFoundError:  # another process sweeps too
            return False
    return True


def _remove_folder(folder: Path) -> None:
    """To its end, though another process removes the same folder: what one of them does not find, the other has
    removed, and neither may leave the rest to the other."""

    def gone(_function: object, _path: str, failure: tuple[object, BaseException, object]) -> None:
        if not isinstance(failure[1], FileNotFoundError):
            raise failure[1]

    shutil.rmtree(folder, onerror=gone)


def remove_strays(site: Site, paths: Iterable[str]) -> int:
    """Message files that were not where `leaving` says: a process that died between a rename and its commit (namer)
    left them under a name that no row ever said. Left there, a rebuild would bring an expunged message back. What
    this release cannot read stays: it may be the live form of a message whose plain one was removed. Returns how
    many were found."""
    wanted: dict[Path, set[str]] = {}
    for path in map(Path, paths):
        if path.parent.name in ("cur", "new"):
            wanted.setdefault(site.path / path.parent.parent, set()).add(parse_name(path.name).unique)
    found = 0
    for folder, uniques in wanted.items():
        for place in ("cur", "new"):
            with disk.failures(folder), contextlib.suppress(FileNotFoundError):
                for name in os.listdir(folder / place):
                    said = parse_name(name)
                    if said.unique in uniques and said.readable:
                        (folder / place / name).unlink(missing_ok=True)
                        found += 1
    return found
