"""Statements of SQLite that a command waits for, run past SQLAlchemy: it makes an object of each result that knows
the names and types of its columns, which takes some 50 us, and the statement 5.

Within the transaction of a `Database` of SQLite; what the driver raises becomes ours where that ends.
"""

from collections.abc import Sequence
from typing import Any, cast

from sqlalchemy.engine import Connection

Row = tuple[Any, ...]


def fetch_all(connection: Connection, statement: str, values: Sequence[object] = ()) -> list[Row]:
    return cast(list[Row], _driver(connection).execute(statement, values).fetchall())


def fetch_one(connection: Connection, statement: str, values: Sequence[object] = ()) -> Row | None:
    """Of a statement that gives one row at most. None: it gave none."""
    rows = fetch_all(connection, statement, values)
    return rows[0] if rows else None


def change(connection: Connection, statement: str, *rows: Sequence[object]) -> None:
    """The statement once for each row of values."""
    if len(rows) == 1:
        _driver(connection).execute(statement, rows[0])
    else:
        _driver(connection).executemany(statement, rows)


def _driver(connection: Connection) -> Any:
    return connection.connection.driver_connection
