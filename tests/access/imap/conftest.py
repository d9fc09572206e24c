"""A real IMAP server on loopback over a real store in a temporary folder."""

import asyncio
import itertools
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from mailplat.access.imap import ImapLimits, ImapServer
from mailplat.access.login import AuthenticationFailed, Serve
from mailplat.bus import MemoryBus
from mailplat.core.address import Address
from mailplat.core.clock import SystemClock
from mailplat.core.envelope import Peer
from mailplat.core.executors import Executors
from mailplat.core.route import Residence, Route, RouteState, ShardHome
from mailplat.core.spool import Body
from mailplat.directory import Account
from mailplat.store import Shard, Store
from mailplat.store.types import Appended, NewMessage
from tests.access.imap.client import Client

PASSWORD = "secret"


class Accounts:
    """The login door, without its waiting room: names and one password."""

    def __init__(self, shard: Shard) -> None:
        self._shard = shard
        self._granted: dict[str, Serve] = {}
        self.error: Exception | None = None  # raised instead of an answer

    def add(self, name: str, quota: int = 0) -> Serve:
        number = len(self._granted) + 1
        account = Account(number, Address(name, "example.test"), "", quota, True)
        self._shard.grant(number, 1)
        serve = Serve(account, Residence(number, self._shard.name, 1))
        self._granted[name] = serve
        return serve

    async def login(self, name: str, password: str, peer: Peer, protocol: str) -> Serve:
        if self.error is not None:
            raise self.error
        granted = self._granted.get(name)
        if granted is None or password != PASSWORD:
            raise AuthenticationFailed(name)
        return granted


class Rig:
    """`server` with its store; `login` gives clients."""

    def __init__(self, folder: Path, limits: ImapLimits, tls: ssl.SSLContext | None) -> None:
        self.bus = MemoryBus()
        self.executors = Executors()
        folder.mkdir()
        self.store = Store({"s1": folder}, self.executors, self.bus)
        self.shard = self.store.shard("s1")
        self.accounts = Accounts(self.shard)
        self.user = self.accounts.add("user")
        self.server = ImapServer(
            self.accounts,  # type: ignore[arg-type]
            self.store,
            self.bus,
            self.executors,
            SystemClock(),
            limits,
            tls_context=tls,
            hostname="imap.example.test",
            plaintext_without_tls=tls is None,
        )
        self.clients: list[Client] = []
        self._listener: asyncio.Server | None = None

    @property
    def residence(self) -> Residence:
        return self.user.residence

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
        await client.ok(f"LOGIN {name} {PASSWORD}")
        if select:
            await client.ok(f"SELECT {select}")
        return client

    async def deliver(
        self, *messages: bytes, mailbox: str = "INBOX", flags: tuple[str, ...] = ()
    ) -> list[Appended]:
        """As the delivery does it, behind the back of all clients."""
        new = [NewMessage(Body.of(message), flags=flags) for message in messages]
        return await self.store.append(self.residence, mailbox, new)

    async def stop(self) -> None:
        for client in self.clients:
            await client.close()
        await self.server.close()
        assert self._listener is not None
        self._listener.close()
        await self._listener.wait_closed()
        self.store.close()
        self.executors.close()


def message(subject: str = "Hello", text: str = "Text\r\n") -> bytes:
    return (
        f"From: Ann <ann@example.test>\r\nTo: bob@example.test\r\nSubject: {subject}\r\n"
        f"Date: Mon, 7 Feb 2022 21:52:25 -0800\r\nMessage-ID: <{subject}@example.test>\r\n\r\n{text}"
    ).encode()


_folders = itertools.count()


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    made = Rig(tmp_path / f"shard{next(_folders)}", ImapLimits(), None)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
async def tls_rig(tmp_path: Path, authority: trustme.CA) -> AsyncIterator[Rig]:
    """With STARTTLS, and passwords under TLS only."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("imap.example.test", "127.0.0.1").configure_cert(context)
    made = Rig(tmp_path / "shard", ImapLimits(), context)
    await made.start()
    yield made
    await made.stop()
