"""A real IMAP server on loopback over a real store in a temporary folder."""

import asyncio
import shutil
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import trustme

from mailplat.access.capture import Capture
from mailplat.access.forwarding import ForwardedSessions
from mailplat.access.imap import ImapLimits, ImapServer, Sharing
from mailplat.access.login import LoginService
from mailplat.bus import MemoryBus
from mailplat.core.address import Address
from mailplat.core.clock import SystemClock
from mailplat.core.executors import Executors
from mailplat.core.route import Residence, ShardHome
from mailplat.core.spool import Body
from mailplat.db import schema
from mailplat.db.engine import Database
from mailplat.directory import Directory
from mailplat.directory.credentials import Verifier
from mailplat.store import Shard, Store
from mailplat.store.types import Appended, NewMessage
from tests.access.imap.client import Client

PASSWORD = "secret"
DOMAIN = "example.test"


class Rig:
    """`server` with its store; `login` gives clients."""

    def __init__(
        self,
        folder: Path,
        limits: ImapLimits,
        tls: ssl.SSLContext | None,
        verifier: Verifier,
        across: bool = False,
        sharing: bool = True,
    ) -> None:
        self.folder = folder
        self.bus = MemoryBus()
        self.executors = Executors()
        clock = SystemClock()
        self.database = Database(f"sqlite:///{folder}/directory.db")
        self.directory = Directory(self.database)
        # The second one is opened by the tests that use it.
        self.store = Store({"s1": folder / "s1", "s2": folder / "s2"}, self.executors, self.bus)
        self.shard = self.store.shard("s1")
        self.forwarded = ForwardedSessions(self.directory, self.executors)
        self.capture = Capture(self.directory, self.executors)
        self.login_service = LoginService(
            self.directory,
            verifier,
            self.store,
            self.forwarded,
            self.capture,
            self.bus,
            self.executors,
            clock,
        )
        self.server = ImapServer(
            self.login_service,
            self.store,
            self.bus,
            self.executors,
            clock,
            limits,
            tls_context=tls,
            hostname="imap.example.test",
            plaintext_without_tls=tls is None,
            sharing=Sharing(self.directory, self.store, self.executors, clock, across=across)
            if sharing
            else None,
        )
        self.residence = self.add("user")
        self.clients: list[Client] = []
        self._listener: asyncio.Server | None = None

    def add(self, name: str, quota: int = 0, *, domain: str = DOMAIN, shard: str = "s1") -> Residence:
        """An account on our shard."""
        account = self.directory.add_account(
            Address(name, domain), home=ShardHome(shard), password_hash=f"{{PLAIN}}{PASSWORD}", quota=quota
        )
        residence = Residence(account.id, shard, self.directory.route(account.id).epoch)
        self.store.shard(shard).grant(account.id, residence.epoch)
        return residence

    @property
    def port(self) -> int:
        assert self._listener is not None
        return int(self._listener.sockets[0].getsockname()[1])

    async def start(self) -> None:
        self._listener = await asyncio.start_server(self.server.serve, "127.0.0.1", 0)

    async def connect(self) -> Client:
        client = await Client.connect(self.port)
        self.clients.append(client)
        return client

    async def login(self, select: str = "", name: str = "user") -> Client:
        client = await self.connect()
        await client.ok(f"LOGIN {name}@{DOMAIN} {PASSWORD}")
        if select:
            await client.ok(f"SELECT {select}")
        return client

    async def deliver(
        self,
        *messages: bytes,
        mailbox: str = "INBOX",
        flags: tuple[str, ...] = (),
        to: Residence | None = None,
        render_later: bool = False,
    ) -> list[Appended]:
        """As the delivery does it, behind the back of all clients."""
        new = [NewMessage(Body.of(message), flags=flags, render_later=render_later) for message in messages]
        return await self.store.append(to or self.residence, mailbox, new)

    async def stop(self) -> None:
        for client in self.clients:
            await client.close()
        await self.server.close()
        await self.login_service.enrolment.close()
        assert self._listener is not None
        self._listener.close()
        await self._listener.wait_closed()
        self.store.close()
        self.executors.close()
        self.database.close()


MakeRig = Callable[..., Awaitable[Rig]]


def message(subject: str = "Hello", text: str = "Text\r\n") -> bytes:
    return (
        f"From: Ann <ann@example.test>\r\nTo: bob@example.test\r\nSubject: {subject}\r\n"
        f"Date: Mon, 7 Feb 2022 21:52:25 -0800\r\nMessage-ID: <{subject}@example.test>\r\n\r\n{text}"
    ).encode()


@pytest.fixture(scope="session")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory and a shard with their schemas, and one domain: made once, copied for each test."""
    folder = tmp_path_factory.mktemp("blank")
    database = Database(f"sqlite:///{folder}/directory.db")
    schema.upgrade(database, "platform")
    Directory(database).add_domain(DOMAIN)
    database.close()
    Shard("s1", folder / "s1", MemoryBus()).close()
    return folder


@pytest.fixture(scope="session")
def verifier() -> Iterator[Verifier]:
    """One for all tests: it hashes a password when it is made."""
    executors = Executors()
    yield Verifier(executors)
    executors.close()


@pytest.fixture
async def rigs(tmp_path: Path, blank: Path, verifier: Verifier) -> AsyncIterator[MakeRig]:
    """Makes rigs: `await rigs(limits=..., tls=...)`."""
    made: list[Rig] = []

    async def make(
        limits: ImapLimits | None = None,
        tls: ssl.SSLContext | None = None,
        across: bool = False,
        sharing: bool = True,
    ) -> Rig:
        folder = tmp_path / f"rig{len(made)}"
        shutil.copytree(blank, folder)
        rig = Rig(folder, limits or ImapLimits(), tls, verifier, across, sharing)
        made.append(rig)
        await rig.start()
        return rig

    yield make
    for rig in made:
        await rig.stop()


@pytest.fixture
async def rig(rigs: MakeRig) -> Rig:
    return await rigs()


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
async def tls_rig(rigs: MakeRig, authority: trustme.CA) -> Rig:
    """With STARTTLS, and passwords under TLS only."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("imap.example.test", "127.0.0.1").configure_cert(context)
    return await rigs(tls=context)
