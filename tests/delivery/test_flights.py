import asyncio

import pytest

from mailplat.delivery.flights import Abandoned, Flights


async def test_clear_waits_for_those_on_their_way_and_for_no_later_one() -> None:
    flights = Flights()
    first = flights.start([1, 2])
    clearing = asyncio.ensure_future(flights.clear(1, patience=60))
    await asyncio.sleep(0)
    flights.start([1])
    flights.start([3])
    assert not clearing.done()
    flights.land(first)
    await asyncio.wait_for(clearing, 5)
    await asyncio.wait_for(flights.clear(2, patience=60), 5)
    assert len(flights.all()) == 2


async def test_what_does_not_end_by_itself_is_abandoned() -> None:
    flights = Flights()
    flight = flights.start([1])

    async def relay() -> None:
        try:
            await flight.carry(asyncio.Event().wait())
        except Abandoned:
            flights.land(flight)

    task = asyncio.ensure_future(relay())
    await asyncio.wait_for(flights.clear(1, patience=0.01), 5)
    await task
    with pytest.raises(Abandoned):
        flight.commit()


async def test_after_its_final_dot_it_is_waited_for() -> None:
    flights = Flights()
    flight = flights.start([1])
    flight.commit()
    clearing = asyncio.ensure_future(flights.clear(1, patience=0))
    await asyncio.sleep(0.05)
    assert not clearing.done()
    assert not flight.abandoned
    flights.land(flight)
    await asyncio.wait_for(clearing, 5)


async def test_a_clear_that_is_cancelled_may_be_repeated() -> None:
    flights = Flights()
    flight = flights.start([1])
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await flights.clear(1, patience=60)
    clearing = asyncio.ensure_future(flights.clear(1, patience=60))
    await asyncio.sleep(0)
    flights.land(flight)
    await asyncio.wait_for(clearing, 5)


async def test_our_own_cancellation_is_not_taken_for_an_abandonment() -> None:
    flight = Flights().start([1])
    inner = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            inner.set()

    task = asyncio.ensure_future(flight.carry(work()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(inner.wait(), 5)


async def test_abandoned_before_it_began() -> None:
    flight = Flights().start([1])
    flight.abandon()
    with pytest.raises(Abandoned):
        await flight.carry(asyncio.sleep(0))
