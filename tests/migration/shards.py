"""A platform without doors, with three shards and accounts that live in the first."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from mailplat.app.settings import load
from mailplat.app.wiring import Platform
from mailplat.core.address import Address
from mailplat.core.route import Door, Residence, Route, ShardHome
from mailplat.core.spool import Body
from mailplat.directory import Account
from mailplat.directory.watch import RouteWatch
from mailplat.store import Appended, Mailbox, NewMessage, Shard
from mailplat.store.annotations import ACCOUNT
from mailplat.store.transfer import residents
from migration.role import Migration
from migration.shardmoves import MOVE, ShardMove, ShardMoves
from tests.migration.house import letter
from tests.until import until

DOMAIN = "shards.test"

# Everything together on a busy machine.
PATIENCE_S = 60.0

CONFIG = """
[platform]
hostname = "mx.shards.test"
data_dir = "data"
[database]
url = "sqlite:///mailplat.db"
[store.shards.s1]
path = "shards/s1"
[store.shards.s2]
path = "shards/s2"
[store.shards.s3]
path = "shards/s3"
placement = false
"""

Content = dict[str, Any]


class Shards:
    """Opens what is in `root`, makes it where there is nothing."""

    def __init__(self, root: Path, names: Sequence[str] = (), **settings: str) -> None:
        root.mkdir(parents=True, exist_ok=True)
        config = root / "mailplat.toml"
        if not config.exists():
            config.write_text(CONFIG)
        self.platform = Platform(load(config, settings))
        self.ledger = ShardMoves(self.platform.database, self.platform.clock)
        directory = self.platform.directory
        if not directory.domains():
            directory.add_domain(DOMAIN)
            for name in names:
                directory.add_account(Address(name, DOMAIN), home=ShardHome("s1"), password_hash="{PLAIN}x")
        self.accounts: dict[str, Account] = {each.address.local: each for each in directory.accounts(DOMAIN)}
        for name in self.accounts:  # as a login does
            if self.route(name).door is Door.SERVE:
                home = self.residence(name)
                self.shard(home.shard).grant(home.account_id, home.epoch)

    def close(self) -> None:
        self.platform.close()

    def route(self, name: str) -> Route:
        return self.platform.directory.route(self.accounts[name].id)

    def residence(self, name: str) -> Residence:
        route = self.route(name)
        assert isinstance(route.home, ShardHome)
        return Residence(route.account_id, route.home.shard, route.epoch)

    def shard(self, name: str) -> Shard:
        return self.platform.store.shard(name)

    def home(self, name: str) -> str:
        return self.residence(name).shard

    def residents(self, shard: str) -> list[int]:
        return residents(self.shard(shard).site)

    async def append(self, name: str, mailbox: str = "INBOX", count: int = 1, **more: Any) -> list[Appended]:
        home = self.residence(name)
        bodies = [Body.of(letter(number)) for number in range(count)]
        return await self.platform.store.append(home, mailbox, [NewMessage(body, **more) for body in bodies])

    def mailbox(self, name: str, mailbox: str = "INBOX") -> Mailbox:
        home = self.residence(name)
        return self.shard(home.shard).mailbox(home, mailbox)

    def content(self, name: str) -> Content:
        """All that a client or a door can see, with every number."""
        home = self.residence(name)
        shard = self.shard(home.shard)
        columns = (
            "uid",
            "modseq",
            "flags",
            "internaldate",
            "internaldate_zone",
            "size",
            "saved_at",
            "uidl",
            "preview",
            "email_id",
        )
        found: Content = {"subscriptions": shard.subscriptions(home), "usage": shard.usage(home)}
        found["annotations"] = shard.annotations(home, ACCOUNT)
        for box in shard.mailboxes(home):
            numbers = (
                box.uidvalidity,
                box.object_id,
                box.uidnext,
                box.modseq,
                box.messages,
                box.unseen,
                box.size,
                box.special_use,
            )
            rows = [
                (*row[:2], frozenset(row[2]), *row[3:]) for row in shard.rows(home, box.id, None, columns)
            ]
            said = shard.traces(home, box.id, 0)
            octets = dict(shard.octets_many(home, box.id, None))
            notes = shard.annotations(home, box.id), shard.acl(home, box.id)
            found[box.name] = (numbers, rows, sorted(said.expunged), sorted(said.keys), octets, notes)
        return found

    def ask(self, shard: str, *names: str) -> None:
        self.ledger.ask([self.accounts[name].id for name in names], shard, cause=MOVE)

    def move(self, name: str) -> ShardMove:
        return self.ledger.find_move(self.accounts[name].id)

    @contextlib.asynccontextmanager
    async def engine(self, *, index: int = 0, workers: int = 1) -> AsyncIterator[None]:
        """The role and the watch of one process, for a while."""
        stop = asyncio.Event()
        watch = RouteWatch(self.platform.directory, self.platform.bus, self.platform.executors)
        role = Migration(self.platform, part=(index, workers))
        tasks = [asyncio.create_task(watch.run()), asyncio.create_task(role.run(stop))]
        try:
            yield
        finally:
            stop.set()
            await tasks[1]
            tasks[0].cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await tasks[0]

    async def done(self, *names: str) -> None:
        """Wait until these have moved; a halt fails at once."""

        def over() -> bool:
            moves = [self.move(name) for name in names or self.accounts]
            assert not (halted := [move.halted for move in moves if move.halted]), halted
            return all(move.is_over for move in moves)

        try:
            await until(over, PATIENCE_S)
        except TimeoutError:
            moves = [self.move(name) for name in names or self.accounts]
            raise AssertionError([(m.address, m.state, m.note, m.rounds) for m in moves]) from None
