"""Which shard a directory holds, and whether its index is as new as its files.

    shard.json         identity (chance), name, the platform it belongs to, serial
    table `shard`      the same in the index, but for the name
    platform database  name -> identity of each shard that was ever made (the directory's ShardRegister)

A process raises the serial before its first write, and before a later one when the last raise is older than
limits.serial_seconds: first in the index, in a commit of its own, then in the file, then comes the write. An index
with a lower serial than the file is therefore a copy from before some write: UIDs that it would give were given.
It is recognised for sure when it lacks a write that came more than serial_seconds after the copy was taken, or one
of another process than wrote before it; what a younger copy lacks is less than a minute's mail, and verify finds it
by the ceilings in mailplat-mailbox.json.

What is found when a shard is opened                                     and then
    nothing at all, and the platform never had this shard                it is made
    nothing at all, and the platform knows the shard                     ABSENT: the disk is not mounted
    another identity, or another platform's                              FOREIGN_SHARD
    no index (or an empty one) beside shard.json, accounts or a vault    MISSING
    an index that SQLite cannot read                                     DAMAGED
    an index of another identity                                         FOREIGN_INDEX
    an index with a lower serial, or of before shard.json was there      OLDER
    an index that has a row, without shard.json                          UNMARKED
    all the same, or an index with a higher serial                       it is opened
    an index without a row and shard.json absent or with serial 1        it gets both: it is new, or of an earlier
                                                                         release
Nothing that is refused is changed, but for the revision of an index. `shard rebuild` heals all but ABSENT and
FOREIGN_SHARD, which an admin decides (`shard adopt`). A shard that was copied back whole, files and index of one
moment, is consistent and is opened. While a rebuild runs the file is ahead, so that nobody opens what one that was
cut short leaves.

What is true after a crash behind each step; tests/store/test_crash.py walks the table
    shardfile.write .. .dirsync (first)   shard.json with serial 1, and no row: the next opening finishes it
    index.commit (first)     both say 1
    serial.commit            the index is ahead of the file: newer, so it is opened
    shardfile.write .. .dirsync   both say the same, or the index is ahead; the write that it was raised for never
                             began. Of a rebuild: the file is ahead, the shard is refused until the next one
The file is written under the index's write lock, after the commit of the serial that it says: two processes cannot
turn it back, and it is never ahead of the index.
"""

import contextlib
import fcntl
import json
import os
import secrets
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from sqlalchemy.engine import URL, Connection

from mailplat.core import disk
from mailplat.core.errors import Unavailable
from mailplat.db import schema
from mailplat.db.engine import Damaged, Database

SHARD_FILE = "shard.json"
INDEX_FILE = "index.db"
LOCK = "shard.lock"
FORMAT = 1

# Kinds of refusals; the words are stable, monitors may look for them.
ABSENT = "shard-absent"
FOREIGN_SHARD = "shard-foreign"
MISSING = "index-missing"
DAMAGED = "index-damaged"
FOREIGN_INDEX = "index-foreign"
OLDER = "index-older"
UNMARKED = "shard-unmarked"

_FIRST = 1


