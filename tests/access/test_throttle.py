"""Who guesses is slowed down: by name, address and network; and waits before the door only in small numbers."""

import asyncio

import pytest

from mailplat.access import login, throttle
from mailplat.access.login import AuthenticationFailed
from mailplat.access.throttle import Throttle, ThrottleLimits
from mailplat.admin import metrics
from mailplat.bus import MemoryBus
from mailplat.core.clock import ManualClock
from mailplat.core.envelope import Peer
from mailplat.core.errors import LimitReached
from mailplat.core.network import network_of
from tests.access.conftest import MakeHouse
from tests.access.house import DOMAIN, PASSWORD, House


def count(cause: str) -> float:
    return float(metrics.throttled.labels(cause)._value.get())


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.0/24"),
        ("192.0.2.255", "192.0.2.0/24"),
        ("::ffff:192.0.2.7", "192.0.2.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_networks(address: str, network: str) -> None:
    assert network_of(address) == network


LIMITS = ThrottleLimits(address_failures=5, network_failures=8, waiting=2, trusted=("198.51.100.0/28",))


@pytest.fixture
def made() -> Throttle:
    return Throttle(MemoryBus(ManualClock()), LIMITS)


async def test_one_name(made: Throttle) -> None:
    found = [await made.excess("anna", "192.0.2.7") for _ in range(throttle.FREE_FAILURES + 2)]
    assert found == [0, 0, 0, 1, 2]


async def test_one_address_whatever_the_names(made: Throttle) -> None:
    before = count("address")
    found = [await made.excess(f"name{number}", "192.0.2.7") for number in range(7)]
    assert found == [0, 0, 0, 0, 0, 1, 2]
    assert count("address") == before + 2
    assert await made.excess("name9", "203.0.113.7") == 0


@pytest.mark.parametrize("form", ["192.0.2.{}", "2001:db8:1:2::{}"])
async def test_one_network_whatever_the_addresses(made: Throttle, form: str) -> None:
    before = count("network")
    found = [await made.excess(f"name{number}", form.format(number)) for number in range(10)]
    assert found == [0] * 8 + [1, 2]
    assert count("network") == before + 2


async def test_a_network_that_is_trusted_has_only_the_limit_of_names(made: Throttle) -> None:
    found = [await made.excess(f"name{number}", "198.51.100.3") for number in range(20)]
    assert found == [0] * 20
    assert [await made.excess("anna", "198.51.100.3") for _ in range(4)] == [0, 0, 0, 1]
    tickets = [made.admit("198.51.100.3") for _ in range(5)]
    assert made.waiting() == 0
    for ticket in tickets:
        ticket.close()


def test_places_before_the_door(made: Throttle) -> None:
    before = count("connections")
    first, second = made.admit("192.0.2.7"), made.admit("192.0.2.8")
    with pytest.raises(LimitReached, match=r"192\.0\.2\.0/24"):
        made.admit("192.0.2.9")
    assert count("connections") == before + 1
    elsewhere = made.admit("192.0.3.7")
    first.close()
    first.close()
    third = made.admit("192.0.2.9")
    with pytest.raises(LimitReached):
        made.admit("192.0.2.7")
    for ticket in (second, third, elsewhere):
        ticket.close()
    assert made.waiting() == 0


async def test_the_door_delays_who_goes_through_names(
    houses: MakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = houses(throttle=ThrottleLimits(address_failures=2))
    house.add("anna")
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(login.asyncio, "sleep", sleep)
    peer = Peer("192.0.2.7", 1)
    for number in range(4):
        house.add(f"name{number}")
        with pytest.raises(AuthenticationFailed):
            await house.login.login(f"name{number}@{DOMAIN}", "wrong", peer, "pop3")
    assert len(waits) == 2
    assert min(waits) >= login.FAILURE_DELAY_S
    await house.login.login(f"anna@{DOMAIN}", PASSWORD, peer, "pop3")  # right: never late
    assert len(waits) == 2


@pytest.mark.parametrize("protocol", ["imap", "pop3"])
async def test_connections_that_are_not_logged_in(houses: MakeHouse, protocol: str) -> None:
    house: House = houses(throttle=ThrottleLimits(waiting=2))
    house.add("anna")
    server = house.imap if protocol == "imap" else house.pop3
    refused = b"* BYE [UNAVAILABLE] " if protocol == "imap" else b"-ERR [SYS/TEMP] "
    port = await house.listen(server)
    first, second = await house.connect(port), await house.connect(port)
    for client in (first, second):
        assert b"ready" in await client.line()
    third = await house.connect(port)
    assert (await third.line()).startswith(refused)
    assert await third.rest() == b""
    if protocol == "imap":  # who is logged in no longer counts
        await first.tagged("a", f'a LOGIN anna@{DOMAIN} "{PASSWORD}"')
    else:
        await first.ask(f"USER anna@{DOMAIN}")
        await first.ask(f"PASS {PASSWORD}")
    fourth = await house.connect(port)
    assert b"ready" in await fourth.line()
    fifth = await house.connect(port)
    assert (await fifth.line()).startswith(refused)
    for client in (second, fourth):  # nor who has gone
        client.close()
    async with asyncio.timeout(20):
        while house.login.throttle.waiting():  # noqa: ASYNC110 - the server's own end of them has no event
            await asyncio.sleep(0.001)
    sixth = await house.connect(port)
    assert b"ready" in await sixth.line()


async def test_who_unauthenticates_waits_again_like_others(houses: MakeHouse) -> None:
    house: House = houses(throttle=ThrottleLimits(waiting=2))
    house.add("anna")
    port = await house.listen(house.imap)
    first, second = await house.connect(port), await house.connect(port)
    for client in (first, second):
        assert b"ready" in await client.line()
        await client.tagged("a", f'a LOGIN anna@{DOMAIN} "{PASSWORD}"')
    await first.tagged("b", "b UNAUTHENTICATE")
    third = await house.connect(port)
    assert b"ready" in await third.line()
    await second.ask("b NOOP")
    assert (await second.ask("c UNAUTHENTICATE")).startswith(b"* BYE")
    assert await second.rest() == b""
