"""A whole shard brought back into its place, while nobody has it open.

The shard of the point is made in restoring/, complete, verified and on disk; then restoring.json says so, and only
then what is there is set aside in replaced-TIME/ and the new takes its place. See the room's page for what is true
after a crash, numbers.py for UIDs.
"""

import contextlib
import fcntl
import json
import os
import shutil
import sqlite3
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy.engine import Connection

from mailplat.core import disk
from mailplat.core.clock import Clock, SystemClock
from mailplat.core.errors import AlreadyExists, Unavailable
from mailplat.store.backup.catalogue import Catalogue, SavedMessage
from mailplat.store.backup.known import connect
from mailplat.store.backup.numbers import (
    Given,
    default_uidl,
    is_there,
    keeps_uidvalidity,
    note_expunged,
    read_given,
    renew_account,
    renumber,
    uids_since,
)
from mailplat.store.backup.objects import Flush, put_back
from mailplat.store.backup.repository import point_name
from mailplat.store.backup.vaulted import bring_vault
from mailplat.store.description import make_mailbox_folder, write_account, write_mailbox
from mailplat.store.flagsets import read_book
from mailplat.store.identity import INDEX_FILE, SHARD_FILE, carry_over
from mailplat.store.index import renderings
from mailplat.store.mailboxes import forget_rows
from mailplat.store.maildir import first_name, folder_of, full_name, parse_name
from mailplat.store.names import INBOX
from mailplat.store.repair import survey, verify
from mailplat.store.repair.counting import recount
from mailplat.store.shard import Shard
from mailplat.store.site import COLUMNS, OPENING, RESTORING, MailboxRow, Publisher, Site
from mailplat.store.sweeper import LOCK as SWEEP_LOCK
from mailplat.store.types import Problem, StoreLimits
from mailplat.store.vault.owner import ROOT, vault_path
from mailplat.store.vault.recovery import recover

_HALF = "restoring"
# What stays where it is: the locks, what is in flight, what was set aside, and the new shard itself.
_STAYS = frozenset({"shard.lock", SWEEP_LOCK, OPENING, "index.db.lock", "tmp", ROOT, _HALF, RESTORING})
_ASIDE = "replaced-"


@dataclass(slots=True)
class ShardReport:
    accounts: int = 0
    mailboxes: int = 0
    messages: int = 0
    vault: int = 0  # and in the vault
    renumbered: int = 0  # mailboxes with a new UIDVALIDITY
    elsewhere: int = 0  # accounts left out: they live in another place by now
    gone: int = 0  # messages that were expunged while the point was taken
    aside: str = ""  # the folder with what was there before
    finished: bool = False  # an earlier restore was finished instead
    problems: list[Problem] = field(default_factory=list)


def restore_shard(
    path: Path,
    catalogue: Catalogue,
    bus: Publisher,
    *,
    replace: bool = False,
    elsewhere: Collection[int] = (),
    clock: Clock | None = None,
    limits: StoreLimits | None = None,
) -> ShardReport:
    """`path`: of the shard. `replace`: although there are accounts. `elsewhere`: accounts that live in another place
    now and are left out. An earlier restore that was cut short is finished instead. Raises AlreadyExists,
    Unavailable while anybody has the shard open, DiskFull."""
    with _claimed(path):
        if (path / RESTORING).exists():
            return ShardReport(finished=True, aside=_swap(path))
        if not replace and _occupied(path):
            raise AlreadyExists(f"{path}: there are accounts; --replace sets them aside")
        half = path / _HALF
        with disk.failures(half), contextlib.suppress(FileNotFoundError):
            shutil.rmtree(half)
        clock = clock or SystemClock()
        report = _Restore(path, catalogue, bus, clock, limits or StoreLimits(), frozenset(elsewhere)).make()
        aside = f"{_ASIDE}{point_name(clock.now())}"
        disk.write_file(path / RESTORING, json.dumps({"aside": aside}).encode() + b"\n", "restore.ready")
        report.aside = _swap(path)
        return report


