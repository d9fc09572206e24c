"""A domain moves from a real Dovecot of which only POP3 is used."""

import asyncio
import poplib
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mailplat.core.errors import InvalidInput
from mailplat.core.route import BackendHome, RouteState
from migration.back import bare, orders
from migration.sources import pop3_account
from migration.sources.pop3 import Session
from tests.dovecot import Dovecot
from tests.migration.engines import Engines
from tests.migration.house import DOMAIN, MASTER, PASSWORD, House, backend_of, client, letter
from tests.until import until

pytestmark = pytest.mark.interop

NAMES = {"imap": ""}


def fill(dovecot: Dovecot, user: str, count: int = 40) -> None:
    with client(dovecot, user) as imap:
        for number in range(count):
            imap.append("INBOX", letter(number))
        imap.append("INBOX", b"Subject: dots\r\n\r\n.\r\n..\r\n...three\r\nend.\r\n.\r\n")
        imap.append("INBOX", b"Subject: big\r\n\r\n" + b".dot at its start\r\n" * 40_000)


def octets_of(dovecot: Dovecot, user: str) -> list[bytes]:
    with client(dovecot, user) as imap:
        imap.select_folder("INBOX", readonly=True)
        rows = imap.fetch(imap.search() or [], ["BODY.PEEK[]"])
        return [rows[uid][b"BODY[]"] for uid in sorted(rows)]


def uidls_of(port: int, user: str) -> list[str]:
    session = poplib.POP3("127.0.0.1", port, timeout=30)
    session.user(user)
    session.pass_(PASSWORD)
    found = [line.decode().split()[1] for line in session.uidl()[1]]
    session.quit()
    return found


async def test_mail_and_uidls_are_the_same_and_nothing_is_touched_there(
    dovecot: Dovecot, user: str, house: Callable[..., House]
) -> None:
    fill(dovecot, user)
    there, uidls = octets_of(dovecot, user), uidls_of(dovecot.pop3_port, user)
    here = house(user, **NAMES)
    here.plan()
    async with here.engine():
        await here.reach(RouteState.READY)
        with client(dovecot, user) as imap:  # as a POP3 client does that removes what it has read
            imap.select_folder("INBOX")
            imap.add_flags([2, 3], ["\\Deleted"])
            imap.expunge()
            imap.append("INBOX", letter(900))
        there, uidls = octets_of(dovecot, user), uidls_of(dovecot.pop3_port, user)
        await until(lambda: here.uidls(user) == uidls, 30)
        here.ledger.request_cutover(DOMAIN)
        await here.reach(RouteState.NEW)
        await until(lambda: here.move(user).released)
    _, rows = here.content(user)["INBOX"]
    assert [rows[uid][2] for uid in sorted(rows)] == there
    assert here.uidls(user) == uidls
    assert sorted(rows) == [1, *range(4, 44)]
    with client(dovecot, user) as imap:
        imap.select_folder("INBOX", readonly=True)
        assert imap.search("SEEN") == []


async def test_the_date_is_that_of_the_last_server(
    dovecot: Dovecot, user: str, house: Callable[..., House]
) -> None:
    with client(dovecot, user) as imap:
        imap.append(
            "INBOX",
            b"Received: from b by c;\r\n\tTue, 14 Nov 2023 22:13:20 +0100\r\n"
            b"Received: from a by b; Mon, 13 Nov 2023 00:00:00 +0000\r\n"
            b"Date: Sun, 1 Jan 2023 00:00:00 +0000\r\n\r\nx\r\n",
        )
        imap.append("INBOX", b"Date: Sun, 1 Jan 2023 00:00:00 +0000\r\n\r\nx\r\n")
        imap.append("INBOX", b"Subject: none\r\n\r\nReceived: x; Sun, 1 Jan 2023 00:00:00 +0000\r\n")
    here = house(user, **NAMES)
    here.plan()
    before = here.platform.clock.now()
    async with here.engine():
        await here.reach(RouteState.READY)
    _, rows = here.content(user)["INBOX"]
    dates = [rows[uid][1] for uid in sorted(rows)]
    assert dates[:2] == [1_699_996_400, 1_672_531_200]
    assert before - 1 <= dates[2] <= here.platform.clock.now()


async def test_too_much_that_is_gone_stops_the_move(
    dovecot: Dovecot, user: str, house: Callable[..., House]
) -> None:
    fill(dovecot, user)
    here = house(user, **NAMES)
    here.plan()
    async with here.engine():
        await here.reach(RouteState.READY)
        with client(dovecot, user) as imap:
            imap.select_folder("INBOX")
            imap.add_flags(range(1, 31), ["\\Deleted"])
            imap.expunge()
        assert "30 of 42 messages are gone" in await here.halted(user)
    assert len(here.uidls(user)) == 42


