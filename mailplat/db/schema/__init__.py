"""Revisions of the two schemas, as Alembic scripts: `platform` and `shard`. Never called "migration" here.

    platform/versions, shard/versions   NUMBER_name.py, one revision a file, numbered in their order
    env.py, running.py                  Alembic's entry, and the call of it

`upgrade` brings a database to the newest revision; it is safe to call from several processes at once. Alembic is
loaded only where there is something to do: it takes half of the time in which a command starts.
"""

import contextlib
import fcntl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import sqlalchemy as sa

from mailplat.core.errors import Unavailable
from mailplat.db.engine import Database

History = Literal["platform", "shard"]

# Alembic keeps what it works on in variables of its modules: two threads would write one database's tables into the
# other's.
_alembic = threading.Lock()

# Longer than a new column takes in a large index.
UPGRADE_PATIENCE_S = 60.0

_VERSION = sa.table("alembic_version", sa.column("version_num"))


def newest(history: History) -> str:
    """The id of the newest revision of a history."""
    versions = Path(__file__).parent / history / "versions"
    return max(file.name for file in versions.glob("[0-9]*.py")).partition("_")[0]


def current(database: Database) -> str | None:
    """The id of the revision that a database has, None for an empty one."""
    with database.read() as connection:
        if not sa.inspect(connection).has_table(_VERSION.name):
            return None
        found: str | None = connection.execute(sa.select(_VERSION.c.version_num)).scalar()
        return found


def upgrade(database: Database, history: History) -> None:
    """Create or upgrade the schema. One process at a time: a lock file beside an SQLite file, an
    advisory lock in PostgreSQL (taken in env.py). Raises Unavailable for a schema of a later release: what its
    columns mean is not known here."""
    if not _lags(database, history):
        return
    from mailplat.db.schema import running

    path = database.path
    with _alone(database):
        if path is None:
            running.upgrade(database, history)
            return
        with open(path.with_name(path.name + ".lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if _lags(database, history):
                running.upgrade(database, history)


@contextlib.contextmanager
def _alone(database: Database) -> Iterator[None]:
    """Raises Unavailable where another upgrade of this process does not come to its end, on a disk that stalls."""
    if not _alembic.acquire(timeout=UPGRADE_PATIENCE_S):
        raise Unavailable(f"{database.path}: waits for the upgrade of another database; try again")
    try:
        yield
    finally:
        _alembic.release()


def _lags(database: Database, history: History) -> bool:
    here, ours = current(database), newest(history)
    if here is not None and here > ours:
        raise Unavailable(
            f"{database.path or 'the platform database'} has revision {here} of a later release; this one knows "
            f"up to {ours}: install that release again, or restore a backup taken before it"
        )
    return here != ours
