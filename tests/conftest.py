"""For all tests: Alembic makes the tables of a new SQLite database once for each process of the suite. The next ones
get the same by the statements that the first one ended with; the revisions themselves are tested in tests/db."""

import sqlite3
from collections.abc import Iterator

import pytest

from mailplat.db import schema
from mailplat.db.engine import Database
from mailplat.db.schema import running

by_alembic = running.upgrade
_statements: dict[str, list[str]] = {}


def _upgrade(database: Database, history: schema.History) -> None:
    if database.path is None or schema.current(database) is not None:
        by_alembic(database, history)
        return
    known = _statements.get(history)
    if known is not None:
        with database.write() as connection:
            for statement in known:
                connection.exec_driver_sql(statement)
        return
    by_alembic(database, history)
    with sqlite3.connect(database.path) as made:
        _statements[history] = list(made.iterdump())[1:-1]  # but BEGIN and COMMIT
    made.close()


@pytest.fixture(autouse=True, scope="session")
def _tables_by_statements() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "upgrade", _upgrade)
        yield
