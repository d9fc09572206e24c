"""A platform without doors, its engine, and a real Dovecot to move from."""

import asyncio
import contextlib
import imaplib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

from imapclient import IMAPClient

from mailplat.app.settings import load
from mailplat.app.wiring import Platform
from mailplat.core.address import Address
from mailplat.core.route import BackendHome, Residence, RouteState
from mailplat.directory import Account, Backend
from mailplat.directory.watch import RouteHandler, RouteWatch
from migration.back.travel import residence
from migration.ledger import RUNNING, Ledger, Move
from migration.role import Migration
from tests.dovecot import Dovecot
from tests.until import until

DOMAIN = "moving.test"
PASSWORD = "correct horse"
MASTER = ("master", "master secret")  # a blank: whoever sends it unquoted is refused

# Everything together on a busy machine.
PATIENCE_S = 60.0

CONFIG = """
[platform]
hostname = "mx.moving.test"
data_dir = "data"
[database]
url = "sqlite:///mailplat.db"
[migration.workers]
lease = 2.0
deaths = 100  # tests kill at each step of one account
[store.shards.s1]
path = "shards/s1"
[store.shards.s2]
path = "shards/s2"
"""


def backend_of(dovecot: Dovecot, **changes: str) -> Backend:
    values = {
        "imap": f"127.0.0.1:{dovecot.imap_port}",
        "imap_tls": "none",
        "pop3": f"127.0.0.1:{dovecot.pop3_port}",
        "pop3_tls": "none",
        "relay": f"lmtp:127.0.0.1:{dovecot.lmtp_port}",
        "master_user": MASTER[0],
        "master_password": MASTER[1],
    }
    return Backend(name="old", **{**values, **changes})


def client(dovecot: Dovecot, user: str) -> IMAPClient:
    connected = IMAPClient("127.0.0.1", dovecot.imap_port, ssl=False, timeout=30)
    if connected.has_capability("STARTTLS"):
        unverified = ssl.create_default_context()
        unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
        connected.starttls(unverified)
    connected.login(user, PASSWORD)
    return connected


