"""What users do here after the cutover, and what the legacy platform must show when the account is back."""

from mailplat.core.route import BackendHome, Residence, RouteState
from mailplat.core.spool import Body
from mailplat.store import Mailbox, NewMessage, Shard
from migration.back.orders import request_rollback
from tests.dovecot import Dovecot
from tests.migration.house import DOMAIN, PATIENCE_S, Content, House, client, letter
from tests.until import until


def furnish(dovecot: Dovecot, user: str, letters: int = 12) -> None:
    with client(dovecot, user) as imap:
        for name in ("Archive", "Archive/2002", "Sent", "Old things"):
            imap.create_folder(name)
        imap.subscribe_folder("Sent")
        for number in range(letters):
            imap.append(("INBOX", "Archive/2002")[number % 2], letter(number), flags=["\\Seen", "$Work"])
        imap.append("Old things", letter(900))


async def move_here(here: House) -> None:
    here.plan()
    async with here.engine():
        here.ledger.request_cutover(DOMAIN)
        await here.reach(RouteState.NEW)
        await until(lambda: all(here.move(user).released for user in here.accounts))


class Desk:
    """A user at work here: every verb is the store's, as the doors call it."""

    def __init__(self, here: House, user: str) -> None:
        self.here, self.user = here, user

    @property
    def home(self) -> Residence:
        residence = self.here.residence(self.user)
        self.shard.grant(residence.account_id, residence.epoch)  # as a login does
        return residence

    @property
    def shard(self) -> Shard:
        return self.here.platform.store.shard(self.here.residence(self.user).shard)

    def box(self, name: str = "INBOX") -> Mailbox:
        return self.shard.mailbox(self.home, name)

    def uids(self, name: str = "INBOX") -> list[int]:
        return list(self.shard.snapshot(self.home, self.box(name).id).uids)

    async def deliver(
        self, number: int, name: str = "INBOX", *flags: str, size: int = 400, **more: int
    ) -> int:
        message = NewMessage(Body.of(letter(number, size)), flags=flags, **more)
        (done,) = await self.here.platform.store.append(self.home, name, [message])
        return done.uid

    def expunge(self, *uids: int, name: str = "INBOX") -> None:
        self.shard.expunge_uids(self.home, self.box(name).id, [(uid, uid) for uid in uids])

    def flag(self, uid: int, *flags: str, name: str = "INBOX") -> None:
        self.shard.store_flags(self.home, self.box(name).id, [(uid, uid)], "set", flags)

    def move(self, uid: int, to: str, name: str = "INBOX") -> None:
        self.shard.move(self.home, self.box(name).id, [(uid, uid)], to)

    async def work(self) -> None:
        """An hour's worth of everything."""
        first = self.uids()[0]
        for number in range(100, 108):
            await self.deliver(number)
        uids = self.uids()
        self.expunge(uids[-1], uids[-3], uids[1])  # the last UID too: UIDNEXT must not fall behind
        self.flag(first, "\\Flagged", "$Later")
        self.flag(uids[2])
        await self.deliver(200, "Sent", "\\Seen", internaldate=1_000_000_000, internaldate_zone=-330)
        await self.deliver(201, "INBOX", "\\Draft", "\\Deleted", size=300_000)
        self.move(uids[3], "Archive/2002")
        self.shard.rename(self.home, "Archive", "Ärchiv")
        self.shard.delete(self.home, "Old things")
        self.shard.create(self.home, "Fresh & new")
        await self.deliver(202, "Fresh & new")
        self.shard.subscribe(self.home, "Sent", False)
        self.shard.subscribe(self.home, "Fresh & new", True)


def roll_back(here: House, *, accept_new_uids: bool = False, deletions: int = 0) -> None:
    request_rollback(here.ledger, DOMAIN, accept_new_uids=accept_new_uids, deletions=deletions)


async def until_back(here: House, user: str) -> None:
    def back() -> bool:
        move = here.move(user)
        assert not move.halted, move.halted
        return move.route.state is RouteState.LEGACY and move.released

    try:
        await until(back, PATIENCE_S)
    except TimeoutError:
        move = here.move(user)
        raise AssertionError((move.route.state, move.note, move.rollback)) from None
    assert here.move(user).route.home == BackendHome("old")


def same_but_made(there: Content, seen: Content, *made: str) -> None:
    """UIDVALIDITY, UIDs, flags, dates and octets; of mailboxes that were made here all but the first."""
    assert there.keys() == seen.keys()
    for name, (uidvalidity, rows) in seen.items():
        assert there[name][1] == rows, name
        if name not in made:
            assert there[name][0] == uidvalidity, name
