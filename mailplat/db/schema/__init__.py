"""Revisions of the two schemas, as Alembic scripts: `platform` and `shard`. Never called "migration" here.

`upgrade` brings a database to the newest revision; it is safe to call from several processes at once.
"""

import fcntl
from pathlib import Path
from typing import Literal

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from mailplat.db.engine import Database

History = Literal["platform", "shard"]


def _config(history: History) -> Config:
    config = Config()
    here = Path(__file__).parent
    config.set_main_option("script_location", str(here))
    config.set_main_option("version_locations", str(here / history / "versions"))
    config.set_main_option("path_separator", "os")
    return config


def newest(history: History) -> str:
    """The id of the newest revision of a history."""
    head = ScriptDirectory.from_config(_config(history)).get_current_head()
    assert head is not None, f"no revision in {history}"
    return head


def current(database: Database) -> str | None:
    """The id of the revision that a database has, None for an empty one."""
    with database.read() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def upgrade(database: Database, history: History) -> None:
    """Create or upgrade the schema. One process at a time: a lock file beside an SQLite file, an
    advisory lock in PostgreSQL (taken in env.py)."""
    if current(database) == newest(history):
        return
    path = database.path
    if path is None:
        _upgrade(database, history)
        return
    with open(path.with_name(path.name + ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if current(database) != newest(history):
            _upgrade(database, history)


def _upgrade(database: Database, history: History) -> None:
    config = _config(history)
    with database.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
