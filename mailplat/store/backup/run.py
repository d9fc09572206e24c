"""Takes a point: first what is new, then the index, then what came meanwhile (see the room's page)."""

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from mailplat.core import disk
from mailplat.core.errors import Unavailable
from mailplat.store.backup import manifest
from mailplat.store.backup.known import connect, live, open_known, refusals, remember, still
from mailplat.store.backup.manifest import GONE, Entry
from mailplat.store.backup.objects import Intake
from mailplat.store.backup.repository import Repository, point_name
from mailplat.store.maildir import FileName, account_path, find_file, folder_of, mailbox_folder, parse_name
from mailplat.store.shard import Shard
from mailplat.store.sweeper import held
from mailplat.store.vault.place import box_path, find_in_box

# Messages made durable together: two syncfs for so many, and so many are read again after a crash.
BATCH = 2000

# What is gathered, messages first: one key for both, so that mail that went to the vault is not read again.
_MESSAGES = (
    "SELECT m.mailbox_id, m.uid, m.size, m.name, b.account_id, b.id AS box, b.name AS mailbox, '' AS vaulted"
    " FROM {schema}.message m CROSS JOIN {schema}.mailbox b ON b.id = m.mailbox_id"
)
_VAULT = (
    "SELECT 0 AS mailbox_id, v.id AS uid, v.size, v.file AS name, v.account_id, v.mailbox_id AS box, v.mailbox,"
    " v.name AS vaulted FROM {schema}.vault v"
)

# The unique part of a name, as SQL.
_KEY = "substr(m.name, 1, instr(m.name || ',', ',') - 1)"
_KNOWN = f"LEFT JOIN main.known k ON k.key = {_KEY} AND k.size = m.size"
_FRESH = "LEFT JOIN temp.fresh f ON f.mailbox_id = m.mailbox_id AND f.uid = m.uid"
_FRESH_TABLE = (
    "CREATE TEMP TABLE fresh (mailbox_id INTEGER, uid INTEGER, size INTEGER, digest TEXT,"
    " PRIMARY KEY (mailbox_id, uid)) WITHOUT ROWID"
)


@dataclass(slots=True)
class RunReport:
    point: str
    messages: int = 0  # in the point
    vault: int = 0  # and in the vault
    octets: int = 0  # of both
    linked: int = 0  # new objects
    copied: int = 0
    read_octets: int = 0  # of new objects
    gone: int = 0  # expunged while the point was taken


class _Row(NamedTuple):
    mailbox_id: int
    uid: int
    size: int
    name: str
    account_id: int
    box: int  # number of the mailbox
    mailbox: str
    vaulted: str  # name in the vault, "" where it is not there


def back_up(
    shard: Shard,
    repository: Repository,
    addresses: Iterable[tuple[int, str]] = (),
    directory: Callable[[], bytes] = bytes,
) -> RunReport:
    """Take a point of a shard that may be in use. `addresses` of its accounts by number, so that they can be asked
    for by name later; `directory` makes what else the point shall carry. Both are asked after the index was copied:
    they know every account that it knows. Raises Unavailable, DiskFull: the points that were there are as good as
    before."""
    with repository.lock(exclusive=True):
        repository.sweep()
        with refusals(repository.path):
            return _Run(shard, repository).take(addresses, directory)


