"""Houses for the tests of login, POP3 and proxy; IMAP's have their own."""

import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from mailplat.db import schema
from mailplat.db.engine import Database
from tests.access.house import House

MakeHouse = Callable[..., House]


@pytest.fixture(scope="session")
def platform_db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty platform database: made once, copied for each house."""
    path = tmp_path_factory.mktemp("template") / "platform.db"
    database = Database(f"sqlite:///{path}")
    schema.upgrade(database, "platform")
    database.close()
    return path


@pytest.fixture
async def houses(tmp_path: Path, platform_db: Path) -> AsyncIterator[MakeHouse]:
    """Makes houses: `houses(wait=..., tls=...)`."""
    made: list[House] = []

    def make(**options: Any) -> House:
        root = tmp_path / f"house{len(made)}"
        root.mkdir()
        made.append(House(root, platform_db, **options))
        return made[-1]

    yield make
    for house in made:
        await house.stop()


@pytest.fixture
async def house(houses: MakeHouse) -> House:
    return houses()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Files: certificate, key, and the authority that made them; for 127.0.0.1."""
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    made = authority.issue_cert("127.0.0.1", "localhost")
    paths = folder / "cert.pem", folder / "key.pem", folder / "ca.pem"
    made.cert_chain_pems[0].write_to_path(paths[0])
    made.private_key_pem.write_to_path(paths[1])
    authority.cert_pem.write_to_path(paths[2])
    return paths


@pytest.fixture
def server_tls(certificate: tuple[Path, Path, Path]) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate[0], certificate[1])
    return context


@pytest.fixture
def client_tls(certificate: tuple[Path, Path, Path]) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate[2]))
