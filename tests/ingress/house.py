"""A door with the real rooms behind it, on loopback: two shards, a legacy backend, a queue, SQLite."""

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mailplat.bus import open_bus
from mailplat.core.address import Address
from mailplat.core.clock import SystemClock
from mailplat.core.envelope import Envelope, Peer, Wish
from mailplat.core.executors import Executors
from mailplat.core.limits.smtp import SmtpLimits
from mailplat.core.network import Networks
from mailplat.core.reply import Reply
from mailplat.core.route import BackendHome, Residence, ShardHome
from mailplat.core.spool import Body
from mailplat.db import schema
from mailplat.db.engine import Database
from mailplat.delivery import Delivery
from mailplat.directory import Backend, Directory, Resolution, Target
from mailplat.filtering.pipeline import Pipeline
from mailplat.ingress import Rooms, SmtpServer
from mailplat.ingress.conduct import Conduct
from mailplat.ingress.gate import Gate, Guest
from mailplat.queue import Queue
from mailplat.store import NewMessage, Store
from mailplat.wire.smtp.address import parse_address
from tests.until import until

HOSTNAME = "mx.example.org"
SHARDS = {"anna": "s1", "bert": "s1", "carl": "s2", "full": "s1"}


class WatchedDelivery(Delivery):
    """The real one, with a gate in front that a test may shut, and a failure that it may plan."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.failure: Exception | None = None
        self.envelopes: list[Envelope] = []
        self.entered = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def accept(
        self,
        envelope: Envelope,
        targets: Sequence[Target],
        body: Body,
        prefix: bytes,
        peer: Peer,
        *,
        separately: bool = False,
        wishes: Mapping[int, Wish] | None = None,
    ) -> Reply | list[Reply]:
        self.entered.set()
        self.envelopes.append(envelope)
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        return await super().accept(
            envelope, targets, body, prefix, peer, separately=separately, wishes=wishes or {}
        )


class WatchedDirectory(Directory):
    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.failure: Exception | None = None

    def resolve(self, address: Address) -> Resolution:
        if self.failure is not None:
            raise self.failure
        return super().resolve(address)


class WatchedGate(Gate):
    def __init__(self, rooms: Rooms) -> None:
        super().__init__(
            rooms.limits, rooms.trusted, Conduct(rooms.limits, rooms.trusted, rooms.clock.monotonic)
        )
        self.left = asyncio.Event()  # some connection was lost

    def leave(self, connection: Guest) -> None:
        super().leave(connection)
        self.left.set()


class House:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = SystemClock()
        self.database = Database(f"sqlite:///{folder}/mailplat.db")
        schema.upgrade(self.database, "platform")
        self.directory = WatchedDirectory(self.database)
        self.executors = Executors()
        self.bus = open_bus("", 1)
        paths = {name: folder / name for name in ("s1", "s2")}
        for path in paths.values():
            path.mkdir()
        self.store = Store(paths, self.executors, self.bus, self.clock)
        self.queue = Queue(self.database, folder / "queue", self.clock, self.bus)
        self.delivery = WatchedDelivery(
            self.directory, self.store, self.queue, self.executors, hostname=HOSTNAME
        )
        self.rooms = Rooms(
            HOSTNAME,
            self.directory,
            self.store,
            self.queue,
            Pipeline([]),
            self.delivery,
            self.executors,
            self.clock,
        )
        self.server: SmtpServer | None = None
        self.residences = self._populate()

    def _populate(self) -> dict[str, Residence]:
        domains = ("example.org", "xn--r8jz45g.xn--zckzah", HOSTNAME)
        for name in domains:
            self.directory.add_domain(name)
        self.directory.add_backend(Backend("old", relay="smtp:127.0.0.1:1"))
        homes = {parse_address(f"{name}@example.org"): shard for name, shard in SHARDS.items()}
        homes[parse_address("用户@例え.テスト")] = "s2"
        residences = {}
        for address, shard in homes.items():
            quota = 1000 if address.local == "full" else 0
            account = self.directory.add_account(address, home=ShardHome(shard), quota=quota)
            residences[address.local] = Residence(account.id, shard, 1)
            self.store.shard(shard).grant(account.id, 1)
        self.directory.add_account(parse_address("olga@example.org"), home=BackendHome("old"))
        people = [parse_address(f"{name}@example.org") for name in ("anna", "bert")]
        self.directory.add_alias("both@example.org", people)
        self.directory.add_alias(f"postmaster@{HOSTNAME}", people[:1])
        return residences

    async def fill(self, name: str) -> None:
        """Put that account over its quota, up to the next message."""
        letter = NewMessage(Body.of(b"Subject: full\r\n\r\n" + b"x" * 990 + b"\r\n"))
        await self.store.append(self.residences[name], "INBOX", [letter])

    def kept(self, name: str) -> list[bytes]:
        """What is in that account's INBOX, whole files."""
        residence = self.residences[name]
        shard = self.store.shard(residence.shard)
        inbox = shard.mailbox(residence, "INBOX")
        return [octets for _, octets in shard.octets_many(residence, inbox.id, None)]

    def spooled(self) -> list[Path]:
        """Files that were left where messages are received."""
        folders = [
            self.queue.tmp,
            *(self.store.shard(residence.shard).tmp for residence in self.residences.values()),
        ]
        return [path for folder in folders for path in folder.iterdir()]

    async def listen(
        self,
        *,
        lmtp: bool = False,
        tls: ssl.SSLContext | None = None,
        implicit_tls: bool = False,
        trusted: Sequence[str] = ("127.0.0.0/8",),
        proxies: Sequence[str] = (),
        fronts: Sequence[str] = (),
        **limits: Any,
    ) -> tuple[str, int]:
        self.rooms = replace(
            self.rooms,
            limits=SmtpLimits(**limits),
            trusted=Networks(trusted),
            proxies=Networks(proxies),
            fronts=Networks(fronts),
        )
        self.server = SmtpServer(self.rooms)
        self.server.gate = self.gate = WatchedGate(self.rooms)
        [address] = await self.server.start(lmtp=lmtp, tls=tls, implicit_tls=implicit_tls)
        return address

    async def close(self) -> None:
        self.delivery.gate.set()
        if self.server is not None:
            await self.server.drain(0)  # clients that a test left in a transaction are not waited for
            await until(lambda: not self.server.storing and not self.gate.connections)
        self.store.close()
        self.queue.close()
        self.executors.close()
        self.database.close()
