"""What the one dialect door makes of a database that cannot answer."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from mailplat.core.errors import Unavailable
from mailplat.db.engine import Database


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"this was written by something else\n" * 200)
    database = Database(f"sqlite:///{tmp_path}/x.db")
    with pytest.raises(Unavailable, match=r"x\.db: file is not a database.*shard rebuild"), database.read():
        pass
    database.close()


def test_a_database_with_a_damaged_page(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/x.db")
    with database.write() as connection:
        connection.exec_driver_sql("CREATE TABLE t (a TEXT)")
        connection.exec_driver_sql("INSERT INTO t VALUES (?)", [("x" * 3000,) for _ in range(50)])
    database.close()
    with open(tmp_path / "x.db", "r+b") as file:
        for page in range(1, 20):
            file.seek(page * 4096)
            file.write(b"\xff" * 4096)
    again = Database(f"sqlite:///{tmp_path}/x.db")
    with pytest.raises(Unavailable, match=r"x\.db: .*malformed"), again.read() as connection:
        connection.exec_driver_sql("SELECT count(*), max(a) FROM t").fetchall()
    again.close()


def test_a_mistake_of_ours_is_not_called_a_damage(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/x.db")
    with pytest.raises(sa.exc.ProgrammingError), database.read() as connection:
        connection.exec_driver_sql("SELECT ?", (1, 2))
    database.close()


def test_a_database_that_was_opened_while_its_disk_was_read_only(tmp_path: Path) -> None:
    """SQLite keeps such a connection read-only for ever: it must not stay in the pool."""
    database = Database(f"sqlite:///{tmp_path / 'database.db'}", pool_size=1)
    with database.write() as connection:
        connection.exec_driver_sql("CREATE TABLE thing (id INTEGER)")
    with database.read() as connection:
        connection.exec_driver_sql("PRAGMA query_only = ON")
    with pytest.raises(Unavailable), database.write() as connection:
        connection.exec_driver_sql("INSERT INTO thing VALUES (1)")
    with database.write() as connection:
        connection.exec_driver_sql("INSERT INTO thing VALUES (2)")
    database.close()


def test_a_log_that_a_reader_made_long_is_cut_back(tmp_path: Path) -> None:
    """While somebody reads, SQLite can only make its log longer."""
    most = 256 * 1024
    log = tmp_path / "database.db-wal"
    database = Database(f"sqlite:///{tmp_path / 'database.db'}")

    def write(first: int) -> None:
        for number in range(first, first + 20):
            with database.write() as connection:
                connection.exec_driver_sql("INSERT INTO thing VALUES (?, ?)", (number, b"x" * 100_000))

    with database.write() as connection:
        connection.exec_driver_sql("CREATE TABLE thing (id INTEGER, octets BLOB)")
    with database.read() as reader:
        assert reader.exec_driver_sql("SELECT count(*) FROM thing").scalar() == 0
        write(0)
        assert not database.trim(most)
        write(20)
        assert log.stat().st_size > 40 * 100_000
        assert reader.exec_driver_sql("SELECT count(*) FROM thing").scalar() == 0
    assert database.trim(most)
    assert log.stat().st_size <= most
    write(40)
    with database.read() as reader:
        assert reader.exec_driver_sql("SELECT count(*) FROM thing").scalar() == 60
    database.close()
