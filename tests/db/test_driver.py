"""Statements that go past SQLAlchemy: in its transactions, and with its errors made ours."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailplat.core.errors import DiskFull, Unavailable
from mailplat.db.driver import change, fetch_all, fetch_one
from mailplat.db.engine import Damaged, Database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with contextlib.closing(Database(f"sqlite:///{tmp_path}/x.db", busy_timeout=0.1)) as made:
        with made.write() as connection:
            change(connection, "CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT)", ())
        yield made


def test_rows_are_those_of_the_transaction(database: Database) -> None:
    with database.write() as connection:
        change(connection, "INSERT INTO t VALUES (?, ?)", (1, "one"))
        change(connection, "INSERT INTO t VALUES (?, ?)", (2, "two"), (3, "three"))
        change(connection, "INSERT INTO t VALUES (?, ?)")
        with database.read() as reader:
            assert fetch_all(reader, "SELECT * FROM t") == []
    with database.read() as connection:
        assert fetch_all(connection, "SELECT a, b FROM t ORDER BY a") == [
            (1, "one"),
            (2, "two"),
            (3, "three"),
        ]
        assert fetch_one(connection, "SELECT b FROM t WHERE a = ?", (2,)) == ("two",)
        assert fetch_one(connection, "SELECT b FROM t WHERE a = ?", (4,)) is None


def test_what_fails_is_rolled_back(database: Database) -> None:
    with pytest.raises(sqlite3.IntegrityError), database.write() as connection:
        change(connection, "INSERT INTO t VALUES (?, ?)", (1, "one"), (1, "again"))
    with database.read() as connection:
        assert fetch_all(connection, "SELECT * FROM t") == []


def test_a_lock_that_another_holds(database: Database) -> None:
    with database.write(), pytest.raises(Unavailable, match="locked"), database.write():
        pass


def test_a_full_disk(database: Database) -> None:
    with database.write() as connection:  # the next one to write gets the same connection
        change(connection, "PRAGMA max_page_count = 3", ())
    with pytest.raises(DiskFull), database.write() as connection:
        change(connection, "INSERT INTO t VALUES (?, ?)", *((n, "x" * 3000) for n in range(50)))


def test_a_damaged_page(tmp_path: Path, database: Database) -> None:
    with database.write() as connection:
        change(connection, "INSERT INTO t VALUES (?, ?)", *((n, "x" * 3000) for n in range(50)))
    database.close()
    with open(tmp_path / "x.db", "r+b") as file:
        for page in range(1, 20):
            file.seek(page * 4096)
            file.write(b"\xff" * 4096)
    with pytest.raises(Damaged), database.read() as connection:
        fetch_all(connection, "SELECT count(*), max(b) FROM t")