class Refused(Unavailable):
    """A shard that must not be opened as it is. `kind` is one of the words above."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind

    @property
    def place(self) -> str:
        """Relative to the shard."""
        if self.kind == UNMARKED:
            return SHARD_FILE
        return "." if self.kind in (ABSENT, FOREIGN_SHARD) else INDEX_FILE


@dataclass(frozen=True, slots=True)
class Identity:
    identity: str
    platform: str
    serial: int


@dataclass(frozen=True, slots=True)
class Expected:
    """What the platform knows of a shard; "" is nothing, and then nothing is compared."""

    platform: str = ""
    identity: str = ""


class Registry(Protocol):
    """Where a platform keeps which shards it has made."""

    def expected(self, name: str) -> tuple[str, str]:
        """The platform's own identity, and the shard's, "" where it was never made. Raises Unavailable."""

    def register(self, name: str, identity: str) -> None:
        """Raises Unavailable, also where the name has another identity by now."""


def read_file(path: Path) -> Identity | None:
    """What shard.json in the shard `path` says, None where it is absent or cannot be understood."""
    try:
        with disk.failures(path):
            content = json.loads((path / SHARD_FILE).read_bytes())
        return Identity(str(content["identity"]), str(content["platform"]), int(content["serial"]))
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        return None


def write_file(path: Path, name: str, identity: Identity) -> None:
    content = {
        "format": FORMAT,
        "name": name,
        "identity": identity.identity,
        "platform": identity.platform,
        "serial": identity.serial,
    }
    disk.write_file(path / SHARD_FILE, json.dumps(content, indent=1).encode() + b"\n", "shardfile")


def read_row(connection: Connection) -> Identity | None:
    row = connection.exec_driver_sql("SELECT identity, platform, serial FROM shard").fetchone()
    return None if row is None else Identity(*row)


def write_row(connection: Connection, identity: Identity) -> None:
    connection.exec_driver_sql("DELETE FROM shard")
    connection.exec_driver_sql(
        "INSERT INTO shard (identity, platform, serial) VALUES (?, ?, ?)",
        (identity.identity, identity.platform, identity.serial),
    )


def check_place(name: str, path: Path, expected: Expected) -> None:
    """Before anything in `path` is touched. Raises Refused."""
    said = read_file(path)
    if said is None and expected.identity and not (path / INDEX_FILE).exists() and not has_mail(path):
        raise Refused(
            ABSENT,
            f"shard {name}: {path} is empty, but this platform has kept mail there; mount its disk, or bring it back "
            f"with `mailplat shard restore`, or begin again with `mailplat shard adopt {name} --empty`",
        )
    if said is None:
        return
    if expected.identity and said.identity != expected.identity:
        raise Refused(
            FOREIGN_SHARD,
            f"shard {name}: {path} holds another shard ({said.identity}, not {expected.identity}); mount the right "
            f"disk, or take this one with `mailplat shard adopt {name}`",
        )
    if expected.platform and said.platform and said.platform != expected.platform:
        raise Refused(
            FOREIGN_SHARD,
            f"shard {name}: {path} belongs to another platform ({said.platform}); two must never write one shard. If "
            f"that one is gone for good, take it with `mailplat shard adopt {name}`",
        )


def has_mail(path: Path) -> bool:
    """Whether there is an account or a vault."""
    with disk.failures(path):
        for room in ("accounts", "vault"):
            with contextlib.suppress(FileNotFoundError), os.scandir(path / room) as entries:
                if any(True for _ in entries):
                    return True
    return False


def check_index(name: str, path: Path, database: Database) -> None:
    """Whether the index belongs to the files beside it; brings one that does to the newest revision. Raises Refused,
    Unavailable."""
    said = read_file(path)
    cure = f"stop `mailplat serve`, then `mailplat shard rebuild {name}`"
    index = path / INDEX_FILE
    try:
        blank = not index.exists() or schema.current(database) is None
    except Damaged as error:
        raise Refused(DAMAGED, f"shard {name}: {error}") from error
    if blank and (said is not None or has_mail(path)):
        raise Refused(MISSING, f"shard {name}: {index} is missing, and there is mail: {cure}")
    schema.upgrade(database, "shard")
    with database.read() as connection:
        row = read_row(connection)
    if row is None:
        if said is not None and said.serial > _FIRST:
            raise Refused(OLDER, f"shard {name}: {index} is of an earlier release: {cure}")
    elif said is None:
        raise Refused(UNMARKED, f"shard {name}: {path / SHARD_FILE} is missing: {cure}")
    elif row.identity != said.identity:
        raise Refused(
            FOREIGN_INDEX,
            f"shard {name}: {index} is of another shard ({row.identity}, not {said.identity}): {cure}",
        )
    elif row.serial < said.serial:
        raise Refused(
            OLDER,
            f"shard {name}: {index} is older than the files beside it (serial {row.serial}, not {said.serial}); UIDs "
            f"that it would give were given already: {cure}",
        )


class Seal:
    """The serial of an open shard, and its index's file."""

    def __init__(self, name: str, path: Path, database: Database, expected: Expected, every: float) -> None:
        """`every`: seconds (limits.serial_seconds)."""
        self._name = name
        self._path = path
        self._database = database
        self._expected = expected
        self._every = every
        self._due = 0.0
        self._inode = 0
        self.identity = ""

    def introduce(self) -> None:
        """A shard that was opened has a row and a file from now on. Raises Unavailable, DiskFull."""
        with self._database.read() as connection:
            row = read_row(connection)
        if row is None:
            with self._database.write() as connection:
                row = read_row(connection)
                if row is None:
                    row = read_file(self._path) or Identity(
                        self._expected.identity or secrets.token_hex(16), self._expected.platform, _FIRST
                    )
                    write_file(self._path, self._name, row)
                    write_row(connection, row)
        self.identity = row.identity
        self._inode = self._stat()

    def renew(self) -> None:
        """Called before each write by the one thread that writes. Raises Unavailable, DiskFull."""
        if time.monotonic() < self._due:
            return
        self.check()
        with self._database.write() as connection:
            row = read_row(connection)
            if row is None or row.identity != self.identity:
                raise Unavailable(f"{self._path / INDEX_FILE}: another index than was opened")
            platform = self._expected.platform or row.platform
            write_row(connection, replace(row, platform=platform, serial=row.serial + 1))
        disk.step("serial.commit")
        self._write_file()
        self._due = time.monotonic() + self._every

    def _write_file(self) -> None:
        """Under the write lock, so that nobody has raised it further who wrote the file before us."""
        with self._database.write() as connection:
            row = read_row(connection)
            assert row is not None
            write_file(self._path, self._name, row)

    def check(self) -> None:
        """That the index is still the file that was opened: rows that go into one that was removed are lost. Raises
        Unavailable."""
        if self._stat() != self._inode:
            raise Unavailable(
                f"{self._path / INDEX_FILE} was removed or replaced while it was in use; stop `mailplat serve`, then "
                f"see `mailplat shard verify {self._name}`"
            )

    def _stat(self) -> int:
        try:
            with disk.failures(self._path):
                return os.stat(self._path / INDEX_FILE).st_ino
        except FileNotFoundError:
            return 0

    def close(self) -> None:
        """Before a rebuild: from now on the file is ahead of the index, which is refused until `start_anew`."""
        with self._database.read() as connection:
            row = read_row(connection)
        said = read_file(self._path)
        known = [each for each in (said, row) if each is not None]
        identity = self._expected.identity or (known[0].identity if known else secrets.token_hex(16))
        platform = self._expected.platform or (known[0].platform if known else "")
        serial = max((each.serial for each in known), default=_FIRST) + 1
        write_file(self._path, self._name, Identity(identity, platform, serial))

    def start_anew(self) -> None:
        """After a rebuild: the index is as new as the file."""
        said = read_file(self._path)
        assert said is not None, "close() comes first"
        with self._database.write() as connection:
            write_row(connection, said)
        self.identity = said.identity
        self._inode = self._stat()


def adopt(name: str, path: Path, platform: str) -> str:
    """The shard in `path` belongs to `platform` from now on. Returns its identity. Raises Refused where there is
    none, Unavailable while anybody has it open."""
    said = read_file(path)
    if said is None:
        raise Refused(ABSENT, f"shard {name}: {path} has no {SHARD_FILE}; is its disk mounted?")
    with disk.failures(path), open(path / LOCK, "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Unavailable(f"shard {name} is in use ({path}): stop whoever has it open first") from error
        write_file(path, name, replace(said, platform=platform))
    return said.identity


def carry_over(old: Path, new: Path, name: str) -> None:
    """The shard in `new`, an index of the past, becomes the one in `old`, as far as that can still be asked; its
    serial is above every one that was there. For a restore."""
    database = Database(URL.create("sqlite", database=str(new / INDEX_FILE)))
    try:
        schema.upgrade(database, "shard")
        with database.write() as connection:
            row, said = read_row(connection), read_file(old)
            known = [each for each in (said, row) if each is not None]
            if known:
                became = replace(known[0], serial=max(each.serial for each in known) + 1)
                write_row(connection, became)
                write_file(new, name, became)
    finally:
        database.close()
