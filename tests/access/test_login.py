"""One login for IMAP and POP3: who, and where his mail is."""

import asyncio

import pytest

from mailplat.access import login, throttle
from mailplat.access.login import AuthenticationFailed, Forward, Master, Serve
from mailplat.core.errors import StaleEpoch, Unavailable
from mailplat.core.route import BackendHome, RouteState, ShardHome
from tests.access.conftest import MakeHouse
from tests.access.house import DOMAIN, PASSWORD, PEER, House


@pytest.fixture(autouse=True)
def no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login, "FAILURE_DELAY_S", 0.0)


async def enter(house: House, name: str, password: str = PASSWORD) -> login.Granted:
    return await house.login.login(f"{name}@{DOMAIN}", password, PEER, "imap")


async def test_an_account_of_ours_is_served_under_its_epoch(house: House) -> None:
    account = house.add("anna")
    house.advance("anna", RouteState.FENCED, RouteState.NEW)
    granted = await enter(house, "ANNA")
    assert isinstance(granted, Serve)
    assert (granted.account.id, granted.residence.shard, granted.residence.epoch) == (account.id, "s1", 3)
    assert house.store.shard("s1").mailbox(granted.residence, "INBOX").messages == 0


async def test_the_shard_hears_of_each_new_epoch(house: House) -> None:
    """However often somebody logged in before."""
    house.add("anna")
    before = await enter(house, "anna")
    assert await enter(house, "anna") == before
    house.advance("anna", RouteState.FENCED, RouteState.NEW)
    after = await enter(house, "anna")
    assert isinstance(before, Serve)
    assert isinstance(after, Serve)
    shard = house.store.shard("s1")
    shard.create(after.residence, "Box")
    with pytest.raises(StaleEpoch):
        shard.create(before.residence, "Other")


async def test_an_account_of_a_backend_is_forwarded_unchecked(house: House) -> None:
    """We may not know its password; the backend does."""
    house.add_backend(imap="127.0.0.1:1")
    house.add_forwarded("anna")
    granted = await enter(house, "Anna", "whatever")
    assert isinstance(granted, Forward)
    assert (granted.name, granted.password) == (f"Anna@{DOMAIN}", "whatever")
    assert granted.backend.name == "legacy"
    assert "whatever" not in repr(granted)


async def test_who_is_refused(house: House) -> None:
    house.add_backend()
    house.add("anna")
    house.add("empty", password="")
    for name in ("sleeping", "sleeping-far"):
        account = house.add(name) if name == "sleeping" else house.add_forwarded(name)
        house.directory.set_account(account.id, active=False)
    for name, password in (
        ("anna", "wrong"),
        ("anna", ""),
        ("nobody", PASSWORD),
        ("empty", ""),
        ("sleeping", PASSWORD),
        ("sleeping-far", PASSWORD),
        ("anna", PASSWORD + "\0"),
        ("\0", "\0"),
    ):
        with pytest.raises(AuthenticationFailed, match=r"^wrong name or password$"):
            await enter(house, name, password)


async def test_repeated_failures_wait_longer_and_longer_and_only_their_own(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login, "FAILURE_DELAY_S", 1.0)
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    house.add("anna")
    monkeypatch.setattr(login.asyncio, "sleep", sleep)
    for _ in range(throttle.FREE_FAILURES):
        with pytest.raises(AuthenticationFailed):
            await enter(house, "anna", "wrong")
    assert waits == []
    for _ in range(12):
        with pytest.raises(AuthenticationFailed):
            await enter(house, "ANNA", "wrong")
    assert waits == sorted(waits)
    assert waits[0] > 0
    assert waits[-1] == login.MAX_DELAY_S
    waits.clear()
    with pytest.raises(AuthenticationFailed):
        await enter(house, "bert", "wrong")
    assert isinstance(await enter(house, "anna"), Serve)  # the right password never waits
    assert waits == []