@contextlib.contextmanager
def _claimed(path: Path) -> Iterator[None]:
    """The lock that Site takes; this works where its index cannot be opened."""
    with disk.failures(path):
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        with open(path / "shard.lock", "a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise Unavailable(f"{path}: the shard is in use: stop `mailplat serve` first") from error
            yield


def _occupied(path: Path) -> bool:
    """Whether there is an account, or an index that nobody can say this of."""
    if any(True for _ in survey.accounts(path)):
        return True
    if not (path / "index.db").exists():
        return False
    try:
        with contextlib.closing(connect(path / "index.db")) as index:
            return index.execute("SELECT 1 FROM account LIMIT 1").fetchone() is not None
    except sqlite3.DatabaseError:
        return True


def _swap(path: Path) -> str:
    """What is there goes aside, the new shard into its place; goes on where an earlier call was cut short. Steps:
    restore.aside, restore.swap."""
    half = path / _HALF
    with disk.failures(path):
        aside = path / Path(json.loads((path / RESTORING).read_bytes())["aside"]).name
        aside.mkdir(exist_ok=True, mode=0o700)
        if (half / "accounts").exists():  # nothing of the new shard is in place yet
            for entry in list(path.iterdir()):
                if entry.name in _STAYS or entry.name.startswith(_ASIDE):
                    continue
                if (aside / entry.name).is_dir():  # made by who tried to open the shard after a first call
                    entry.rmdir()
                else:
                    disk.rename(entry, aside / entry.name, "restore.aside")
            disk.fsync_directory(aside, "restore.dirsync")
            disk.rename(half / "accounts", path / "accounts", "restore.swap")
        _merge_vault(half, path)
        for name in (INDEX_FILE, SHARD_FILE):
            if (half / name).exists():
                disk.rename(half / name, path / name, "restore.swap")
        disk.fsync_directory(path, "restore.dirsync")
        shutil.rmtree(half, ignore_errors=True)
        os.unlink(path / RESTORING)
        disk.fsync_directory(path, "restore.done")
    return str(aside)


def _merge_vault(half: Path, path: Path) -> None:
    """Account by account, beside those that are there. Step: restore.vault."""
    for folder in sorted((half / ROOT).glob("*/*")):
        target = path / folder.relative_to(half)
        for parent in (path / ROOT, target.parent):
            parent.mkdir(exist_ok=True, mode=0o700)
            disk.fsync_directory(parent.parent, "restore.dirsync")
        disk.rename(folder, target, "restore.vault")
        disk.fsync_directory(target.parent, "restore.dirsync")


class _Restore:
    """The new shard, in restoring/."""

    def __init__(
        self,
        path: Path,
        catalogue: Catalogue,
        bus: Publisher,
        clock: Clock,
        limits: StoreLimits,
        elsewhere: frozenset[int],
    ) -> None:
        self._old = path / "index.db"
        self._half = path / _HALF
        self._catalogue = catalogue
        self._bus, self._clock, self._limits = bus, clock, limits
        self._elsewhere = elsewhere
        self._given: Given = read_given(path, clock.now() - catalogue.taken)
        self._report = ShardReport()

    def make(self) -> ShardReport:
        with disk.failures(self._half):
            self._half.mkdir(mode=0o700)
        flush = Flush(self._half)
        try:
            with disk.failures(self._half):
                shutil.copyfile(self._catalogue.point.index, self._half / "index.db")
            disk.step("restore.index")
            carry_over(self._old.parent, self._half, self._catalogue.repository.shard)
            name = self._catalogue.repository.shard
            shard = Shard(name, self._half, self._bus, self._clock, self._limits, upkeep=False)
            try:
                self._fill(shard.site, flush)
                report = verify(shard, sweep_hours=0, vault=self._old.parent)
                self._report.problems += report.problems
                self._report.accounts, self._report.messages = report.accounts, report.messages
            finally:
                shard.close()
            flush.add(self._half / INDEX_FILE)
            flush.add(self._half / SHARD_FILE)
            flush.sync("restore.sync")
        finally:
            flush.close()
        return self._report

    def _fill(self, site: Site, flush: Flush) -> None:
        with site.database.write() as connection:
            connection.exec_driver_sql("DELETE FROM leaving")  # files that nobody brings back
            connection.exec_driver_sql("DELETE FROM vault")
            connection.exec_driver_sql("DELETE FROM vault_owner")
            connection.exec_driver_sql(
                "UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = 'mailbox'",
                (self._given.last_mailbox,),
            )
        for account_id in self._catalogue.open_accounts():
            if account_id in self._elsewhere:
                self._leave_out(site, account_id)
            else:
                self._account(site, flush, account_id)
        with site.database.write() as connection:
            recount(connection)
        place = self._old.parent
        recover(site, place)  # the shard's own vault stays where it is
        unknown = [
            number
            for number in self._catalogue.vault_accounts()
            if number not in self._given.uidvalidity and not (place / vault_path(number)).exists()
        ]
        self._report.vault = bring_vault(site, self._catalogue, unknown, flush, self._report.problems)
        with (
            site.database.write() as connection
        ):  # which files are one is another thing here than it was there
            connection.exec_driver_sql("UPDATE figures SET counted = 0")

    def _leave_out(self, site: Site, account_id: int) -> None:
        self._report.elsewhere += 1
        with site.database.write() as connection:
            for (number,) in connection.exec_driver_sql(
                "SELECT id FROM mailbox WHERE account_id = ?", (account_id,)
            ).fetchall():
                forget_rows(connection, number)
            connection.exec_driver_sql("DELETE FROM subscription WHERE account_id = ?", (account_id,))
            connection.exec_driver_sql(
                "UPDATE account SET closed = 1, octets = 0, messages = 0, described = 1 WHERE account_id = ?",
                (account_id,),
            )

    def _account(self, site: Site, flush: Flush, account_id: int) -> None:
        with site.database.write() as connection:
            renew_account(site, connection, self._given, account_id)
            rows = connection.exec_driver_sql(
                f"SELECT {COLUMNS} FROM mailbox WHERE account_id = ? ORDER BY id", (account_id,)
            ).fetchall()
        for values in rows:
            with site.database.write() as connection:
                self._mailbox(site, connection, flush, MailboxRow(*values))
        with site.database.write() as connection:
            write_account(site, connection, account_id)

    def _mailbox(self, site: Site, connection: Connection, flush: Flush, row: MailboxRow) -> None:
        self._report.mailboxes += 1
        make_mailbox_folder(site, row)
        kept = keeps_uidvalidity(self._given, row)
        self._report.renumbered += not kept
        new = renumber(site, connection, self._given, row)
        book = read_book(connection, row.id)
        lost: list[int] = []
        named: list[tuple[str, str | None, int, int]] = []
        for message in self._catalogue.messages(row.id):
            uidl = message.uidl
            if uidl is None and row.name == INBOX and not kept:
                uidl = default_uidl(row.uidvalidity, message.uid)
            name = _name(message, uidl, book.mask(message.flagset))
            if not self._bring(message, site.mailbox_folder(row), name, flush):
                lost.append(message.uid)
            elif (name, uidl) != (message.name, message.uidl):
                named.append((name, uidl, row.id, message.uid))
        if named:
            connection.exec_driver_sql(
                "UPDATE message SET name = ?, uidl = ? WHERE mailbox_id = ? AND uid = ?", named
            )
        _forget(connection, row.id, lost)
        note_expunged(connection, new, lost)
        if is_there(self._given, row):
            with contextlib.closing(connect(self._old)) as old:
                note_expunged(connection, new, uids_since(old, row.id, row.uidnext))
        write_mailbox(site, connection, new)

    def _bring(self, message: SavedMessage, folder: Path, name: str, flush: Flush) -> bool:
        """False where the octets are gone."""
        if message.digest is None:
            self._report.gone += 1
            return False
        target = folder / folder_of(name) / name
        what = f"UID {message.uid} of mailbox {message.mailbox_id}"
        repository = self._catalogue.repository
        problem = put_back(repository, message.digest, target, message.internaldate, what, flush)
        if problem is not None:
            self._report.problems.append(problem)
        return problem is None


def _name(message: SavedMessage, uidl: str | None, mask: int) -> str:
    """Final at once, so that the namer has nothing to do."""
    if "/" in message.name or "\0" in message.name:
        raise Unavailable(
            f"UID {message.uid} of mailbox {message.mailbox_id}: {message.name!r} is no file name"
        )
    name = message.name
    if uidl != message.uidl:
        said = parse_name(name)
        name = first_name(
            said.unique, message.size, message.zone, uidl or "", key=said.key, coding=said.coding
        )
    return full_name(name, message.uid, mask)


def _forget(connection: Connection, mailbox_id: int, uids: list[int]) -> None:
    if uids:
        keys = [(mailbox_id, uid) for uid in uids]
        connection.exec_driver_sql("DELETE FROM message WHERE mailbox_id = ? AND uid = ?", keys)
        renderings.forget(connection, mailbox_id, uids)
