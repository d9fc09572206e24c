"""known.db: which object the octets of a file are, by the unique part of its name.

A row is true for ever: the unique part stands for the octets, and the object was on disk before the row was
committed. It is a plain SQLite file of the backup and no database of the platform, so that db/engine.py has no
part in it; neither has it in the copied indexes, which are read through the same connection.
"""

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

from mailplat.core import disk
from mailplat.core.errors import DiskFull, Unavailable
from mailplat.store.backup.manifest import GONE, Manifest
from mailplat.store.backup.repository import Repository

NAME = "known.db"

_BUSY_MS = 10_000

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS known (key TEXT PRIMARY KEY, size INTEGER NOT NULL, digest TEXT NOT NULL)"
    " WITHOUT ROWID"
)


@contextlib.contextmanager
def refusals(what: Path) -> Iterator[None]:
    """Turn SQLite's refusals into ours."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        kind = DiskFull if "full" in str(error) else Unavailable
        raise kind(f"{what}: {error}") from error


def connect(path: Path | None, **databases: str) -> sqlite3.Connection:
    """A connection to `path`, None for a temporary file, with other databases attached by name (URIs)."""
    location = "" if path is None else f"file:{quote(str(path))}"
    connection = sqlite3.connect(location, uri=True, isolation_level=None)
    connection.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
    for name, uri in databases.items():
        connection.execute(f"ATTACH DATABASE ? AS {name}", (uri,))
    return connection


def live(path: Path) -> str:
    """The URI of an index that others write to."""
    return f"file:{quote(str(path))}?mode=ro"


def still(path: Path) -> str:
    """The URI of an index that nobody writes to."""
    return f"file:{quote(str(path))}?immutable=1"


@contextlib.contextmanager
def open_known(repository: Repository, **databases: str) -> Iterator[sqlite3.Connection]:
    """Made from the manifests where it is absent or cannot be read."""
    path = repository.path / NAME
    with refusals(path):
        try:
            connection = _open(path, databases)
        except sqlite3.DatabaseError:
            for suffix in ("", "-wal", "-shm"):
                path.with_name(NAME + suffix).unlink(missing_ok=True)
            connection = _open(path, databases)
        try:
            (filled,) = connection.execute("SELECT EXISTS (SELECT 1 FROM known)").fetchone()
            if not filled:
                _fill(repository, connection)
            yield connection
        finally:
            connection.close()


def _open(path: Path, databases: dict[str, str]) -> sqlite3.Connection:
    connection = connect(path, **databases)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")  # losing rows costs reading, nothing else
        connection.execute(_SCHEMA)
    except BaseException:
        connection.close()
        raise
    return connection


def _fill(repository: Repository, connection: sqlite3.Connection) -> None:
    for point in repository.points():
        rows = (
            (entry.unique, entry.size, entry.digest)
            for entry in Manifest(point.manifest).entries()
            if entry.unique != "-" and entry.digest != GONE and repository.object(entry.digest).exists()
        )
        remember(connection, rows)


def remember(connection: sqlite3.Connection, rows: Iterable[tuple[str, int, str]]) -> None:
    """(unique part, size, digest) of files whose objects are on disk. Step: backup.known."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.executemany("INSERT OR REPLACE INTO known (key, size, digest) VALUES (?, ?, ?)", rows)
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
    disk.step("backup.known")
