"""A group of writes of which one fails: which of them are tried again, and which may not be."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import Connection

from mailplat.core.errors import InDoubt, NotFound
from mailplat.db.engine import Database
from mailplat.db.writer import GroupWriter

Writer = GroupWriter[list[BaseException], int]


class Attempts:
    """A work is a list of what it raises, one for each attempt; then it inserts."""

    def __init__(self, path: Path) -> None:
        self.begun = threading.Event()
        self.database = Database(f"sqlite:///{path}")
        with self.database.write() as connection:
            connection.exec_driver_sql("CREATE TABLE thing (id INTEGER PRIMARY KEY)")
        self.writer: Writer = GroupWriter(self.database, self.apply, prepare=lambda _: self.begun.set())

    def apply(self, connection: Connection, work: list[BaseException]) -> int:
        if work:
            raise work.pop()
        return connection.exec_driver_sql("INSERT INTO thing DEFAULT VALUES").lastrowid

    def together(self, *works: list[BaseException]) -> list[int | BaseException]:
        """In one group: all are submitted while the write lock is somebody else's."""
        self.begun.clear()
        with self.database.write():
            first = self.writer.submit([])
            self.begun.wait()
            futures = [self.writer.submit(work) for work in works]
        first.result()
        return [future.exception() or future.result() for future in futures]

    def rows(self) -> int:
        with self.database.read() as connection:
            return int(connection.exec_driver_sql("SELECT count(*) FROM thing").scalar_one())


@pytest.fixture
def attempts(tmp_path: Path) -> Iterator[Attempts]:
    made = Attempts(tmp_path / "database.db")
    yield made
    made.writer.close()
    made.database.close()


def test_one_work_at_fault_fails_alone(attempts: Attempts) -> None:
    broken, whole = attempts.together([NotFound("gone"), NotFound("gone")], [])
    assert isinstance(broken, NotFound)
    assert isinstance(whole, int)
    assert attempts.rows() == 2


def test_after_a_failed_fsync_nobody_tries_again(attempts: Attempts) -> None:
    """The second fsync would succeed, and prove nothing."""
    failed = attempts.together([InDoubt("fsync")], [])
    assert [type(each) for each in failed] == [InDoubt, InDoubt]
    assert attempts.rows() == 1
    assert attempts.together([])[0] == 3, "the next one is a new one"
