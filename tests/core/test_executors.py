"""Lanes: what stalls takes nothing from the others, and is refused until it answers again."""

import asyncio
import threading

import pytest

from mailplat.core.errors import Unavailable
from mailplat.core.executors import Executors, Unanswered
from tests.until import until

PATIENCE_S = 0.2


@pytest.fixture
def executors():
    made = Executors({"store": 2}, patience=PATIENCE_S)
    yield made
    made.close()


async def test_a_full_lane_keeps_nobody_from_another(executors: Executors) -> None:
    stalled = threading.Event()
    waiting = [asyncio.create_task(executors.run("store/s1", stalled.wait)) for _ in range(10)]
    assert await executors.run("store/s2", lambda: "here") == "here"
    assert await executors.run("store", lambda: "and here") == "and here"
    stalled.set()
    assert await asyncio.gather(*waiting) == [True] * 10


async def test_a_question_is_given_up_and_undone_when_it_is_done_after_all(executors: Executors) -> None:
    stalled = threading.Event()
    undone: list[bool] = []
    with pytest.raises(Unanswered):
        await executors.ask_or_undo("store/s1", undone.append, stalled.wait)
    assert undone == []
    stalled.set()
    await until(lambda: undone == [True])


async def test_an_answer_in_time_is_not_undone(executors: Executors) -> None:
    undone: list[int] = []
    assert await executors.ask_or_undo("store/s1", undone.append, int, "7") == 7
    with pytest.raises(ValueError, match="invalid literal"):
        await executors.ask_or_undo("store/s1", undone.append, int, "x")
    assert undone == []


async def test_a_stalled_lane_refuses_at_once_until_it_answers(executors: Executors) -> None:
    stalled = threading.Event()
    for _ in range(2):
        with pytest.raises(Unanswered):
            await executors.ask("store/s1", stalled.wait)
    started = threading.Event()
    with pytest.raises(Unavailable, match="nothing more is asked of it"):
        await executors.run("store/s1", started.set)
    assert await executors.run("store/s2", lambda: 1) == 1
    stalled.set()
    await until(lambda: not executors._lanes["store/s1"]._began)
    await executors.run("store/s1", started.set)
    assert started.is_set()
