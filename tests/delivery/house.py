"""The rooms that delivery stands on, all real, in one folder."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from mailplat.bus import MemoryBus
from mailplat.core.address import Address
from mailplat.core.clock import Clock, SystemClock
from mailplat.core.envelope import Envelope, Peer
from mailplat.core.executors import Executors
from mailplat.core.reply import Reply
from mailplat.core.route import BackendHome, Residence, Route, RouteState, ShardHome
from mailplat.core.spool import Body
from mailplat.db import schema
from mailplat.db.engine import Database
from mailplat.delivery import Delivery, RelayLimits, Worker, WorkerLimits
from mailplat.directory import Backend, Directory, Target
from mailplat.directory.watch import RouteWatch
from mailplat.queue import LEASE_S, Queue, RetrySchedule
from mailplat.store import Store
from tests.until import until

HOSTNAME = "mx.example.org"
DOMAIN = "example.org"
SENDER = Envelope(Address("sender", "example.com"), "8BITMIME")
PEER = Peer("192.0.2.1", 4711, helo="client.example.com", esmtp=True)
MESSAGE = b"Subject: hello\r\n\r\nbody\r\n"
RECEIVED = b"Received: from client\r\n"

# Retries at once, so that a test of "4xx then 2xx" waits for nothing.
EAGER = RetrySchedule(first=0.0, longest=0.0)


class House:
    """`legacy` is the backend; `close` ends everything that was opened."""

    def __init__(
        self,
        root: Path,
        *,
        clock: Clock | None = None,
        schedule: RetrySchedule = EAGER,
        lease_s: float = LEASE_S,
    ) -> None:
        self.root = root
        self.clock = clock or SystemClock()
        self.bus = MemoryBus()
        self.executors = Executors()
        self.database = Database(f"sqlite:///{root}/platform.db")
        schema.upgrade(self.database, "platform")
        self.directory = Directory(self.database, self.clock)
        shards = {name: root / name for name in ("s1", "s2")}
        for path in shards.values():
            path.mkdir(exist_ok=True)
        self.store = Store(shards, self.executors, self.bus, self.clock)
        self.queue = Queue(
            self.database, root / "queue", self.clock, self.bus, schedule=schedule, lease_s=lease_s
        )
        self.delivery = Delivery(self.directory, self.store, self.queue, self.executors, hostname=HOSTNAME)
        self.watch = RouteWatch(self.directory, self.bus, self.executors)
        if DOMAIN not in [domain.name for domain in self.directory.domains()]:
            self.directory.add_domain(DOMAIN)

    def close(self) -> None:
        self.queue.close()
        self.store.close()
        self.executors.close()
        self.database.close()

    def add_backend(self, next_hop: str) -> None:
        with contextlib.suppress(Exception):
            self.directory.remove_backend("legacy")
        self.directory.add_backend(Backend("legacy", relay=next_hop))

    def add(self, name: str, home: str = "s1", quota: int = 0) -> int:
        """An account; its id. `home` is a shard, or "legacy"."""
        where = BackendHome(home) if home == "legacy" else ShardHome(home)
        account = self.directory.add_account(Address(name, DOMAIN), home=where, quota=quota)
        if isinstance(where, ShardHome):
            self.store.shard(home).grant(account.id, 1)
        return account.id

    def target(self, name: str) -> Target:
        [target] = self.directory.resolve(Address(name, DOMAIN)).targets
        return target

    async def accept(self, *names: str, octets: bytes = MESSAGE, **options: Any) -> Reply | list[Reply]:
        targets = [self.target(name) for name in names]
        return await self.delivery.accept(
            options.pop("envelope", SENDER), targets, Body.of(octets), RECEIVED, PEER, **options
        )

    def inbox(self, name: str, shard: str = "s1") -> list[bytes]:
        account = self.directory.account(Address(name, DOMAIN))
        residence = Residence(account.id, shard, self.directory.route(account.id).epoch)
        room = self.store.shard(shard)
        mailbox = room.mailbox(residence, "INBOX")
        return [octets for _, octets in room.octets_many(residence, mailbox.id, None)]

    def advance(self, name: str, state: RouteState, shard: str = "", fence_s: float = 0.0) -> Route:
        """One transition, and the grant that goes with a new home in a shard."""
        route = self.directory.route(self.target(name).account_id)
        deadline = self.clock.now() + fence_s if fence_s else 0.0
        home = ShardHome(shard) if shard else None
        route = self.directory.advance(route, state, home=home, fence_deadline=deadline)
        if shard:
            self.store.shard(shard).grant(route.account_id, route.epoch)
        return route

    @contextlib.asynccontextmanager
    async def working(self, *, watched: bool = False, **options: Any) -> AsyncIterator[Worker]:
        """A worker, running; with `watched` its process's watch too, healthy before the worker begins."""
        limits = options.pop(
            "limits", WorkerLimits(poll=0.05, patience=options.pop("patience", 0.2), drain=5)
        )
        worker = Worker(
            self.directory,
            self.store,
            self.queue,
            self.executors,
            self.bus,
            self.clock,
            hostname=HOSTNAME,
            watch=self.watch if watched else None,
            limits=limits,
            relay_limits=options.pop("relay_limits", RelayLimits(rest=0)),
            **options,
        )
        stop = asyncio.Event()
        watching = asyncio.create_task(self.watch.run()) if watched else None
        if watched:
            await until(lambda: self.watch.healthy)
        running = asyncio.create_task(worker.run(stop))
        try:
            yield worker
        finally:
            stop.set()
            await running
            if watching:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)


def stored(octets: bytes = MESSAGE, sender: str = "sender@example.com") -> bytes:
    """What a message that was delivered here at once looks like in its mailbox."""
    return f"Return-Path: <{sender}>\r\n".encode() + RECEIVED + octets
