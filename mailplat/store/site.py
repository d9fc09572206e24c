"""What every verb of a shard needs: its directory, its index, its writer, the bus, the clock, the limits."""

import contextlib
import fcntl
import os
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from sqlalchemy.engine import URL, Connection

from mailplat.core import disk
from mailplat.core.clock import Clock
from mailplat.core.errors import DiskFull, NotFound, StaleEpoch, Unavailable
from mailplat.core.hint import Hint, MailboxChanged
from mailplat.core.quota import Quota
from mailplat.core.route import Residence
from mailplat.db.driver import fetch_one
from mailplat.db.engine import Database
from mailplat.db.writer import GroupWriter
from mailplat.store.flagsets import Library
from mailplat.store.fulltext.file import Fulltext, Origin
from mailplat.store.identity import INDEX_FILE, LOCK, Expected, Refused, Seal, check_index, check_place
from mailplat.store.maildir import account_path, mailbox_folder
from mailplat.store.types import StoreLimits

R = TypeVar("R")

# limits.reserve is at most this part of a filesystem, for small ones.
_RESERVED_PART = 32

# A restore of the whole shard was cut short half-way into its place (backup/whole.py).
RESTORING = "restoring.json"

# Locked while a process opens the shard.
OPENING = "opening.lock"

# Mailboxes whose number is remembered by account and name: some 200 octets each.
_REMEMBERED = 20_000


class Publisher(Protocol):
    """The one thing of the bus that the store needs."""

    def publish(self, hint: Hint) -> None: ...


@dataclass(frozen=True, slots=True)
class Work(Generic[R]):
    """One change. `place`, if any, puts files where their rows will say, before the transaction, and returns the
    folders to fsync; it may be called twice and must then do nothing twice. `apply` writes rows, and may run
    twice. `alone`: what it does to files because of rows must not rest on rows that others have not committed."""

    apply: Callable[[Connection], R]
    place: Callable[[], Collection[str]] | None = None
    alone: bool = False


class MailboxRow(NamedTuple):
    """The row of `mailbox`, in the order of COLUMNS."""

    id: int
    account_id: int
    name: str
    special_use: str
    uidvalidity: int
    uidnext: int
    modseq: int
    uid_ceiling: int
    modseq_ceiling: int
    messages: int
    unseen: int
    size: int
    backfills: int
    named: int
    described: int
    object_id: str | None = None


class Standing(NamedTuple):
    """What an account uses, or a pool."""

    octets: int
    messages: int
    pool: str
    warned: int


COLUMNS = ", ".join(MailboxRow._fields)
_STANDING = "a.octets, a.messages, a.pool, a.warned"
_FOR_WRITE = (
    f"SELECT a.epoch, a.closed, {_STANDING}, {', '.join('m.' + name for name in MailboxRow._fields)} FROM account a"
    " LEFT JOIN mailbox m ON m.id = ? AND m.account_id = a.account_id WHERE a.account_id = ?"
)
_FOR_EPOCH = f"SELECT a.epoch, a.closed, {_STANDING} FROM account a WHERE a.account_id = ?"
_BY_ID = f"SELECT {COLUMNS} FROM mailbox WHERE id = ? AND account_id = ?"
_BY_NAME = f"SELECT {COLUMNS} FROM mailbox WHERE account_id = ? AND name = ?"


