"""What holds on every bus."""

import asyncio
import threading
import uuid

import pytest

from mailplat.bus import Bus, Listener, open_bus, topics
from mailplat.core.clock import ManualClock
from mailplat.core.errors import InvalidInput
from mailplat.core.hint import MailboxChanged, QueueChanged, RouteChanged

Buses = tuple[Bus, Bus]


async def quiet(bus: Bus, topic: str) -> Listener:
    """A listener whose subscription is confirmed and who heard what there was to hear. A marker that was
    published after the confirmation is the proof that nothing else is on its way."""
    listener = bus.listen(topic)
    while await listener.wait(0.1):
        pass
    return listener


def test_topics() -> None:
    assert topics(MailboxChanged(7, 3)) == ("account:7",)
    assert topics(RouteChanged(7)) == ("account:7", "routes")
    assert topics(QueueChanged()) == ("queue",)


async def test_a_hint_reaches_the_other_end_and_only_its_topic(buses: Buses) -> None:
    one, other = buses
    mine, foreign = await quiet(other, "account:1"), await quiet(other, "account:2")
    one.publish(MailboxChanged(1, 5))
    assert await mine.wait(5)
    assert not foreign.pending
    mine.close()
    foreign.close()


async def test_a_route_is_heard_on_both_topics(buses: Buses) -> None:
    one, other = buses
    routes, account = await quiet(other, "routes"), await quiet(other, "account:3")
    one.publish(RouteChanged(3))
    assert await routes.wait(5)
    assert await account.wait(5)


async def test_hints_are_coalesced(buses: Buses) -> None:
    one, other = buses
    listener = await quiet(other, "queue")
    for _ in range(100):
        one.publish(QueueChanged())
    assert await listener.wait(5)
    times = 1
    while await listener.wait(0.1):
        times += 1
    assert times < 100


async def test_pending_says_that_wait_returns_at_once(buses: Buses) -> None:
    one, _ = buses
    listener = await quiet(one, "queue")
    assert not listener.pending
    one.publish(QueueChanged())  # its own process hears it without any server
    assert listener.pending
    assert await listener.wait(0)
    assert not listener.pending


async def test_publish_from_many_threads(buses: Buses) -> None:
    one, other = buses
    listeners = [await quiet(other, f"account:{number}") for number in range(8)]
    threads = [
        threading.Thread(
            target=lambda number=number: [one.publish(MailboxChanged(number, 1)) for _ in range(50)]
        )
        for number in range(8)
    ]
    for thread in threads:
        thread.start()
    assert all(await asyncio.gather(*(listener.wait(5) for listener in listeners)))
    for thread in threads:
        thread.join()
    assert one.lost == 0


async def test_a_closed_listener_hears_nothing_and_others_still_do(buses: Buses) -> None:
    one, other = buses
    closed, stays = await quiet(other, "queue"), await quiet(other, "queue")
    closed.close()
    closed.close()
    one.publish(QueueChanged())
    assert await stays.wait(5)
    assert not closed.pending


async def test_listening_again_after_the_last_listener_left(buses: Buses) -> None:
    one, other = buses
    (await quiet(other, "queue")).close()
    listener = await quiet(other, "queue")
    one.publish(QueueChanged())
    assert await listener.wait(5)


async def test_a_cancelled_wait_loses_nothing(buses: Buses) -> None:
    one, other = buses
    listener = await quiet(other, "queue")
    waiting = asyncio.ensure_future(listener.wait())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    one.publish(QueueChanged())
    assert await listener.wait(5)


async def test_both_ends_count_together(buses: Buses) -> None:
    one, other = buses
    key = uuid.uuid4().hex
    assert await one.count(key, 60) == 1
    assert await other.count(key, 60, 5) == 6
    assert await one.count(uuid.uuid4().hex, 60) == 1


async def test_the_window_slides(buses: Buses, clock: ManualClock) -> None:
    one, _ = buses
    key = uuid.uuid4().hex
    clock.advance(60 - clock.now() % 60)  # the start of a window
    assert await one.count(key, 60, 100) == 100
    clock.advance(60 + 15)  # a quarter of the next: three quarters of the last are still inside
    assert await one.count(key, 60, 1) == 76
    clock.advance(120)
    assert await one.count(key, 60, 1) == 1


async def test_an_event_loop_that_is_gone_is_no_error(buses: Buses) -> None:
    one, _ = buses
    made: list[Listener] = []

    def elsewhere() -> None:
        async def listen() -> None:
            made.append(one.listen("queue"))

        asyncio.run(listen())

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    before = one.lost
    one.publish(QueueChanged())
    made[0].close()
    assert one.lost >= before


def test_urls() -> None:
    with pytest.raises(InvalidInput, match="2 workers"):
        open_bus("", workers=2)
    with pytest.raises(InvalidInput, match="memory:, redis://HOST"):
        open_bus("amqp://x")
    with pytest.raises(InvalidInput):
        open_bus("redis://host:notaport")