async def test_a_fence_is_waited_out_and_the_new_home_served(house: House) -> None:
    house.add("anna", BackendHome("legacy"))
    house.add_backend()
    house.advance("anna", RouteState.SEEDING, RouteState.TRACKING, RouteState.FENCED)
    waiting = asyncio.create_task(enter(house, "anna"))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    house.advance("anna", RouteState.NEW, home=ShardHome("s2"))
    granted = await waiting
    assert isinstance(granted, Serve)
    assert (granted.residence.shard, granted.residence.epoch) == ("s2", 5)


async def test_a_fence_that_is_given_up_leads_back(house: House) -> None:
    house.add("anna", BackendHome("legacy"))
    house.add_backend()
    house.advance("anna", RouteState.SEEDING, RouteState.TRACKING, RouteState.FENCED)
    waiting = asyncio.create_task(enter(house, "anna"))
    await asyncio.sleep(0.05)
    house.advance("anna", RouteState.TRACKING)
    assert isinstance(await waiting, Forward)


async def test_a_fence_is_noticed_without_a_hint(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(house.bus, "publish", lambda hint: None)
    house.add("anna")
    house.advance("anna", RouteState.FENCED)
    waiting = asyncio.create_task(enter(house, "anna"))
    await asyncio.sleep(0.05)
    house.advance("anna", RouteState.NEW)
    assert isinstance(await waiting, Serve)


async def test_a_fence_longer_than_the_wait(houses: MakeHouse) -> None:
    house = houses(wait=0.05)
    house.add("anna")
    house.advance("anna", RouteState.FENCED)
    with pytest.raises(Unavailable, match="fenced"):
        await enter(house, "anna")


async def test_nothing_is_assumed_where_something_is_missing(house: House) -> None:
    """A route to a shard or backend that is not here, a database that is gone: never another home."""
    house.add("anna", ShardHome("s9"))
    house.add("bert", BackendHome("gone"))
    for name in ("anna", "bert"):
        with pytest.raises(Unavailable):
            await enter(house, name)
    with house.database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE route RENAME TO away")
    with pytest.raises(Unavailable):
        await enter(house, "anna")


async def test_a_master_user_enters_accounts_of_ours_only(houses: MakeHouse) -> None:
    house = houses(master=Master("master", "m-secret"))
    house.add("anna")
    house.add_backend()
    house.add_forwarded("bert")
    granted = await house.login.login(f"anna@{DOMAIN}*master", "m-secret", PEER, "imap")
    assert isinstance(granted, Serve)
    for name, password in (
        (f"anna@{DOMAIN}*master", "wrong"),
        (f"anna@{DOMAIN}*master", PASSWORD),
        (f"anna@{DOMAIN}*other", "m-secret"),
        (f"anna@{DOMAIN}", "m-secret"),
        (f"bert@{DOMAIN}*master", "m-secret"),
        (f"nobody@{DOMAIN}*master", "m-secret"),
    ):
        with pytest.raises(AuthenticationFailed):
            await house.login.login(name, password, PEER, "imap")


async def test_an_account_that_moves_while_its_password_is_checked(house: House) -> None:
    house.add("anna")
    real = house.store.shard
    moved = []

    def shard(name: str) -> object:
        if not moved:  # right before the grant
            moved.append(house.advance("anna", RouteState.FENCED, RouteState.NEW))
            real("s1").grant(moved[0].account_id, moved[0].epoch)
        return real(name)

    house.store.shard = shard  # type: ignore[assignment,method-assign]
    granted = await enter(house, "anna")
    assert isinstance(granted, Serve)
    assert granted.residence.epoch == moved[0].epoch


async def test_logins_are_counted(house: House) -> None:
    from mailplat.admin import metrics

    def count(outcome: str) -> float:
        return metrics.logins.labels("imap", outcome)._value.get()

    house.add("anna")
    served, refused = count("served"), count("refused")
    await enter(house, "anna")
    with pytest.raises(AuthenticationFailed):
        await enter(house, "anna", "wrong")
    assert (count("served"), count("refused")) == (served + 1, refused + 1)