class Site:
    def __init__(
        self,
        name: str,
        path: Path,
        bus: Publisher,
        clock: Clock,
        limits: StoreLimits,
        *,
        pool: int,
        expected: Expected,
        mend: bool,
        elsewhere: Callable[[str], int] | None = None,
        pinned: Callable[[int], bool] | None = None,
    ) -> None:
        """Opens the shard in `path`, making it where there is none. `mend`: for a rebuild, which also opens what must
        not be served, and alone. `elsewhere`: octets that a pool of accounts has in the other shards. `pinned`:
        accounts whose tombstones are all kept. Raises Unavailable, Refused (identity.py) or DiskFull."""
        self.name = name
        self.path = path
        self.tmp = path / "tmp"
        self.clock = clock
        self.limits = limits
        self.library = Library()
        self._bus = bus
        self._elsewhere = elsewhere
        self._pinned = pinned
        check_place(name, path, expected)
        with disk.failures(path):
            for folder in (path, self.tmp, path / "accounts"):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = open(path / LOCK, "a")  # noqa: SIM115 - held as long as the shard is open
        self._take_lock(fcntl.LOCK_EX if mend else fcntl.LOCK_SH)
        self.database = Database(
            URL.create("sqlite", database=str(path / INDEX_FILE)),
            busy_timeout=limits.lock_wait,
            pool_size=pool,
        )
        self.fulltext = Fulltext(path, limits.fulltext, self._origin, lock_wait=limits.lock_wait, pool=pool)
        self.seal = Seal(name, path, self.database, expected, limits.serial_seconds)
        self.trouble: Refused | None = None  # why a shard that was opened to be mended is refused else
        try:
            self._open_index(mend)
        except BaseException:
            self.database.close()
            self._lock.close()
            raise
        self._writer: GroupWriter[Work[Any], Any] = GroupWriter(
            self.database,
            _apply,
            begin=self.seal.renew,
            prepare=self._prepare,
            alone=lambda work: work.alone,
            name=f"{name}-writer",
            max_group=limits.group,
        )
        self.changed = threading.Event()  # wakes the namer
        self.unrendered = threading.Event()  # wakes the renderer
        self.expunged_in: set[int] = set()  # mailboxes, since the upkeep looked at their tombstones
        self._berths: dict[tuple[Residence, str], int] = {}

    def _open_index(self, mend: bool) -> None:
        """One process at a time: what another one makes half-way must not look like a damage."""
        if (self.path / RESTORING).exists():
            raise Unavailable(
                f"shard {self.name} is half restored: call `mailplat shard restore` again ({self.path})"
            )
        with disk.failures(self.path), open(self.path / OPENING, "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                check_index(self.name, self.path, self.database)
            except Refused as refusal:
                if not mend:
                    raise
                self.trouble = refusal
                return
            self.seal.introduce()

    def close(self) -> None:
        """Finish what was submitted, then close the index. Idempotent."""
        self._writer.close()
        self.database.close()
        self.fulltext.close()
        self._lock.close()

    def claim(self) -> None:
        """Make this the only process that has the shard open; others are refused until it closes. Raises
        Unavailable while another one has it."""
        self._take_lock(fcntl.LOCK_EX)

    def _take_lock(self, kind: int) -> None:
        try:
            fcntl.flock(self._lock, kind | fcntl.LOCK_NB)
        except BlockingIOError as error:
            who = "is being rebuilt" if kind == fcntl.LOCK_SH else "is in use: stop `mailplat serve` first"
            raise Unavailable(f"shard {self.name} {who} ({self.path})") from error

    # reading and writing

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        with self.database.read() as connection:
            yield connection

    def origin(self, connection: Connection) -> Origin:
        """Which index this is, and how new."""
        row = connection.exec_driver_sql("SELECT identity, serial FROM shard").one()
        return Origin(*row)

    def _origin(self) -> Origin:
        with self.read() as connection:
            return self.origin(connection)

    def submit(self, work: Work[R]) -> "Future[R]":
        return self._writer.submit(work)

    def write(self, apply: Callable[[Connection], R], *hints: MailboxChanged, alone: bool = False) -> R:
        """Run `apply` in a transaction shared with others, unless `alone`; returns when it is durable, then sends
        the hints."""
        result = self.submit(Work(apply, alone=alone)).result()
        disk.step("index.commit")
        self.publish(*hints)
        return result

    def publish(self, *hints: MailboxChanged) -> None:
        for hint in hints:
            self._bus.publish(hint)
            self.fulltext.touch(hint.account_id, hint.mailbox_id)
        self.changed.set()

    def _prepare(self, works: Sequence[Work[Any]]) -> None:
        folders: dict[str, None] = {}
        for work in works:
            if work.place is not None:
                folders.update(dict.fromkeys(work.place()))
        self.sync_folders(folders, "append.dirsync")

    def sync_folders(self, folders: Iterable[str | Path], step: str) -> None:
        """fsync each folder. One after the other: the first one commits the file system's journal, and for the
        others there is nothing left to wait for. Raises Unavailable, NotFound when one has gone meanwhile."""
        for folder in folders:
            try:
                with disk.failures(folder):
                    disk.fsync_directory(folder, step)
            except FileNotFoundError as error:
                raise NotFound(f"{folder}: the mailbox was deleted meanwhile") from error

    # places

    def check_space(self, octets: int) -> None:
        """Messages may not take the last of the disk: without it no index could grow, and nobody delete. Raises
        DiskFull, and Unavailable where nothing can be written at all."""
        with disk.failures(self.path):
            status = os.statvfs(self.path)
        if status.f_flag & os.ST_RDONLY:
            raise Unavailable(f"{self.path}: the filesystem is read-only")
        reserve = min(self.limits.reserve, status.f_blocks * status.f_frsize // _RESERVED_PART)
        free = status.f_bavail * status.f_frsize
        if free - octets < reserve:
            raise DiskFull(f"{self.path}: {free} octets free, {octets} more would leave less than {reserve}")

    def account_folder(self, account_id: int) -> Path:
        return self.path / account_path(account_id)

    def mailbox_folder(self, row: MailboxRow) -> Path:
        return self.account_folder(row.account_id) / mailbox_folder(row.id, row.name)

    # quota

    def elsewhere(self, quota: Quota) -> int:
        """Octets of the pool in other shards, where it has a limit. May wait a moment; not within a transaction."""
        if not quota.pool_octets or self._elsewhere is None:
            return 0
        return self._elsewhere(quota.pool)

    def pinned(self, account_id: int) -> bool:
        """Whether nothing of what was expunged in the account may be forgotten. Raises Unavailable."""
        return self._pinned is not None and self._pinned(account_id)

    # mailboxes that messages come into again and again

    def remembered_mailbox(self, residence: Residence, name: str) -> int | None:
        """A mailbox's number as it once was; who uses it checks the name again when it writes."""
        return self._berths.get((residence, name))

    def remember_mailbox(self, residence: Residence, name: str, mailbox_id: int) -> None:
        if len(self._berths) >= _REMEMBERED:
            self._berths.clear()
        self._berths[residence, name] = mailbox_id

    def forget_mailbox(self, residence: Residence, name: str) -> None:
        self._berths.pop((residence, name), None)

    # rows that every verb asks for

    def check_epoch(self, connection: Connection, residence: Residence) -> Standing:
        """What the account uses, when the residence is the one granted last. Raises StaleEpoch."""
        row: Any = fetch_one(connection, _FOR_EPOCH, (residence.account_id,))
        self._check(residence, row)
        return Standing(*row[2:])

    def check_write(
        self, connection: Connection, residence: Residence, mailbox_id: int
    ) -> tuple[MailboxRow, Standing]:
        """The mailbox and what its account uses, in one statement. Raises StaleEpoch, NotFound."""
        row: Any = fetch_one(connection, _FOR_WRITE, (mailbox_id, residence.account_id))
        self._check(residence, row)
        if row[6] is None:
            raise NotFound(f"account {residence.account_id} has no mailbox number {mailbox_id}")
        return MailboxRow(*row[6:]), Standing(*row[2:6])

    def _check(self, residence: Residence, row: Any) -> None:
        """`row` begins with epoch and closed."""
        if row is None or row[0] != residence.epoch or row[1]:
            held = (
                "has no such account" if row is None else f"granted epoch {row[0]}{' and closed it' * row[1]}"
            )
            raise StaleEpoch(
                f"shard {self.name}: account {residence.account_id} under epoch {residence.epoch}; the shard "
                f"{held}; read its route again, then grant()"
            )

    def mailbox_by_id(self, connection: Connection, account_id: int, mailbox_id: int) -> MailboxRow:
        """Raises NotFound: deleted, or another account's."""
        row = fetch_one(connection, _BY_ID, (mailbox_id, account_id))
        if row is None:
            raise NotFound(f"account {account_id} has no mailbox number {mailbox_id}")
        return MailboxRow(*row)

    def mailbox_by_name(self, connection: Connection, account_id: int, name: str) -> MailboxRow:
        row = fetch_one(connection, _BY_NAME, (account_id, name))
        if row is None:
            raise NotFound(f"account {account_id} has no mailbox {name!r}")
        return MailboxRow(*row)


def _apply(connection: Connection, work: Work[Any]) -> Any:
    result = work.apply(connection)
    disk.step("index.apply")  # not committed yet
    return result
