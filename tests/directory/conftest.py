"""A directory on each database that it can live in."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from mailplat.core.address import Address
from mailplat.core.clock import ManualClock
from mailplat.core.route import BackendHome, ShardHome
from mailplat.db import schema
from mailplat.db.engine import Database
from mailplat.directory import Account, Backend, Directory
from tests.postgres import create_database, postgres

__all__ = ["postgres"]


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the schema: made once, copied for each test."""
    path = tmp_path_factory.mktemp("template") / "platform.db"
    database = Database(f"sqlite:///{path}")
    schema.upgrade(database, "platform")
    database.close()
    return path


@pytest.fixture(scope="session")
def postgres_template(postgres: str) -> str:
    """The name of a database with the schema."""
    url = create_database(postgres)
    database = Database(url)
    schema.upgrade(database, "platform")
    database.close()
    name = make_url(url).database
    assert name
    return name


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "platform.db")
        url = f"sqlite:///{tmp_path}/platform.db"
    else:
        server = request.getfixturevalue("postgres")
        url = create_database(server, request.getfixturevalue("postgres_template"))
    opened = Database(url)
    yield opened
    opened.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def directory(database: Database, clock: ManualClock) -> Directory:
    """With the domain example.org and the backend "legacy"."""
    opened = Directory(database, clock)
    opened.add_domain("example.org")
    opened.add_backend(Backend("legacy", imap="127.0.0.1:143"))
    return opened


def address(text: str) -> Address:
    """ "anna" is anna@example.org."""
    local, _, domain = text.partition("@")
    return Address(local, domain or "example.org")


def add(directory: Directory, name: str, home: str = "s1") -> Account:
    where = BackendHome(home) if home == "legacy" else ShardHome(home)
    return directory.add_account(address(name), home=where)
