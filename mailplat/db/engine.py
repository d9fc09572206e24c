"""The only dialect door: SQLite in WAL mode, or PostgreSQL through psycopg 3."""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.pool import ConnectionPoolEntry

from mailplat.core.errors import DiskFull, InDoubt, InvalidInput, Unavailable
from mailplat.db.driver import change

# How long a statement waits for another process's write lock before it is Unavailable. Long enough for a
# group commit of a slow disk, short enough that an SMTP client still gets its 451 before it gives up.
BUSY_TIMEOUT_S = 5.0

# Connections of one database in one process; more threads than this wait, at most POOL_TIMEOUT_S.
POOL_SIZE = 12
POOL_TIMEOUT_S = 5.0

# Pages of the write-ahead log after which SQLite checkpoints: 16 MiB. Rarer checkpoints, fewer fsyncs.
WAL_PAGES = 4096

# Octets that the log keeps. While somebody reads, SQLite can only make it longer; readers that always overlap would
# let it grow without end. `trim` then waits this long for them, and so do writers: seconds of waiting would be felt.
WAL_OCTETS = 64 * 1024 * 1024
TRIM_WAIT_S = 0.1

# Pages that each connection keeps in memory; the system's own cache is behind it. As much as this for each of the
# connections of a shard is what a process may come to hold: 28 of them make 112 MB.
CACHE_KIB = 4096

# Pages of a database that is derived: its rows are long, and a scan follows fewer pages. Its cache is the system's.
DERIVED_PAGE = 16_384
DERIVED_CACHE_KIB = 512

# What SQLite says of a file that something else wrote to.
_DAMAGED = ("file is not a database", "malformed")

_WRITE = "mailplat_write"


class Damaged(Unavailable):
    """An SQLite file that something else wrote to."""


class Database:
    """One database. `read()` and `write()` are the two ways in; both are for threads, not for the loop.

    `url` is an SQLAlchemy URL: sqlite:///relative/or/absolute.db (the folder must exist) or
    postgresql://user:password@host/name. Raises InvalidInput for any other scheme.

    `derived`: all in it can be made again. Commits of an SQLite file are then not durable at once (a power cut takes
    the last ones back, each whole), so that they do not come in the way of those that must be; what is deleted is
    overwritten; pages are large.

    `foreign`: another platform's. It is only read: a `write` fails, and nothing of an SQLite file is tuned.
    """

    def __init__(
        self,
        url: str | URL,
        *,
        busy_timeout: float = BUSY_TIMEOUT_S,
        pool_size: int = POOL_SIZE,
        derived: bool = False,
        foreign: bool = False,
    ) -> None:
        self.url = make_url(url)
        # For people; behind the ? there may be a password too.
        self.name = self.url.set(query={}).render_as_string(hide_password=True)
        self._busy_timeout = busy_timeout
        self.derived = derived
        self.dialect = self.url.get_backend_name()
        if self.dialect == "sqlite":
            if not self.url.database or self.url.database == ":memory:":
                raise InvalidInput("a database of sqlite needs a file: sqlite:///path/to/file.db")
            self.engine = sa.create_engine(
                _read_only(self.url) if foreign else self.url,
                pool_size=pool_size,
                max_overflow=0,
                pool_timeout=POOL_TIMEOUT_S,
                pool_use_lifo=True,  # the one used last: its cache is warm, and those of the others stay small
                connect_args={"isolation_level": None, "timeout": busy_timeout, "check_same_thread": False},
            )
            if not foreign:
                sa.event.listen(self.engine, "connect", _tune_derived if derived else _tune_sqlite)
            sa.event.listen(self.engine, "begin", _begin_sqlite)
        elif self.dialect == "postgresql":
            self.engine = sa.create_engine(
                self.url.set(drivername="postgresql+psycopg"),
                pool_size=pool_size,
                max_overflow=0,
                pool_timeout=POOL_TIMEOUT_S,
                pool_pre_ping=True,
                execution_options={"postgresql_readonly": foreign},
            )
        else:
            raise InvalidInput(f"database.url {self.url.drivername}: use sqlite:///FILE or postgresql://...")

    @property
    def path(self) -> Path | None:
        """The file of an SQLite database, None for PostgreSQL."""
        return Path(self.url.database) if self.dialect == "sqlite" and self.url.database else None

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """A snapshot for reading; nothing is kept. Raises Unavailable."""
        with _refusals(self), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """A write transaction: committed and durable when the block ends, rolled back when it raises.
        Raises Unavailable (locked longer than the busy timeout, server gone), DiskFull, and InDoubt when the commit
        itself failed: SQLite's log may have all of it, and whoever recovers that log after a crash takes it for
        committed, unless a later commit wrote over it. IntegrityError passes, its meaning is the caller's."""
        committing = False
        try:
            with (
                _refusals(self),
                self.engine.connect().execution_options(**{_WRITE: True}) as connection,
                connection.begin(),
            ):
                yield connection
                committing = True
        except DiskFull:  # the last page of the commit is not written, so that none counts
            raise
        except Unavailable as error:
            if committing:
                raise InDoubt(f"commit of {error}") from error
            raise

    def trim(self, most: int = WAL_OCTETS) -> bool:
        """Cut SQLite's log back where it has more octets than `most`. False where somebody still reads what it holds:
        call again later. Raises Unavailable, DiskFull."""
        if self.path is None or not self._log_exceeds(most):
            return True
        with _refusals(self), self.engine.connect() as connection:
            driver: Any = connection.connection.dbapi_connection
            driver.execute(f"PRAGMA busy_timeout={int(TRIM_WAIT_S * 1000)}")
            try:
                (busy, _, _) = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            except sqlite3.Error as error:
                raise Unavailable(f"{self.path}: {error}") from error
            finally:
                driver.execute(f"PRAGMA busy_timeout={int(self._busy_timeout * 1000)}")
        return not busy

    def _log_exceeds(self, most: int) -> bool:
        try:
            return os.stat(f"{self.path}-wal").st_size > most
        except FileNotFoundError:
            return False

    def last_number(self, connection: Connection, table: sa.Table) -> int:
        """The highest number that the column `id` of this table ever gave by itself, also to rows that are gone."""
        if self.dialect == "sqlite":
            query = sa.text("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = :name")
            return int(connection.execute(query, {"name": table.name}).scalar_one())
        sequence = self._sequence(connection, table)
        found = connection.exec_driver_sql(f"SELECT last_value, is_called FROM {sequence}").one()
        return int(found[0]) if found[1] else 0

    def skip_numbers(self, connection: Connection, table: sa.Table, last: int) -> None:
        """None up to `last` is given from now on. Rows may have been inserted with numbers of their own."""
        last = max(last, self.last_number(connection, table))
        if last and self.dialect == "sqlite":
            values = {"name": table.name, "last": last}
            query = sa.text("UPDATE sqlite_sequence SET seq = :last WHERE name = :name")
            if connection.execute(query, values).rowcount == 0:
                connection.execute(
                    sa.text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :last)"), values
                )
        elif last:
            connection.execute(
                sa.text("SELECT setval(CAST(:sequence AS regclass), :last)"),
                {"sequence": self._sequence(connection, table), "last": last},
            )

    @staticmethod
    def _sequence(connection: Connection, table: sa.Table) -> str:
        query = sa.text("SELECT pg_get_serial_sequence(:name, 'id')")
        return str(connection.execute(query, {"name": table.name}).scalar_one())

    def close(self) -> None:
        """Its connections; a later read or write opens new ones."""
        self.engine.dispose()


