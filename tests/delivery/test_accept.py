"""One commit decides: what the reply after the final dot rests on."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from mailplat.core.errors import DiskFull, MailplatError, StaleEpoch, Unavailable
from mailplat.core.reply import DISK_FULL, FENCED, LOOP, OVER_QUOTA, UNAVAILABLE, Reply
from mailplat.core.route import RouteState
from mailplat.core.spool import Body
from mailplat.delivery.trace import relay_field
from mailplat.queue import Filter
from tests.delivery.house import HOSTNAME, MESSAGE, PEER, RECEIVED, SENDER, House, stored


def codes(replies: Reply | list[Reply]) -> list[str]:
    many = replies if isinstance(replies, list) else [replies]
    return [f"{reply.code} {reply.status}" for reply in many]


def queued(house: House) -> list[str]:
    return [entry.recipient.local for entry in house.queue.entries()]


async def test_one_shard_is_stored_at_once(house: House) -> None:
    house.add("bert"), house.add("cleo")
    assert codes(await house.accept("bert", "cleo")) == ["250 2.0.0"]
    assert house.inbox("bert") == house.inbox("cleo") == [stored()]
    assert queued(house) == []


@pytest.mark.parametrize("homes", [("s1", "s2"), ("legacy",), ("s1", "legacy"), ("legacy", "legacy")])
async def test_everything_else_is_queued_for_all(house: House, homes: Sequence[str]) -> None:
    house.add_backend("smtp:127.0.0.1:9")
    names = [f"u{number}" for number in range(len(homes))]
    for name, home in zip(names, homes, strict=True):
        house.add(name, home)
    assert codes(await house.accept(*names)) == ["250 2.0.0"]
    assert queued(house) == names
    assert all(
        house.inbox(name, home) == [] for name, home in zip(names, homes, strict=True) if home != "legacy"
    )
    [leased] = house.queue.lease("w", 10)
    body = house.queue.body(leased)
    assert body.octets() == RECEIVED + MESSAGE
    body.close()


async def test_fenced_is_accepted_and_held(house: House) -> None:
    house.add_backend("smtp:127.0.0.1:9")
    house.add("bert", "legacy")
    house.advance("bert", RouteState.SEEDING), house.advance("bert", RouteState.TRACKING)
    house.advance("bert", RouteState.FENCED, fence_s=30)
    assert codes(await house.accept("bert")) == ["250 2.0.0"]
    assert queued(house) == ["bert"]


async def test_a_flood_behind_a_fence_is_refused(house: House) -> None:
    house.delivery._hold_limit = 2
    house.add_backend("smtp:127.0.0.1:9")
    house.add("bert", "legacy")
    house.advance("bert", RouteState.SEEDING), house.advance("bert", RouteState.TRACKING)
    house.advance("bert", RouteState.FENCED, fence_s=30)
    replies = [await house.accept("bert") for _ in range(3)]
    assert replies[2] == FENCED
    assert len(queued(house)) == 2


async def test_over_quota(house: House) -> None:
    house.add("bert", quota=10), house.add("cleo")
    assert await house.accept("bert") == OVER_QUOTA
    assert queued(house) == []
    # Together with others the one reply must be for all: they get theirs, he waits in the queue.
    assert codes(await house.accept("bert", "cleo")) == ["250 2.0.0"]
    assert queued(house) == ["bert", "cleo"]


async def test_lmtp_answers_for_each(house: House) -> None:
    house.add_backend("smtp:127.0.0.1:9")
    house.add("bert", quota=10), house.add("cleo"), house.add("dora", "s2"), house.add("emil", "legacy")
    replies = await house.accept("emil", "bert", "cleo", "dora", separately=True)
    assert codes(replies) == ["250 2.0.0", "452 4.2.2", "250 2.0.0", "250 2.0.0"]
    assert house.inbox("cleo") == house.inbox("dora", "s2") == [stored()]
    assert house.inbox("bert") == []
    assert queued(house) == ["emil"]


async def test_a_home_that_changed_since_rcpt_is_looked_up_again(house: House) -> None:
    house.add("bert")
    old = house.target("bert")
    house.advance("bert", RouteState.FENCED, fence_s=30)
    house.advance("bert", RouteState.NEW, shard="s2")
    house.store.shard("s1").grant(
        old.account_id, house.target("bert").route.epoch
    )  # its old home heard of it
    reply = await house.delivery.accept(SENDER, [old], Body.of(MESSAGE), RECEIVED, PEER)
    assert codes(reply) == ["250 2.0.0"]
    assert house.inbox("bert", "s2") == [stored()]
    assert house.inbox("bert", "s1") == []


class Refusing:
    """A store whose deliveries all fail."""

    def __init__(self, error: MailplatError) -> None:
        self.error = error
        self.asked = 0

    async def deliver(self, *_: Any) -> None:
        self.asked += 1
        raise self.error

    deliver_each = deliver


@pytest.mark.parametrize(
    ("error", "reply", "asked"),
    [
        (DiskFull("full"), DISK_FULL, 2),
        (Unavailable("gone"), UNAVAILABLE, 2),
        (StaleEpoch("moved"), FENCED, 5),
    ],
)
async def test_refusals_of_the_store(house: House, error: MailplatError, reply: Reply, asked: int) -> None:
    house.add("bert")
    store = Refusing(error)
    house.delivery._local._store = store  # type: ignore[assignment]
    assert await house.accept("bert") == reply
    assert await house.accept("bert", separately=True) == [reply]
    assert store.asked == asked
    assert queued(house) == []


async def test_a_queue_that_cannot_write_is_no_250(house: House) -> None:
    house.add_backend("smtp:127.0.0.1:9")
    house.add("bert", "legacy")
    target = house.target("bert")
    house.queue.close()
    assert await house.delivery.accept(SENDER, [target], Body.of(MESSAGE), RECEIVED, PEER) == UNAVAILABLE


async def test_a_cancelled_caller_tears_nothing(house: House) -> None:
    house.add("bert")
    begun, gate = asyncio.Event(), asyncio.Event()
    deliver = house.delivery._local.deliver

    async def slow(*arguments: Any, **options: Any) -> None:
        begun.set()
        await gate.wait()
        await deliver(*arguments, **options)

    house.delivery._local.deliver = slow  # type: ignore[method-assign]
    body = Body.of(MESSAGE)

    async def caller() -> None:
        try:
            await house.delivery.accept(SENDER, [house.target("bert")], body, RECEIVED, PEER)
        finally:
            body.close()

    task = asyncio.ensure_future(caller())
    await begun.wait()
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()  # twice, as a shutdown does
    await asyncio.sleep(0)
    assert not task.done()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert house.inbox("bert") == [stored()]


async def test_what_comes_back_from_where_we_relayed_it_is_a_loop(house: House) -> None:
    house.add_backend("smtp:127.0.0.1:9")
    house.add("bert", "legacy"), house.add("cleo")
    marked = relay_field(HOSTNAME, "legacy") + MESSAGE
    assert await house.accept("bert", octets=marked) == LOOP
    assert queued(house) == []
    # Another platform's mark, or another backend's, is none of ours; and who has moved here is just served.
    assert codes(await house.accept("bert", octets=relay_field("mx2.example.org", "legacy") + MESSAGE)) == [
        "250 2.0.0"
    ]
    assert codes(await house.accept("bert", octets=relay_field(HOSTNAME, "other") + MESSAGE)) == ["250 2.0.0"]
    assert codes(await house.accept("cleo", octets=marked)) == ["250 2.0.0"]
    assert len(house.queue.entries(Filter(address="bert@example.org"))) == 2


async def test_many_at_once_share_commits_and_all_arrive(house: House) -> None:
    house.add_backend("smtp:127.0.0.1:9")
    house.add("bert", "legacy")
    replies = await asyncio.gather(
        *(house.accept("bert", octets=b"Subject: %d\r\n\r\n" % number) for number in range(60))
    )
    assert all(isinstance(reply, Reply) and reply.code == 250 for reply in replies)
    assert len(queued(house)) == 60
