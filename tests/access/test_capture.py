"""Passwords captured at the proxy from a real Dovecot: who logged in before the cutover can log in after it."""

import asyncio
from collections.abc import Iterator

import pytest

from mailplat.access import capture, login
from mailplat.access.login import AuthenticationFailed, Forward, Serve
from mailplat.access.proxy import connect_imap, connect_pop3
from mailplat.core.address import Address
from mailplat.core.route import BackendHome, RouteState, ShardHome
from mailplat.directory import Account
from mailplat.directory.credentials import hash_password, verify_password
from tests.access.house import DOMAIN, PEER, House
from tests.dovecot import Dovecot
from tests.until import until

pytestmark = pytest.mark.interop

RIGHT = 'Zoë ☃ "quoted"'


@pytest.fixture(scope="module")
def dovecot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dovecot]:
    server = Dovecot(tmp_path_factory.mktemp("dovecot"), users=[(f"anna@{DOMAIN}", RIGHT)])
    yield server
    server.stop()


@pytest.fixture
async def front(house: House, dovecot: Dovecot, monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.setattr(login, "FAILURE_DELAY_S", 0.0)
    house.add_backend(imap=f"127.0.0.1:{dovecot.imap_port}", pop3=f"127.0.0.1:{dovecot.pop3_port}")
    await house.start_watch()
    return house


def add(house: House, password_hash: str) -> Account:
    return house.directory.add_account(
        Address("anna", DOMAIN), home=BackendHome("legacy"), password_hash=password_hash
    )


def kept(house: House) -> str:
    return house.directory.account(Address("anna", DOMAIN)).password_hash


async def enter(house: House, protocol: login.Protocol, password: str = RIGHT) -> None:
    granted = await house.login.login(f"anna@{DOMAIN}", password, PEER, protocol)
    assert isinstance(granted, Forward)
    (await (connect_imap if protocol == "imap" else connect_pop3)(granted)).close()


@pytest.mark.parametrize("protocol", ["imap", "pop3"])
async def test_who_logged_in_before_the_cutover_can_after_it(front: House, protocol: login.Protocol) -> None:
    add(front, "")
    await enter(front, protocol)
    await until(lambda: kept(front))
    states = RouteState.SEEDING, RouteState.TRACKING, RouteState.READY, RouteState.FENCED, RouteState.NEW
    front.advance("anna", *states, home=ShardHome("s1"))
    assert isinstance(await front.login.login(f"anna@{DOMAIN}", RIGHT, PEER, protocol), Serve)
    with pytest.raises(AuthenticationFailed):
        await front.login.login(f"anna@{DOMAIN}", "wrong", PEER, protocol)


async def test_a_password_that_the_backend_refuses_is_not_captured(front: House) -> None:
    add(front, "")
    for protocol in ("imap", "pop3"):
        with pytest.raises(AuthenticationFailed):
            await enter(front, protocol, "wrong")
    await enter(front, "imap")
    await until(lambda: kept(front))
    assert verify_password(RIGHT, kept(front))


async def test_the_backends_newest_yes_wins_over_an_imported_hash(front: House) -> None:
    add(front, "{PLAIN}of last year")
    await enter(front, "imap")
    await until(lambda: verify_password(RIGHT, kept(front)))
    assert kept(front).startswith("{ARGON2ID}")


async def test_a_hash_that_fits_stays_as_it_is(front: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """And is looked at once, however often its owner's client polls."""
    looked: list[str] = []

    def verify(password: str, stored: str, address: str = "") -> bool:
        looked.append(stored)
        return verify_password(password, stored)

    monkeypatch.setattr(capture, "verify_password", verify)
    imported = f"{{PLAIN}}{RIGHT}"
    add(front, imported)
    await enter(front, "imap")
    await until(lambda: front.capture._known)
    for _ in range(3):
        await enter(front, "pop3")
    assert kept(front) == imported
    assert looked == [imported]


async def test_nothing_is_captured_once_the_account_lives_here(front: House) -> None:
    """Its owner may have changed the password here since; the session that began before does not undo that."""
    account = add(front, "")
    front.advance(
        "anna",
        *(RouteState.SEEDING, RouteState.TRACKING, RouteState.READY, RouteState.FENCED, RouteState.NEW),
        home=ShardHome("s1"),
    )
    new = await asyncio.to_thread(hash_password, RIGHT)
    assert not front.directory.capture_password(account, new)
    assert kept(front) == ""


async def test_nor_over_a_hash_that_was_set_meanwhile(front: House) -> None:
    account = add(front, "")
    front.directory.set_account(account.id, password_hash="{PLAIN}set by an admin")
    assert not front.directory.capture_password(account, "{PLAIN}captured")
    assert kept(front) == "{PLAIN}set by an admin"