async def test_a_way_back_that_would_lose_mail_is_refused(
    dovecot: Dovecot, user: str, house: Callable[..., House]
) -> None:
    fill(dovecot, user, 3)
    here = house(user, **NAMES)
    here.plan()
    async with here.engine():
        await here.reach(RouteState.READY)
        here.ledger.request_cutover(DOMAIN)
        await here.reach(RouteState.NEW)
        await until(lambda: here.move(user).released)
        moves = orders.moves_of(here.ledger, DOMAIN)
        bare.check(here.platform, moves)
        shard = here.platform.store.shard(here.residence(user).shard)
        mailbox = shard.mailbox(here.residence(user), "INBOX")
        shard.store_flags(here.residence(user), mailbox.id, [(1, 1)], "set", ["\\Seen"])
        with pytest.raises(InvalidInput, match="1 messages whose flags changed"):
            bare.check(here.platform, moves)
        orders.request_rollback(here.ledger, DOMAIN)  # past the check: the engine has its own
        assert "would be lost" in await here.halted(user)
        assert here.move(user).route.state is RouteState.NEW


async def test_who_has_done_nothing_here_goes_back(
    dovecot: Dovecot, user: str, house: Callable[..., House]
) -> None:
    fill(dovecot, user, 3)
    here = house(user, **NAMES)
    here.plan()
    async with here.engine():
        await here.reach(RouteState.READY)
        here.ledger.request_cutover(DOMAIN)
        await here.reach(RouteState.NEW)
        await until(lambda: here.move(user).released)
        orders.request_rollback(here.ledger, DOMAIN)
        await here.reach(RouteState.LEGACY)
        await until(lambda: here.move(user).released)
    assert here.move(user).route.home == BackendHome("old")


@pytest.fixture(scope="module", params=["%08Xu%08Xv", "%g", "UID%u-%v"])
def locking(request: pytest.FixtureRequest) -> Iterator[Dovecot]:
    """Locks a maildrop while somebody is in it, with UIDLs of this format."""
    with tempfile.TemporaryDirectory(prefix="mailplat-pop3-") as root:
        server = Dovecot(
            Path(root),
            [(f"a@{DOMAIN}", PASSWORD)],
            MASTER,
            settings=f"protocol pop3 {{\n  pop3_lock_session = yes\n  pop3_uidl_format = {request.param}\n}}\n",
        )
        yield server
        server.stop()


async def test_a_server_that_locks(locking: Dovecot, tmp_path: Path) -> None:
    user = f"a@{DOMAIN}"
    fill(locking, user)
    uidls = uidls_of(locking.pop3_port, user)
    here = House(tmp_path / "house", backend_of(locking, **NAMES), [user])
    here.plan()
    async with here.engine():
        await here.reach(RouteState.READY)
    try:
        assert here.uidls(user) == uidls
    finally:
        here.close()


async def test_a_maildrop_is_left_by_itself(
    dovecot: Dovecot, user: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Messages are read in as many sessions as it takes, and none is kept that has nothing to do."""
    monkeypatch.setattr(pop3_account, "SESSION_S", 0.0)
    monkeypatch.setattr(pop3_account, "GAP_S", 0.0)
    monkeypatch.setattr(pop3_account, "IDLE_S", 0.0)
    fill(dovecot, user, 4)
    opened: list[Session] = []
    real = Session.open

    async def count(*args: object) -> Session:
        opened.append(await real(*args))  # type: ignore[arg-type]
        return opened[-1]

    monkeypatch.setattr(Session, "open", count)
    here = House(tmp_path / "house", backend_of(dovecot, **NAMES), [user])
    here.plan()
    try:
        async with here.engine():
            await here.reach(RouteState.READY)
        assert len(opened) > 6
        assert len(here.uidls(user)) == 6
    finally:
        here.close()


async def test_an_engine_that_dies_gives_the_same_numbers(
    dovecot: Dovecot, user: str, house: Callable[..., House], engines: Engines, tmp_path: Path
) -> None:
    fill(dovecot, user, 6)
    here = house(user, **NAMES)
    here.plan()
    assert await asyncio.to_thread(engines.run, tmp_path / "house", "pop3.numbered") == -signal.SIGKILL
    async with here.engine():
        await here.reach(RouteState.READY)
    with client(dovecot, user) as imap:
        imap.select_folder("INBOX")
        imap.add_flags([2], ["\\Deleted"])
        imap.expunge()
    assert await asyncio.to_thread(engines.run, tmp_path / "house", "pop3.forgotten") == -signal.SIGKILL
    uidls = uidls_of(dovecot.pop3_port, user)
    async with here.engine():
        await until(lambda: here.uidls(user) == uidls, 30)
    assert sorted(here.content(user)["INBOX"][1]) == [1, 3, 4, 5, 6, 7, 8]
