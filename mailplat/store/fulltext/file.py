"""fulltext.db of a shard: opened by whoever finds it, made, changed and removed by who holds the lock."""

import contextlib
import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import structlog
from sqlalchemy.engine import URL, Connection

from mailplat.core import disk
from mailplat.db.engine import Database

log = structlog.get_logger("fulltext")

FILE = "fulltext.db"
LOCK = "fulltext.lock"

# The first goes first: what is left without it is nobody's.
FILES = (FILE, f"{FILE}-wal", f"{FILE}-shm")

# Of the tables below and what is in them. A file of another version is removed and made anew: there are no revisions.
VERSION = 1

_TABLES = (
    "CREATE TABLE part (mailbox_id INTEGER NOT NULL, part INTEGER NOT NULL, account_id INTEGER NOT NULL,"
    " uidvalidity INTEGER NOT NULL, backfills INTEGER NOT NULL, modseq INTEGER NOT NULL, uidnext INTEGER NOT NULL,"
    " PRIMARY KEY (mailbox_id, part)) WITHOUT ROWID",
    # One row: the shard, and the highest serial of its index that anything in here was taken from.
    "CREATE TABLE origin (identity TEXT NOT NULL, serial INTEGER NOT NULL)",
    "CREATE INDEX part_account ON part (account_id)",
    # In the order of their numbers the messages of a mailbox are about in that of their UIDs.
    "CREATE TABLE block (id INTEGER PRIMARY KEY, mailbox_id INTEGER NOT NULL, kind INTEGER NOT NULL,"
    " low INTEGER NOT NULL, high INTEGER NOT NULL, octets INTEGER NOT NULL, messages INTEGER NOT NULL,"
    " uids BLOB NOT NULL, ends BLOB NOT NULL, texts BLOB NOT NULL)",
    "CREATE INDEX block_place ON block (mailbox_id, kind, id, low, high, octets, messages)",
    f"PRAGMA user_version = {VERSION}",
)


class Origin(NamedTuple):
    """Of an index, see identity.py."""

    identity: str
    serial: int


class Fulltext:
    """For threads. `wanted`, `touched`: what the keeper of this process is to look at."""

    def __init__(
        self, folder: Path, mode: str, origin: Callable[[], Origin], *, lock_wait: float, pool: int
    ) -> None:
        """`mode`: "searched", "all" or "off", as in the settings. `origin`: of the index. Opens nothing yet."""
        self.mode = mode
        self.wanted: set[tuple[int, int]] = set()  # (mailbox, part) that somebody searched for
        self.touched: set[tuple[int, int]] = set()  # (account, mailbox) that changed; mailbox 0: any
        self.wake = threading.Event()
        self.damaged = False  # somebody could not read it
        self._folder = folder
        self._path = folder / FILE
        self._lock_wait = lock_wait
        self._pool = pool
        self._lock = threading.Lock()
        self._database: Database | None = None
        self._inode: int | None = None
        self._origin = origin
        self._ours = False  # it was looked at, and is of this index

    @property
    def exists(self) -> bool:
        return self._path.exists()

    def want(self, mailbox_id: int, part: int) -> None:
        """Somebody searched for what a part of this mailbox would have answered."""
        if self.mode != "off":
            self.wanted.add((mailbox_id, part))
            self.wake.set()

    def touch(self, account_id: int, mailbox_id: int) -> None:
        if self.mode != "off":
            self.touched.add((account_id, mailbox_id))
            self.wake.set()

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection | None]:
        """None where there is no file, or one of another release or index. Raises Unavailable, Damaged."""
        database = self._open()
        if database is None:
            yield None
            return
        with database.read() as connection:
            self._ours = self._ours or _is_ours(connection, self._origin())
            yield connection if self._ours else None

    # for who holds the lock

    @contextlib.contextmanager
    def held(self) -> Iterator[bool]:
        """Whether we are the process that may change the file until this ends. Raises Unavailable."""
        with disk.failures(self._folder), open(self._folder / LOCK, "a") as lock:
            try:
                fcntl.flock(lock.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True

    def create(self) -> None:
        """Make it, where it is not there as it should be. Raises Unavailable, DiskFull."""
        with self.read() as connection:
            if connection is not None:
                return
        if self.exists:
            log.warning("text kept for another release or index is removed", file=str(self._path))
        self.remove()
        with disk.failures(self._path):
            os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        disk.step("fulltext.create")
        with self.write() as connection:
            for statement in _TABLES:
                connection.exec_driver_sql(statement)
            connection.exec_driver_sql("INSERT INTO origin (identity, serial) VALUES (?, ?)", self._origin())

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """Raises Unavailable, DiskFull; FileNotFoundError is a bug: create() comes first."""
        database = self._open()
        if database is None:
            raise FileNotFoundError(self._path)
        with database.write() as connection:
            yield connection

    def trim(self) -> bool:
        """Let SQLite's log keep nothing. False where somebody reads, and it has to be done later."""
        database = self._open()
        return database is None or database.trim(0)

    def remove(self) -> None:
        """The file and what SQLite keeps beside it. Readers that have it open may finish. Raises Unavailable."""
        self.close()
        remove_files(self._folder)
        self.damaged = False

    def close(self) -> None:
        """Its connections; a later read opens new ones."""
        with self._lock:
            self._forget()

    def _open(self) -> Database | None:
        """Of the file that is there now: another process may have made it anew."""
        try:
            with disk.failures(self._path):
                inode = os.stat(self._path).st_ino
        except FileNotFoundError:
            inode = None
        with self._lock:
            if inode != self._inode:
                self._forget()
            if inode is not None and self._database is None:
                self._inode = inode
                self._database = Database(
                    URL.create("sqlite", database=str(self._path)),
                    busy_timeout=self._lock_wait,
                    pool_size=self._pool,
                    derived=True,
                )
            return self._database

    def _forget(self) -> None:
        if self._database is not None:
            self._database.close()
        self._database = self._inode = None
        self._ours = False


def remove_files(folder: Path) -> None:
    """All of it in the shard's folder, for who has the shard alone or holds the lock. Raises Unavailable."""
    for name in FILES:
        with disk.failures(folder / name):
            (folder / name).unlink(missing_ok=True)
        disk.step("fulltext.unlink")


def _is_ours(connection: Connection, now: Origin) -> bool:
    if connection.exec_driver_sql("PRAGMA user_version").scalar_one() != VERSION:
        return False
    identity, serial = connection.exec_driver_sql("SELECT identity, serial FROM origin").one()
    return bool(identity == now.identity and serial <= now.serial)
