"""Revisions of both schemas: which one is the newest, and a database that a later release has changed."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory

from mailplat.core.errors import Unavailable
from mailplat.db import schema
from mailplat.db.engine import Database
from mailplat.db.schema import History, running

HISTORIES: list[History] = ["platform", "shard"]


@pytest.mark.parametrize("history", HISTORIES)
def test_the_newest_is_alembics_head(history: History) -> None:
    assert schema.newest(history) == ScriptDirectory.from_config(running.config(history)).get_current_head()


@pytest.mark.parametrize("history", HISTORIES)
def test_an_empty_database_is_brought_to_the_newest(history: History, tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/x.db")
    assert schema.current(database) is None
    schema.upgrade(database, history)
    assert schema.current(database) == schema.newest(history)
    schema.upgrade(database, history)
    database.close()


def test_a_database_of_a_later_release_is_left_alone(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/x.db")
    schema.upgrade(database, "shard")
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9000'")
    with pytest.raises(Unavailable, match=r"x\.db has revision 9000 of a later release"):
        schema.upgrade(database, "shard")
    assert schema.current(database) == "9000"
    database.close()


def test_several_databases_at_once(tmp_path: Path) -> None:
    """As the threads of a process open its shards."""
    databases = [Database(f"sqlite:///{tmp_path}/{number}.db") for number in range(6)]
    with ThreadPoolExecutor(len(databases)) as threads:
        list(threads.map(lambda database: schema.upgrade(database, "shard"), databases))
    for database in databases:
        assert schema.current(database) == schema.newest("shard")
        with database.read() as connection:
            assert sa.inspect(connection).has_table("quota_warning")
        database.close()
