"""What delivery counts, by the home of each recipient."""

import pytest

from mailplat.core.clock import ManualClock
from mailplat.delivery import Delivery
from mailplat.usage import Counts, Meter
from tests.delivery.house import DOMAIN, HOSTNAME, MESSAGE, House
from tests.delivery.remote import Remote, listening
from tests.until import until


def counted(meter: Meter) -> dict[str, Counts]:
    found: dict[str, Counts] = {}
    for key, counts in meter.take().items():
        assert key.domain == DOMAIN
        found.setdefault(key.home, Counts()).add(counts)
    return found


def metered(house: House) -> Meter:
    meter = Meter(house.clock)
    house.delivery = Delivery(
        house.directory, house.store, house.queue, house.executors, hostname=HOSTNAME, meter=meter
    )
    return meter


async def test_into_a_shard_at_once(house: House) -> None:
    meter = metered(house)
    for name in ("anna", "bert"):
        house.add(name)
    await house.accept("anna", "bert")
    await house.accept("anna", "bert", separately=True)
    assert counted(meter) == {"shard:s1": Counts(delivered=4)}


@pytest.mark.parametrize("separately", [False, True])
async def test_what_we_refuse_is_put_off_for_the_recipient_too(house: House, separately: bool) -> None:
    meter = metered(house)
    house.add("anna", quota=len(MESSAGE))
    house.add("bert")
    await house.accept("anna", separately=separately)
    assert counted(meter) == {"shard:s1": Counts(deferred=1)}
    replies = await house.accept("anna", "bert", separately=True)
    assert [reply.code for reply in replies] == [452, 250]  # type: ignore[union-attr]
    assert counted(meter) == {"shard:s1": Counts(deferred=1, delivered=1)}


async def test_relayed_refused_and_tried_again(house: House) -> None:
    meter = metered(house)
    remote = Remote()
    remote.answers["RCPT"] = ["450 4.2.1 later", "250 2.1.5 ok", "550 5.1.1 nobody"]
    async with listening(remote) as remote:
        house.add_backend(remote.next_hop)
        house.add("dora", "legacy")
        async with house.working(meter=meter):
            await house.accept("dora")
            await until(lambda: house.queue.counts()["messages"] == 0)
            await house.accept("dora")
            await until(lambda: house.queue.counts()["messages"] == 0)
    counts = counted(meter)["backend:legacy"]
    assert (counts.delivered, counts.deferred, counts.failed, counts.later_10) == (1, 1, 1, 0)
    assert counts.delay_ms >= 0


async def test_how_late_a_message_comes(house: House) -> None:
    house.clock = house.queue._clock = clock = ManualClock(house.clock.now())
    meter = metered(house)
    async with listening(Remote()) as remote:
        house.add_backend(remote.next_hop)
        house.add("dora", "legacy")
        await house.accept("dora")
        clock.advance(90.0)
        async with house.working(meter=meter):
            await until(lambda: house.queue.counts()["messages"] == 0)
    assert counted(meter) == {"backend:legacy": Counts(delivered=1, delay_ms=90_000, later_10=1, later_60=1)}
