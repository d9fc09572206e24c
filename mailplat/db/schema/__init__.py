"""Revisions of the two schemas, as Alembic scripts: `platform` and `shard`. Never called "migration" here.

    platform/versions, shard/versions   NUMBER_name.py, one revision a file, numbered in their order
    env.py, running.py                  Alembic's entry, and the call of it

`upgrade` brings a database to the newest revision; it is safe to call from several processes at once. Alembic is
loaded only where there is something to do: it takes half of the time in which a command starts.
"""

import fcntl
from pathlib import Path
from typing import Literal

import sqlalchemy as sa

from mailplat.core.errors import Unavailable
from mailplat.db.engine import Database

History = Literal["platform", "shard"]

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
    if path is None:
        running.upgrade(database, history)
        return
    with open(path.with_name(path.name + ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _lags(database, history):
            running.upgrade(database, history)


def _lags(database: Database, history: History) -> bool:
    here, ours = current(database), newest(history)
    if here is not None and here > ours:
        raise Unavailable(
            f"{database.path or 'the platform database'} has revision {here} of a later release; this one knows "
            f"up to {ours}: install that release again, or restore a backup taken before it"
        )
    return here != ours
