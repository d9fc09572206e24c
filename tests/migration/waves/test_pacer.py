"""Connections of a backend that become fewer, and more, while they are used."""

import asyncio

from mailplat.core.clock import SystemClock
from migration.pacing import Pacer


async def _settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_limit_holds_from_now_on() -> None:
    pacer = Pacer(SystemClock(), 3)
    inside: list[int] = []
    gates = [asyncio.Event() for _ in range(6)]

    async def work(number: int) -> None:
        async with pacer.slot():
            inside.append(number)
            await gates[number].wait()
            inside.remove(number)

    tasks = [asyncio.create_task(work(number)) for number in range(6)]
    await _settle()
    assert inside == [0, 1, 2]
    pacer.limit(1, 0.0)
    gates[0].set()
    gates[1].set()
    await _settle()
    assert inside == [2], "nobody is put out, nobody comes in"
    assert pacer.crowded
    gates[2].set()
    await _settle()
    assert inside == [3]
    tasks[4].cancel()
    pacer.limit(2, 0.0)
    await _settle()
    assert inside == [3, 5], "who has left the line is passed over"
    for gate in gates:
        gate.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert not pacer.active
    assert not pacer.crowded


async def test_a_turn_that_comes_when_one_leaves_is_the_next_ones() -> None:
    pacer = Pacer(SystemClock(), 1)
    release = asyncio.Event()

    async def hold() -> None:
        async with pacer.slot():
            await release.wait()

    async def pass_through() -> bool:
        async with pacer.slot():
            return True

    first = asyncio.create_task(hold())
    await _settle()
    second, third = asyncio.create_task(pass_through()), asyncio.create_task(pass_through())
    await _settle()
    release.set()
    await first  # the second's turn is set and it has not run yet
    second.cancel()
    assert await asyncio.wait_for(third, 5)
    assert not pacer.active


def test_the_share_grows_back_with_its_limit() -> None:
    pacer = Pacer(SystemClock(), 4)
    pacer.limit(2, 0.0)
    assert pacer.controller.share == 2.0
    pacer.limit(4, 0.0)
    assert pacer.controller.share == 4.0
    pacer.limit(2, 0.1)
    for _ in range(50):
        pacer.controller.measured(0.01)
    assert pacer.controller.share == 2.0