class _Run:
    def __init__(self, shard: Shard, repository: Repository) -> None:
        self._path = shard.path
        self._repository = repository
        self._clock = shard.site.clock
        self._report = RunReport("")

    def take(self, addresses: Iterable[tuple[int, str]], directory: Callable[[], bytes]) -> RunReport:
        self._free_name()  # refuses now, not after hours of work
        half = self._repository.tmp / "point"
        with disk.failures(half):
            half.mkdir(mode=0o700)
        with open_known(self._repository, live=live(self._path / "index.db")) as known:
            known.execute(_FRESH_TABLE)
            self._gather(known, "live")
            with held(self._path):
                copy_index(self._path / "index.db", half / "index.db")
                known.execute("ATTACH DATABASE ? AS point", (still(half / "index.db"),))
                self._gather(known, "point")
            write_beside(half / "directory", directory())
            name = self._free_name()
            head = {
                "shard": self._repository.shard,
                "point": name,
                "taken": int(self._clock.now()),
                "index": manifest.describe(half / "index.db"),
                "directory": manifest.describe(half / "directory"),
            }
            totals = manifest.write(half / manifest.NAME, head, addresses, _entries(known))
        self._name(half, name)
        report = self._report
        report.point, report.messages, report.octets = name, totals.messages, totals.octets
        report.vault, report.gone = totals.vault, totals.gone
        return report

    def _free_name(self) -> str:
        """Later than every other point, also when the clock was set back."""
        now = self._clock.now()
        points = self._repository.points()
        if points and point_name(now) <= points[-1].name:
            raise Unavailable(
                f"{self._repository.path}: point {points[-1].name} is from the future; set the clock right, or wait"
            )
        return point_name(now)

    def _name(self, half: Path, name: str) -> None:
        points = self._repository.path / "points"
        with disk.failures(points):
            disk.fsync_directory(half, "backup.half")
            disk.rename(half, points / name, "backup.point")
            disk.fsync_directory(points, "backup.pointsync")

    def _gather(self, known: sqlite3.Connection, schema: str) -> None:
        """Every file of an index that is not known. Of the live index nothing is kept open between two pages: its
        log could not be written back meanwhile."""
        for source, behind in (
            (_MESSAGES, "(m.mailbox_id, m.uid) > (?, ?)"),
            (_VAULT, "m.mailbox_id = ? AND m.uid > ?"),
        ):
            query = (
                f"SELECT m.* FROM ({source.format(schema=schema)}) m {_KNOWN} {_FRESH}"
                f" WHERE {behind} AND k.key IS NULL AND f.uid IS NULL"
                f" ORDER BY m.mailbox_id, m.uid LIMIT {BATCH}"
            )
            at = (0, 0)
            while rows := [_Row(*row) for row in known.execute(query, at).fetchall()]:
                self._take_batch(known, rows)
                at = rows[-1].mailbox_id, rows[-1].uid

    def _take_batch(self, known: sqlite3.Connection, rows: list[_Row]) -> None:
        intake = Intake(self._repository)
        lasting: list[tuple[str, int, str]] = []
        fresh: list[tuple[int, int, int, str]] = []
        try:
            for row in rows:
                fd = self._open(known, row)
                if fd is None:
                    continue
                try:
                    digest, size = intake.take(fd)
                finally:
                    os.close(fd)
                said = parse_name(row.name)
                if size == row.size and _is_lasting(said, row.name):
                    lasting.append((said.unique, size, digest))
                else:
                    fresh.append((row.mailbox_id, row.uid, size, digest))
            intake.settle()
        finally:
            intake.close()
        remember(known, lasting)
        known.executemany("INSERT OR REPLACE INTO temp.fresh VALUES (?, ?, ?, ?)", fresh)
        self._report.linked += intake.linked
        self._report.copied += intake.copied
        self._report.read_octets += intake.octets

    def _open(self, known: sqlite3.Connection, row: _Row) -> int | None:
        """By the name that the row said, by the one it has now, by the unique part, at last in the vault. None:
        expunged, and removed already."""
        folder = self._path / account_path(row.account_id) / mailbox_folder(row.box, row.mailbox)
        box = self._path / box_path(row.account_id, row.box)
        fd = _open_path(box / row.vaulted) if row.vaulted else _open_file(folder, row.name)
        if fd is None:
            now = known.execute(
                "SELECT name FROM live.message WHERE mailbox_id = ? AND uid = ?", (row.mailbox_id, row.uid)
            ).fetchone()
            fd = _open_file(folder, now[0]) if now is not None else None
        unique = row.name.partition(",")[0]
        if fd is None and (found := find_file(folder, unique)) is not None:
            fd = _open_file(folder, found)
        if fd is None and (found := find_in_box(box, unique)) is not None:
            fd = _open_path(box / found)
        return fd


def _is_lasting(said: FileName, name: str) -> bool:
    """Whether the unique part stands for the octets, is what _KEY makes of the name, and fits into a line."""
    unique = said.unique
    return said.ours and name.partition(",")[0] == unique and unique.isascii() and unique.isprintable()


def _open_file(folder: Path, name: str) -> int | None:
    return _open_path(folder / folder_of(name) / name)


def _open_path(path: Path) -> int | None:
    with contextlib.suppress(FileNotFoundError), disk.failures(path):
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    return None


def _entries(known: sqlite3.Connection) -> Iterator[Entry]:
    for source in (_MESSAGES, _VAULT):
        query = (
            "SELECT m.mailbox_id, m.uid, m.size, f.size, k.digest, f.digest, k.key"
            f" FROM ({source.format(schema='point')}) m {_KNOWN} {_FRESH} ORDER BY m.mailbox_id, m.uid"
        )
        for mailbox_id, uid, size, fresh_size, digest, fresh, unique in known.execute(query):
            if digest is not None:
                yield Entry(mailbox_id, uid, size, digest, unique)
            else:
                yield Entry(mailbox_id, uid, fresh_size if fresh else size, fresh or GONE, "-")


def write_beside(target: Path, octets: bytes) -> None:
    """A new file of the point, only for us: it may have hashes of passwords. Step: backup.directory."""
    with disk.failures(target):
        fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(fd, "wb") as file:
            file.write(octets)
            file.flush()
            disk.fsync(file.fileno(), "backup.directory")


def copy_index(source: Path, target: Path) -> None:
    """SQLite's online backup, in one read transaction: a moment of the index, writers go on. The copy is one file,
    without a log beside it. Step: backup.snapshot."""
    with (
        contextlib.closing(connect(source)) as original,
        contextlib.closing(connect(target)) as copy,
    ):
        copy.execute("PRAGMA synchronous=OFF")  # fsynced as a whole below
        original.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")
    with disk.failures(target):
        fd = os.open(target, os.O_RDONLY | os.O_CLOEXEC)
        try:
            disk.fsync(fd, "backup.snapshot")
        finally:
            os.close(fd)
