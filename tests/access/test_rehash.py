"""Hashes of other platforms become argon2id when their owner logs in here."""

import pytest

from mailplat.access import rehash
from mailplat.access.login import AuthenticationFailed, Serve
from mailplat.core.address import Address
from mailplat.core.errors import Unavailable
from mailplat.core.route import BackendHome, Home, RouteState, ShardHome
from mailplat.directory import Account, credentials
from mailplat.directory.credentials import verify_password
from mailplat.directory.scram_keys import ScramStore
from tests.access.conftest import MakeHouse
from tests.access.house import DOMAIN, PEER, House

PASSWORD = "secret"
OLD = "{PLAIN-MD5}5ebe2294ecd0e0f08eab7690d2a6ee69"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "_argon2", credentials.argon2.PasswordHasher(1, 8, 1))


@pytest.fixture
async def house(houses: MakeHouse) -> House:
    return houses(rehash=True)


HERE = ShardHome("s1")


def add(house: House, home: Home = HERE) -> Account:
    return house.directory.add_account(Address("anna", DOMAIN), home=home, password_hash=OLD)


def kept(house: House) -> str:
    return house.directory.account(Address("anna", DOMAIN)).password_hash


async def enter(house: House, password: str = PASSWORD) -> None:
    assert isinstance(await house.login.login(f"anna@{DOMAIN}", password, PEER, "imap"), Serve)
    await house.login.rehash.settled()


async def test_the_first_login_makes_it_new_and_the_next_one_is_by_it(house: House) -> None:
    add(house)
    await enter(house)
    new = kept(house)
    assert new.startswith("{ARGON2ID}")
    assert verify_password(PASSWORD, new)
    await enter(house)
    assert kept(house) == new


async def test_a_wrong_password_changes_nothing(house: House) -> None:
    add(house)
    with pytest.raises(AuthenticationFailed):
        await enter(house, "wrong")
    await house.login.rehash.settled()
    assert kept(house) == OLD


async def test_a_password_that_was_changed_meanwhile_stays(house: House) -> None:
    account = add(house)
    house.login.rehash.offer(account, PASSWORD)
    house.directory.set_account(account.id, password_hash="{PLAIN}newer")
    await house.login.rehash.settled()
    assert kept(house) == "{PLAIN}newer"


async def test_what_a_backend_judges_is_left_to_it(house: House) -> None:
    house.add_backend()
    account = add(house, BackendHome("legacy"))
    house.login.rehash.offer(account, PASSWORD)
    await house.login.rehash.settled()
    assert kept(house) == OLD


async def test_who_may_go_back_keeps_the_hash_that_came_along(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no processor hashes for nothing at each login, which would go on for weeks."""
    house.add_backend()
    add(house, BackendHome("legacy"))
    states = RouteState.SEEDING, RouteState.TRACKING, RouteState.READY, RouteState.FENCED, RouteState.NEW
    house.advance("anna", *states, home=HERE)
    hashed: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(rehash, "hash_password", hashed.append)
        await enter(house)
        assert (kept(house), hashed) == (OLD, [])
    house.advance("anna", RouteState.FINAL)
    await enter(house)
    assert kept(house) != OLD


async def test_scram_goes_on_with_the_keys_that_it_has(house: House) -> None:
    house.directory.set_domain(DOMAIN, scram=True)
    add(house)
    assert isinstance(await house.login.login(f"anna@{DOMAIN}", PASSWORD, PEER, "imap"), Serve)
    await house.login.rehash.settled()
    account = house.directory.account(Address("anna", DOMAIN))
    assert account.password_hash != OLD
    assert ScramStore(house.database).keys(account) is not None


async def test_a_directory_that_cannot_write_fails_no_login(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> bool:
        raise Unavailable("locked")

    add(house)
    with monkeypatch.context() as patch:
        patch.setattr(ScramStore, "renew_hash", refuse)
        await enter(house)
    assert kept(house) == OLD
    await enter(house)
    assert kept(house) != OLD