def letter(number: int, size: int = 400) -> bytes:
    head = (
        f"From: a@x.test\r\nTo: b@x.test\r\nSubject: letter {number}\r\nMessage-ID: <{number}@x.test>\r\n\r\n"
    )
    return head.encode() + (b"line %d of the letter\r\n" % number) * (size // 20)


class House:
    """`platform` and what tests ask of it. `engine()` runs the role."""

    def __init__(self, root: Path, backend: Backend | None, users: list[str]) -> None:
        root.mkdir(parents=True, exist_ok=True)
        config = root / "mailplat.toml"
        if not config.exists():
            config.write_text(CONFIG)
        self.platform = Platform(load(config, {}))
        self.ledger = Ledger(self.platform.database, self.platform.clock)
        directory = self.platform.directory
        if backend is not None and not directory.domains():
            directory.add_domain(DOMAIN)
            directory.add_backend(backend)
            for user in users:
                directory.add_account(
                    Address(*user.split("@")),
                    home=BackendHome(backend.name),
                    password_hash=f"{{PLAIN}}{PASSWORD}",
                )
        self.accounts: dict[str, Account] = {str(each.address): each for each in directory.accounts(DOMAIN)}

    def plan(self) -> None:
        self.ledger.plan(DOMAIN, ["s1", "s2"])
        self.ledger.set_plan(DOMAIN, RUNNING, expected={"planned", RUNNING})

    def move(self, user: str) -> Move:
        return self.ledger.find_move(self.accounts[user].id)

    @contextlib.asynccontextmanager
    async def engine(
        self, ready_every: float = 0.3, handler: RouteHandler | None = None, waves_every: float = 0.3
    ) -> AsyncIterator[None]:
        """The role and the watch of one process, for a while; `handler` is one of its doors."""
        stop = asyncio.Event()
        watch = RouteWatch(self.platform.directory, self.platform.bus, self.platform.executors)
        if handler is not None:
            watch.register(handler)
        role = Migration(self.platform, ready_every=ready_every, waves_every=waves_every)
        tasks = [asyncio.create_task(watch.run()), asyncio.create_task(role.run(stop))]
        try:
            yield
        finally:
            stop.set()
            await tasks[1]
            tasks[0].cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await tasks[0]

    async def reach(self, *states: RouteState, users: list[str] | None = None) -> None:
        """Wait until every account is in one of the states; a halt fails at once."""

        def there() -> bool:
            moves = [self.move(user) for user in users or self.accounts]
            halted = [f"{move.address}: {move.halted}" for move in moves if move.halted]
            assert not halted, halted
            return all(move.route.state in states for move in moves)

        try:
            await until(there, PATIENCE_S)
        except TimeoutError:
            moves = [self.move(user) for user in users or self.accounts]
            raise AssertionError([(m.address, m.route.state, m.note, m.rounds) for m in moves]) from None

    async def halted(self, user: str) -> str:
        await until(lambda: self.move(user).halted, PATIENCE_S)
        return self.move(user).halted

    def residence(self, user: str) -> Residence:
        """Where it lives here, or is to live."""
        return residence(self.move(user))

    def content(self, user: str) -> "Content":
        """{mailbox: (uidvalidity, {uid: (flags, date, zone, octets)})} here."""
        residence = self.residence(user)
        shard = self.platform.store.shard(residence.shard)
        found: Content = {}
        for mailbox in shard.mailboxes(residence):
            rows = shard.rows(residence, mailbox.id, None, ("uid", "flags", "internaldate"))
            octets = dict(shard.octets_many(residence, mailbox.id, None))
            found[mailbox.name] = (
                mailbox.uidvalidity,
                {uid: (frozenset(flags), date, octets[uid]) for uid, flags, date in rows},
            )
        return found

    def subscriptions(self, user: str) -> set[str]:
        residence = self.residence(user)
        return set(self.platform.store.shard(residence.shard).subscriptions(residence))

    def uidls(self, user: str) -> list[str]:
        residence = self.residence(user)
        shard = self.platform.store.shard(residence.shard)
        inbox = shard.mailbox(residence, "INBOX")
        return [uidl for (uidl,) in shard.rows(residence, inbox.id, None, ("uidl",))]

    def maildrop(self, user: str) -> list[str]:
        """UIDLs in POP3's order."""
        residence = self.residence(user)
        shard = self.platform.store.shard(residence.shard)
        listing = shard.listing(residence, shard.mailbox(residence, "INBOX").id).in_order()
        return [listing.uidl(place) for place in range(len(listing))]

    def close(self) -> None:
        self.platform.close()


Content = dict[str, tuple[int, dict[int, tuple[frozenset[str], int, bytes]]]]


def content_of(dovecot: Dovecot, user: str) -> Content:
    """The same, there, as imapclient reads it."""
    found: Content = {}
    with client(dovecot, user) as imap:
        for attributes, _, name in imap.list_folders():
            if b"\\Noselect" in attributes:
                continue
            opened = imap.select_folder(name, readonly=True)
            rows = {}
            for uid, row in imap.fetch(imap.search() or [], ["FLAGS", "INTERNALDATE", "BODY.PEEK[]"]).items():
                flags = frozenset(each.decode() for each in row[b"FLAGS"]) - {"\\Recent"}
                rows[uid] = (flags, int(row[b"INTERNALDATE"].timestamp()), row[b"BODY[]"])
            found[name] = (opened[b"UIDVALIDITY"], rows)
    return found


def subscriptions_of(dovecot: Dovecot, user: str) -> set[str]:
    with client(dovecot, user) as imap:
        return {name for _, _, name in imap.list_sub_folders()}


def date(seconds: int) -> str:
    return imaplib.Time2Internaldate(seconds)
