import random

from hypothesis import given
from hypothesis import strategies as st

from mailplat.queue import RetrySchedule


@given(st.integers(1, 100_000), st.integers())
def test_pauses_are_positive_and_bounded(attempts: int, seed: int) -> None:
    schedule = RetrySchedule()
    pause = schedule.pause(attempts, random.Random(seed))
    assert schedule.first * 0.75 <= pause <= schedule.longest * 1.25


def test_jitter_spreads_what_failed_together() -> None:
    rng = random.Random(3)
    pauses = {RetrySchedule().pause(1, rng) for _ in range(100)}
    assert len(pauses) == 100
    assert RetrySchedule(jitter=0).pause(3, rng) == 60


def test_five_days() -> None:
    schedule = RetrySchedule()
    assert not schedule.expired(0, 5 * 86_400)
    assert schedule.expired(0, 5 * 86_400 + 1)
