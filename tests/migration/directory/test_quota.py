"""A quota that was taken over is counted first, and holds from the cutover on: until then the legacy platform sees to
its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mailplat.core.address import Address
from mailplat.core.reply import Reply
from mailplat.core.route import RouteState
from tests.delivery.house import DOMAIN, House
from tests.ingress.house import House as Door
from tests.ingress.wire import Wire


def code(reply: Reply | list[Reply]) -> int:
    assert isinstance(reply, Reply)
    return reply.code


async def test_it_refuses_nothing_before_the_cutover_and_holds_after_it(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.add_backend("lmtp:127.0.0.1:1")
    house.add("anna", "legacy", quota=10)
    house.add("bert", "legacy")
    house.directory.set_domain(DOMAIN, quota=10)
    assert code(await house.accept("anna")) == 250
    assert code(await house.accept("anna", "bert")) == 250
    for state in (RouteState.SEEDING, RouteState.TRACKING, RouteState.READY):
        house.advance("anna", state)
        assert code(await house.accept("anna")) == 250, state
    house.advance("anna", RouteState.FENCED, fence_s=30)
    assert code(await house.accept("anna")) == 250, "held"
    house.advance("anna", RouteState.NEW, "s1")
    assert code(await house.accept("anna")) == 452
    house.directory.set_domain(DOMAIN, quota=0)
    assert code(await house.accept("anna")) == 452
    house.directory.set_account(house.directory.account(Address("anna", DOMAIN)).id, quota=1000)
    assert code(await house.accept("anna")) == 250
    house.close()


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    opened = Door(tmp_path)
    yield opened
    await opened.close()


async def test_nor_does_the_door_at_rcpt(door: Door) -> None:
    olga = door.directory.account(Address("olga", "example.org"))
    door.directory.set_account(olga.id, quota=10)
    door.directory.set_domain("example.org", quota=10)
    wire = await Wire.open(await door.listen())
    await wire.ask("EHLO client.example")
    await wire.ask("MAIL FROM:<a@remote.example> SIZE=5000")
    assert (await wire.ask("RCPT TO:<olga@example.org>")).startswith("250 ")
