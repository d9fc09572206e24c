"""The traps of the redis library and of a server that goes away (each was met with the defaults)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mailplat.bus.embedded import EmbeddedBus
from mailplat.bus.redis import RedisBus, RedisLimits
from mailplat.core.clock import ManualClock
from mailplat.core.hint import MailboxChanged, QueueChanged
from tests.until import until


@contextlib.asynccontextmanager
async def started(bus: RedisBus) -> AsyncIterator[RedisBus]:
    await bus.start()
    try:
        yield bus
    finally:
        await bus.close()


async def test_a_quiet_subscription_outlives_every_timeout(valkey: str) -> None:
    """A read timeout on a blocking read ends it, or makes it last ten times longer."""
    limits = RedisLimits(command_timeout=0.05, connect_timeout=1.0, quiet=0.05)
    async with started(RedisBus(valkey, limits=limits)) as bus, started(RedisBus(valkey)) as other:
        listener = bus.listen("queue")
        assert await listener.wait(5)
        assert not await listener.wait(0.5)  # ten read timeouts, ten questions whether it lives
        other.publish(QueueChanged())
        assert await listener.wait(5)
        assert bus.subscriptions == 1


async def test_more_callers_than_connections_wait_and_none_fails(valkey: str) -> None:
    clock = ManualClock()
    limits = RedisLimits(connections=2, command_timeout=20.0)
    async with started(RedisBus(valkey, clock, limits)) as bus, started(RedisBus(valkey, clock)) as other:
        await asyncio.gather(*(bus.count("crowd", 600) for _ in range(150)))
        assert await other.count("crowd", 600) == 151  # from the other end: all of them were shared


async def test_a_dead_server_is_asked_once_and_then_left_alone() -> None:
    """The library's defaults would try eleven times and pause in between."""
    connections = 0

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    bus = RedisBus(f"redis://127.0.0.1:{port}", limits=RedisLimits(rest=3600))
    assert [await bus.count("k", 600) for _ in range(20)] == list(range(1, 21))  # fails open: counts alone
    assert connections <= 2  # the library connects again once to clean up, and does not try again
    await bus.close()
    server.close()
    await server.wait_closed()


async def test_publishing_without_a_server_never_raises_and_is_counted(tmp_path: Path) -> None:
    async with started(RedisBus(f"unix://{tmp_path}/nobody.sock")) as bus:
        listener = bus.listen("account:1")
        bus.publish(MailboxChanged(1, 1))
        assert await listener.wait(5)  # within the process it is heard all the same
        await until(lambda: bus.lost)


async def test_the_outbox_is_bounded(tmp_path: Path) -> None:
    bus = RedisBus(f"unix://{tmp_path}/nobody.sock", limits=RedisLimits(outbox=3))
    for account in range(5):
        bus.publish(MailboxChanged(account, 1))
    bus.publish(MailboxChanged(0, 2))  # waits already
    assert bus.lost == 2
    await bus.close()


async def test_after_a_gap_listeners_fire_so_that_readers_look_again(tmp_path: Path) -> None:
    server = EmbeddedBus(tmp_path)
    url = server.start()
    try:
        async with started(RedisBus(url)) as bus, started(RedisBus(url)) as other:
            listener = bus.listen("account:1")
            assert await listener.wait(5)
            server.close()
            other.publish(MailboxChanged(1, 1))  # lost: nobody carries it
            await until(lambda: other.lost)
            while await listener.wait(0.05):
                pass
            server = EmbeddedBus(tmp_path)
            assert server.start() == url
            assert await listener.wait(10)
            other.publish(MailboxChanged(1, 1))
            assert await listener.wait(10)
    finally:
        server.close()


async def test_a_cancelled_count_leaves_no_wrong_answers(valkey: str) -> None:
    """An answer that nobody read must not be taken for the next command's."""
    clock = ManualClock()
    async with started(RedisBus(valkey, clock, RedisLimits(connections=1, command_timeout=5))) as bus:
        for number in range(50):
            task = asyncio.ensure_future(bus.count(f"cancelled:{number}", 600, 1000))
            for _ in range(number % 7):
                await asyncio.sleep(0)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            assert await bus.count(f"after:{number}", 600) == 1


@pytest.mark.parametrize("close_first", [True, False])
async def test_topics_are_subscribed_and_left_as_listeners_come_and_go(
    valkey: str, close_first: bool
) -> None:
    async with started(RedisBus(valkey)) as bus, started(RedisBus(valkey)) as other:
        for number in range(30):
            listener = bus.listen(f"account:{number}")
            if close_first:
                listener.close()
                listener = bus.listen(f"account:{number}")
            assert await listener.wait(5)
            other.publish(MailboxChanged(number, 1))
            assert await listener.wait(5)
            listener.close()
        assert bus.subscriptions == 1
