"""Which messages share a file, found anew by inode: the live ones and those in the vault.

Rows that the index takes for one file are compared with what the disk says. A message never changes its inode, so
that this runs beside whoever uses the shard: a file that was renamed and a row that changed while we looked are
passed over.
"""

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from sqlalchemy.engine import Connection

from mailplat.core import disk
from mailplat.store.figures import figures, saved_octets
from mailplat.store.maildir import parse_name
from mailplat.store.opening import unreadable
from mailplat.store.repair import problems
from mailplat.store.sharing import set_shared, share
from mailplat.store.site import COLUMNS, MailboxRow, Site
from mailplat.store.types import Problem
from mailplat.store.vault.place import box_path

# Files in one transaction of corrections.
_BATCH = 200

# Rows of this many mailboxes are remembered in memory before they go to the temporary table.
_SLICE = 10_000

# mailbox 0: a row of the vault, by its number.
_SEEN = "CREATE TABLE seen (inode INTEGER, mailbox INTEGER, number INTEGER, size INTEGER, shared INTEGER)"
# Inodes whose rows do not agree, and those whose number other inodes have too.
_WRONG = (
    "SELECT DISTINCT inode FROM ("
    " SELECT inode FROM seen GROUP BY inode HAVING count(*) > 1"
    " AND (count(shared) < count(*) OR min(shared) <> max(shared))"
    " UNION ALL SELECT inode FROM seen WHERE shared IN"
    " (SELECT shared FROM seen WHERE shared IS NOT NULL GROUP BY shared HAVING count(DISTINCT inode) > 1))"
    " ORDER BY inode"
)

R = TypeVar("R")
Row = tuple[int, int, int, int | None]  # of `seen`, without the inode


def recount_links(site: Site, root: Path | None = None) -> list[Problem]:
    """Correct what is wrong, and say so. `root`: where vault/ may be beside the shard itself. A first count of what
    an earlier release left is no problem. Raises Unavailable."""
    counted = figures(site).counted
    found: list[Problem] = []
    drift = 0  # measured inside our own transactions: clients copy and expunge meanwhile
    with contextlib.closing(sqlite3.connect("")) as seen:  # a temporary file once it outgrows the cache
        seen.execute(_SEEN)
        for rows in _pieces(site, (site.path,) if root is None else (site.path, root), found):
            seen.executemany("INSERT INTO seen VALUES (?, ?, ?, ?, ?)", rows)
        seen.execute("CREATE INDEX by_inode ON seen (inode)")
        wrong = [inode for (inode,) in seen.execute(_WRONG)]
        for start in range(0, len(wrong), _BATCH):
            groups = [
                seen.execute(
                    "SELECT mailbox, number, size, shared FROM seen WHERE inode = ?", (inode,)
                ).fetchall()
                for inode in wrong[start : start + _BATCH]
            ]
            _, change, _ = site.write(partial(_measured, partial(_mend, groups)))
            drift += change
    texts, change, saved = site.write(partial(_measured, _recount))
    drift += change
    if drift and counted:
        texts.append(f"octets saved by links were {saved - drift}, are {saved}")
    found += [Problem(problems.COUNT, "index.db", text) for text in texts]
    return found


def _pieces(site: Site, roots: Sequence[Path], found: list[Problem]) -> Iterator[list[tuple[int, *Row]]]:
    piece: list[tuple[int, *Row]] = []
    for row in _rows(site, roots, found):
        piece.append(row)
        if len(piece) >= _SLICE:
            yield piece
            piece = []
    yield piece


def _rows(site: Site, roots: Sequence[Path], found: list[Problem]) -> Iterator[tuple[int, *Row]]:
    """Of every file that has more than one name, or that a row takes for such a one."""
    with site.read() as connection:
        boxes = connection.exec_driver_sql(f"SELECT {COLUMNS} FROM mailbox ORDER BY id").fetchall()
    for values in boxes:
        mailbox = MailboxRow(*values)
        with site.read() as connection:
            messages = connection.exec_driver_sql(
                "SELECT uid, name, size, shared FROM message WHERE mailbox_id = ?", (mailbox.id,)
            ).fetchall()
        folder = site.mailbox_folder(mailbox)
        files = _files(folder / "cur") | _files(folder / "new")
        for uid, name, size, shared in messages:
            status = files.get(name)
            if status is not None and (status.st_nlink > 1 or shared is not None):
                yield status.st_ino, mailbox.id, uid, size, shared
    with site.read() as connection:
        vaults = connection.exec_driver_sql("SELECT DISTINCT account_id, mailbox_id FROM vault").fetchall()
    for account_id, mailbox_id in vaults:
        yield from _vault_rows(site, roots, account_id, mailbox_id, found)


