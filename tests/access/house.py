"""The readers' doors on loopback, over a real directory and a real store in a temporary folder."""

import asyncio
import contextlib
import shutil
import ssl
from asyncio import StreamReader, StreamWriter
from collections.abc import Sequence
from pathlib import Path

from mailplat.access.capture import Capture
from mailplat.access.forwarding import ForwardedSessions
from mailplat.access.imap import ImapServer
from mailplat.access.introspection import Introspection, OAuthSettings
from mailplat.access.login import LoginService, Master
from mailplat.access.pop3 import Pop3Limits, Pop3Server
from mailplat.access.throttle import ThrottleLimits
from mailplat.bus import MemoryBus
from mailplat.core.address import Address
from mailplat.core.clock import Clock, SystemClock
from mailplat.core.envelope import Peer
from mailplat.core.executors import Executors
from mailplat.core.hint import RouteChanged
from mailplat.core.route import BackendHome, Home, Residence, Route, RouteState, ShardHome
from mailplat.core.spool import Body
from mailplat.db.engine import Database
from mailplat.directory import Account, Backend, Directory
from mailplat.directory.credentials import Verifier
from mailplat.directory.watch import RouteWatch
from mailplat.store import Appended, Store
from mailplat.store.types import NewMessage

DOMAIN = "example.test"
PASSWORD = "correct horse"
PEER = Peer("192.0.2.7", 4711)

# A reply that does not come is a failure, not a wait.
PATIENCE_S = 20.0


class House:
    """`template` is a folder with an empty platform.db. Start `pop3` or `imap` with `listen`."""

    def __init__(
        self,
        root: Path,
        template: Path,
        *,
        clock: Clock | None = None,
        wait: float = 40.0,
        master: Master | None = None,
        pop3: Pop3Limits | None = None,
        tls: ssl.SSLContext | None = None,
        throttle: ThrottleLimits | None = None,
        tokens: OAuthSettings | None = None,
        rehash: bool = False,
    ) -> None:
        shutil.copy(template, root / "platform.db")
        self.root = root
        self.bus = MemoryBus()
        self.executors = Executors()
        self.clock: Clock = clock or SystemClock()
        self.database = Database(f"sqlite:///{root}/platform.db")
        self.directory = Directory(self.database, self.clock)
        self.directory.add_domain(DOMAIN)
        self.store = Store({"s1": root / "s1", "s2": root / "s2"}, self.executors, self.bus)
        self.watch = RouteWatch(self.directory, self.bus, self.executors, self.clock)
        self.forwarded = ForwardedSessions(self.directory, self.executors, self.watch)
        self.capture = Capture(self.directory, self.executors)
        self.login = LoginService(
            self.directory,
            Verifier(self.executors),
            self.store,
            self.forwarded,
            self.capture,
            self.bus,
            self.executors,
            self.clock,
            master=master,
            throttle=throttle,
            tokens=Introspection(tokens, self.clock) if tokens else None,
            rehash=rehash,
            wait=wait,
        )
        self.tls = tls
        self.pop3 = Pop3Server(
            self.login,
            self.store,
            self.executors,
            pop3 or Pop3Limits(),
            tls_context=tls,
            hostname="pop3.example.test",
            plaintext_without_tls=tls is None,
        )
        self.imap = ImapServer(
            self.login,
            self.store,
            self.bus,
            self.executors,
            self.clock,
            tls_context=tls,
            hostname="imap.example.test",
            plaintext_without_tls=tls is None,
        )
        for handler in (self.pop3, self.imap):
            self.watch.register(handler)
        self._listeners: list[asyncio.Server] = []
        self._watching: asyncio.Task[None] | None = None
        self._clients: list[Client] = []

    async def start_watch(self) -> None:
        self._watching = asyncio.create_task(self.watch.run())
        async with asyncio.timeout(PATIENCE_S):
            while not self.watch.healthy:  # noqa: ASYNC110 - there is no event to wait for
                await asyncio.sleep(0.01)

    async def listen(self, server: Pop3Server | ImapServer, *, implicit_tls: bool = False) -> int:
        """The port where the server now answers."""

        async def serve(reader: StreamReader, writer: StreamWriter) -> None:
            await server.serve(reader, writer, implicit_tls)

        context = self.tls if implicit_tls else None
        listener = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        self._listeners.append(listener)
        return int(listener.sockets[0].getsockname()[1])

    async def connect(self, port: int) -> "Client":
        client = await Client.connect(port)
        self._clients.append(client)
        return client

    async def pop3_client(self, name: str = "anna", password: str = PASSWORD) -> "Client":
        """Logged in."""
        client = await self.connect(await self.listen(self.pop3))
        await client.line()
        assert (await client.ask(f"USER {name}@{DOMAIN}")).startswith(b"+OK")
        reply = await client.ask(f"PASS {password}")
        assert reply.startswith(b"+OK"), reply
        return client

    def add(self, name: str, home: Home | None = None, password: str = PASSWORD) -> Account:
        """An account, in shard s1 where nothing else is said."""
        return self.directory.add_account(
            Address(name, DOMAIN), home=home or ShardHome("s1"), password_hash=f"{{PLAIN}}{password}"
        )

    def add_backend(self, **endpoints: str) -> None:
        settings = {"imap_tls": "none", "pop3_tls": "none", **endpoints}
        self.directory.add_backend(Backend("legacy", **settings))

    def add_forwarded(self, name: str) -> Account:
        return self.add(name, BackendHome("legacy"))

    def residence(self, name: str) -> Residence:
        found = self.directory.login(f"{name}@{DOMAIN}")
        assert found is not None
        assert isinstance(found.route.home, ShardHome)
        residence = Residence(found.account.id, found.route.home.shard, found.route.epoch)
        self.store.shard(residence.shard).grant(residence.account_id, residence.epoch)
        return residence

    async def deliver(self, name: str, *messages: bytes | NewMessage) -> list[Appended]:
        new = [each if isinstance(each, NewMessage) else NewMessage(Body.of(each)) for each in messages]
        return await self.store.append(self.residence(name), "INBOX", new)

    def kept(self, name: str) -> list[bytes]:
        """What is in the inbox now."""
        residence = self.residence(name)
        shard = self.store.shard(residence.shard)
        inbox = shard.mailbox(residence, "INBOX")
        return [octets for _, octets in shard.octets_many(residence, inbox.id, None)]

    def advance(self, name: str, *states: RouteState, home: Home | None = None) -> Route:
        """Transitions; the last one gets the home. Every worker hears of each."""
        account = self.directory.account(Address(name, DOMAIN))
        route = self.directory.route(account.id)
        for state in states:
            fence = state in (RouteState.FENCED, RouteState.ROLLBACK_FENCED)
            route = self.directory.advance(
                route,
                state,
                home=home if state is states[-1] else None,
                fence_deadline=self.clock.now() + 30 if fence else 0.0,
            )
            self.bus.publish(RouteChanged(account.id))
        return route

    async def stop(self) -> None:
        for client in self._clients:
            client.close()
        await self.forwarded.close()
        await self.pop3.close()
        await self.imap.close()
        await self.capture.close()
        await self.login.enrolment.close()
        for listener in self._listeners:
            listener.close()
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        self.store.close()
        self.executors.close()
        self.database.close()


