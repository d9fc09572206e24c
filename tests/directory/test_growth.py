"""No statement of a login, a look-up or a change of a route reads a table from end to end: what it costs would grow
with the number of accounts. SQLite is asked for its plans, without statistics as everywhere."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from mailplat.core.clock import ManualClock
from mailplat.core.route import RouteState
from mailplat.db.engine import Database
from mailplat.directory import Backend, Directory, routes
from mailplat.directory.shares import Shares
from tests.directory.conftest import add, address

# Tables that have one.
ONE_ROW = {"route_change", "CONSTANT ROW"}


@pytest.fixture
def directory(sqlite_template: Path, tmp_path: Path) -> Iterator[Directory]:
    shutil.copy(sqlite_template, tmp_path / "platform.db")
    database = Database(f"sqlite:///{tmp_path}/platform.db")
    directory = Directory(database, ManualClock())
    directory.add_domain("example.org")
    directory.add_backend(Backend("legacy", imap="127.0.0.1:143"))
    yield directory
    database.close()


def scans(database: Database, text: str, values: Any) -> list[str]:
    with database.read() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values).fetchall()
    found = [row[3].removeprefix("SCAN ") for row in plan if row[3].startswith("SCAN ")]
    return [each for each in found if each not in ONE_ROW]


def test_nothing_is_read_from_end_to_end(directory: Directory) -> None:
    ann = add(directory, "ann")
    moved = add(directory, "bob", "legacy")
    directory.add_alias("team@example.org", [address("ann"), address("bob")])
    database = directory.database
    heard: dict[str, Any] = {}

    def hear(_connection: Any, _cursor: Any, text: str, values: Any, _context: Any, many: bool) -> None:
        heard.setdefault(text, values[0] if many else values)

    sa.event.listen(database.engine, "before_cursor_execute", hear)
    for name in ("ann", "bob", "team", "nobody", "ann+tag"):
        directory.resolve(address(name))
        directory.login(str(address(name)))
    directory.account(address("ann"))
    directory.account_by_id(ann.id)
    directory.route(ann.id)
    directory.capture_password(moved, "{PLAIN}secret")
    directory.advance(directory.route(moved.id), RouteState.SEEDING)
    directory.backend("legacy")
    shares = Shares(database, directory.clock)
    shares.put(moved.id, ann.id)
    for across in (False, True):
        shares.owners(ann, across=across, limit=10)
        shares.owner(moved.address.key, ann, across=across)
    shares.keep(moved.id, [ann.id])
    with database.read() as connection:
        routes.changed_since(connection, routes.last_change(connection) - 1)
    sa.event.remove(database.engine, "before_cursor_execute", hear)
    asked = {text: values for text, values in heard.items() if not text.startswith("BEGIN")}
    assert len(asked) > 8
    assert scans(database, "SELECT id FROM account WHERE quota > ?", (1,)) == ["account"]
    assert [f"{bad}: {text}" for text, each in asked.items() if (bad := scans(database, text, each))] == []