def _vault_rows(
    site: Site, roots: Sequence[Path], account_id: int, mailbox_id: int, found: list[Problem]
) -> Iterator[tuple[int, *Row]]:
    path = box_path(account_id, mailbox_id)
    query = "SELECT id, name, size, shared FROM vault WHERE account_id = ? AND mailbox_id = ? AND placed = 1"
    with site.read() as connection:
        items = connection.exec_driver_sql(query, (account_id, mailbox_id)).fetchall()
    files = {name: status for root in roots for name, status in _files(root / path).items()}
    for number, name, size, shared in items:
        status = files.get(name)
        if status is None:
            if _is_gone(site, [root / path / name for root in roots], number):
                text = f"message {number} of the vault has no file; it cannot be restored"
                found.append(Problem(problems.MISSING, str(path / name), text))
            continue
        said = parse_name(name)
        if not said.readable:
            found.append(Problem(problems.UNREADABLE, str(path / name), unreadable(said.coding)))
        if status.st_nlink > 1 or shared is not None:
            yield status.st_ino, 0, number, size, shared


def _is_gone(site: Site, paths: Sequence[Path], number: int) -> bool:
    """Not pruned or restored while we looked."""
    if any(os.path.lexists(path) for path in paths):
        return False
    with site.read() as connection:
        found = connection.exec_driver_sql("SELECT 1 FROM vault WHERE id = ?", (number,)).fetchone()
    return found is not None


def _files(folder: Path) -> dict[str, os.stat_result]:
    found = {}
    with disk.failures(folder):
        try:
            entries = list(os.scandir(folder))
        except (FileNotFoundError, NotADirectoryError):
            return {}
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                if entry.is_file(follow_symlinks=False):
                    found[entry.name] = entry.stat(follow_symlinks=False)
    return found


def _measured(work: Callable[[Connection], R], connection: Connection) -> tuple[R, int, int]:
    """What `work` says, by how much it changed the octets that links save, and what they are then."""
    before = saved_octets(connection)
    result = work(connection)
    after = saved_octets(connection)
    return result, after - before, after


def _mend(groups: Sequence[Sequence[Row]], connection: Connection) -> None:
    """Each group is one file: its rows get one number that no other file has. One with a row that went or changed
    meanwhile is left to the next call."""
    for group in groups:
        if any(_shared(connection, row) != (row[3],) for row in group):
            continue
        (number,) = share(connection, [group[0][2]]) if len(group) > 1 else (None,)
        for mailbox, row, _, _ in group:
            if mailbox:
                set_shared(connection, [(number, mailbox, row)])
            else:
                connection.exec_driver_sql("UPDATE vault SET shared = ? WHERE id = ?", (number, row))


def _shared(connection: Connection, row: Row) -> tuple[int | None] | None:
    mailbox, number, _, _ = row
    if mailbox:
        statement = "SELECT shared FROM message WHERE mailbox_id = ? AND uid = ?"
        found = connection.exec_driver_sql(statement, (mailbox, number)).fetchone()
    else:
        found = connection.exec_driver_sql("SELECT shared FROM vault WHERE id = ?", (number,)).fetchone()
    return None if found is None else (found[0],)


def _recount(connection: Connection) -> list[str]:
    """What triggers keep, counted from the rows."""
    texts = []
    counted: dict[int, int] = dict(
        connection.exec_driver_sql(
            "SELECT shared, count(*) FROM (SELECT shared FROM message WHERE shared IS NOT NULL"
            " UNION ALL SELECT shared FROM vault WHERE shared IS NOT NULL) GROUP BY shared"
        ).fetchall()
    )
    told: dict[int, int] = dict(connection.exec_driver_sql("SELECT id, links FROM shared").fetchall())
    wrong = [(counted.get(number, 0), number) for number in told if told[number] != counted.get(number, 0)]
    if wrong:
        connection.exec_driver_sql("UPDATE shared SET links = ? WHERE id = ?", wrong)
        connection.exec_driver_sql("DELETE FROM shared WHERE links <= 0")
        texts.append(f"{len(wrong)} files had another number of messages than was counted")
    (before,) = connection.exec_driver_sql("SELECT vault_messages || ',' || vault_octets FROM figures").one()
    connection.exec_driver_sql(
        "UPDATE figures SET counted = 1, vault_messages = (SELECT count(*) FROM vault),"
        " vault_octets = (SELECT coalesce(sum(size), 0) FROM vault)"
    )
    (after,) = connection.exec_driver_sql("SELECT vault_messages || ',' || vault_octets FROM figures").one()
    if before != after:
        texts.append(f"(messages, octets) of the vault were ({before}), are ({after})")
    return texts