class Client:
    """A raw connection to a line protocol."""

    def __init__(self, reader: StreamReader, writer: StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, port: int) -> "Client":
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=1 << 20))

    def send(self, *lines: str | bytes) -> None:
        octets = [line if isinstance(line, bytes) else line.encode() for line in lines]
        self.writer.write(b"".join(line + b"\r\n" for line in octets))

    async def line(self) -> bytes:
        """The next line without its end; b"" when the server has closed."""
        async with asyncio.timeout(PATIENCE_S):
            line = await self.reader.readline()
        assert not line or line.endswith(b"\r\n"), line
        return line.removesuffix(b"\r\n")

    async def ask(self, line: str | bytes) -> bytes:
        self.send(line)
        return await self.line()

    async def multi(self, line: str | bytes = b"") -> list[bytes]:
        """A POP3 multi-line reply, from its first line; dots undone, its end left out."""
        if line:
            self.send(line)
        first = await self.line()
        assert first.startswith(b"+OK"), first
        found = [first]
        while (each := await self.line()) != b".":
            assert each or not self.reader.at_eof(), found
            found.append(each.removeprefix(b"."))
        return found

    async def tagged(self, tag: str, line: str | bytes = b"") -> list[bytes]:
        """An IMAP command's reply, up to its tagged line."""
        if line:
            self.send(line)
        found: list[bytes] = []
        while not found or not found[-1].startswith(tag.encode() + b" "):
            found.append(await self.line())
            assert found[-1], found
        return found

    async def rest(self) -> bytes:
        """All until the server closes; a reset counts as closed."""
        pieces: list[bytes] = []
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(PATIENCE_S):
                while piece := await self.reader.read(65536):
                    pieces.append(piece)
        return b"".join(pieces)

    async def start_tls(self, authority: ssl.SSLContext) -> None:
        await self.writer.start_tls(authority, server_hostname="127.0.0.1")

    def close(self) -> None:
        self.writer.transport.abort()


def message(subject: str = "hello", body: str = "text\r\n") -> bytes:
    return f"From: a@b.test\r\nSubject: {subject}\r\n\r\n{body}".encode()


def replies(octets: bytes) -> Sequence[bytes]:
    """The status lines within what a server said."""
    return [line for line in octets.split(b"\r\n") if line.startswith((b"+OK", b"-ERR"))]