def lend(url: str | URL, pool_size: int) -> sa.Engine:
    """For a library with tables of its own, none of which anybody would miss: a commit is not durable at once. It
    must not be handed a database's own engine, whose transactions of SQLite begin as `Database` says; here the driver
    begins them, each that writes with the lock."""
    url = make_url(url)
    if url.get_backend_name() == "postgresql":
        return sa.create_engine(
            url.set(drivername="postgresql+psycopg"),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=POOL_TIMEOUT_S,
            pool_pre_ping=True,
            connect_args={"options": "-c synchronous_commit=off"},
        )
    engine = sa.create_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT_S,
        connect_args={"isolation_level": "IMMEDIATE", "timeout": BUSY_TIMEOUT_S, "check_same_thread": False},
    )
    sa.event.listen(engine, "connect", _tune_lent)
    return engine


@contextlib.contextmanager
def _refusals(database: Database) -> Iterator[None]:
    name = database.name
    try:
        yield
    except sa.exc.IntegrityError:
        raise
    except sa.exc.TimeoutError as error:
        raise Unavailable(f"{name}: all {POOL_SIZE} connections are busy") from error
    except (sa.exc.OperationalError, sa.exc.InternalError, sqlite3.OperationalError) as error:
        cause = error if isinstance(error, sqlite3.Error) else error.orig
        if "database or disk is full" in str(cause):
            raise DiskFull(f"{name}: disk is full") from error
        if "readonly database" in str(cause):  # opened while its disk was read-only, it would stay so
            database.close()
        raise Unavailable(f"{name}: {cause}") from error
    except (sa.exc.DatabaseError, sqlite3.DatabaseError) as error:
        cause = error if isinstance(error, sqlite3.Error) else error.orig
        if not any(words in str(cause) for words in _DAMAGED):
            raise
        cure = (
            "It can be removed: it is made anew"
            if database.derived
            else "Restore it from a backup; the index of a shard can also be made again from its files:"
            " mailplat shard rebuild"
        )
        raise Damaged(f"{name}: {cause}. {cure}") from error


def _read_only(url: URL) -> URL:
    """Of a file that must not be changed: no journal of another kind, and none made where there was none."""
    return url.set(database=f"file:{quote(url.database or '')}", query={"mode": "ro", "uri": "true"})


def _tune_sqlite(connection: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
    _tune(
        connection,
        "journal_mode=WAL",
        "synchronous=FULL",  # a commit that returned survives power loss: the 250 rests on it
        "foreign_keys=ON",
        f"wal_autocheckpoint={WAL_PAGES}",
        f"cache_size=-{CACHE_KIB}",
    )


def _tune_derived(connection: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
    _tune(
        connection,
        f"page_size={DERIVED_PAGE}",  # before the file is made
        "journal_mode=WAL",
        "synchronous=NORMAL",
        "secure_delete=ON",
        f"wal_autocheckpoint={WAL_PAGES * 4096 // DERIVED_PAGE}",
        f"cache_size=-{DERIVED_CACHE_KIB}",
    )


def _tune_lent(connection: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
    _tune(connection, "journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON")


def _tune(connection: sqlite3.Connection, *pragmas: str) -> None:
    cursor = connection.cursor()
    for pragma in (*pragmas, f"journal_size_limit={WAL_OCTETS}", "temp_store=MEMORY"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    options: dict[str, Any] = dict(connection.get_execution_options())
    change(connection, "BEGIN IMMEDIATE" if options.get(_WRITE) else "BEGIN", ())
