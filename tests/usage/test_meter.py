"""Counting in memory."""

import pytest

from mailplat.core.clock import ManualClock
from mailplat.core.outcome import Result
from mailplat.core.route import BackendHome, ShardHome
from mailplat.usage import Counts, Meter
from mailplat.usage import meter as module
from mailplat.usage.meter import HOUR_S, OPEN_EVERY_S, Key

NOON = 1_700_000_000 // HOUR_S * HOUR_S
HERE, THERE = ShardHome("s1"), BackendHome("old")


def test_each_hour_and_home_has_its_own_counts() -> None:
    clock = ManualClock(NOON + 10.0)
    meter = Meter(clock)
    meter.login(1, "a.test", THERE)
    meter.login(1, "a.test", HERE)
    clock.advance(HOUR_S)
    meter.login(1, "a.test", HERE)
    assert {key: counts.logins for key, counts in meter.take().items()} == {
        Key("a.test", NOON, "backend:old"): 1,
        Key("a.test", NOON, "shard:s1"): 1,
        Key("a.test", NOON + HOUR_S, "shard:s1"): 1,
    }
    assert meter.take() == {}


def test_an_account_is_prompted_once_an_hour_however_often_somebody_guesses() -> None:
    clock = ManualClock(float(NOON))
    meter = Meter(clock)
    for _ in range(50):
        meter.refusal(1, "a.test", HERE)
        meter.login(1, "a.test", HERE)
    meter.refusal(2, "a.test", HERE)
    (counts,) = meter.take().values()
    assert counts == Counts(logins=50, refused=51, users=1, prompted=2)
    clock.advance(HOUR_S)
    meter.refusal(1, "a.test", HERE)
    (counts,) = meter.take().values()
    assert counts.prompted == 1


def test_deliveries_by_how_late_they_were() -> None:
    meter = Meter(ManualClock())
    for delay in (0.0, 10.0, 10.5, 61.0, 601.0):
        meter.delivery("a.test", HERE, Result.DELIVERED, delay)
    meter.delivery("a.test", HERE, Result.DEFERRED, 9.0)
    meter.delivery("a.test", HERE, Result.FAILED, 9.0)
    (counts,) = meter.take().values()
    assert counts == Counts(
        delivered=5, deferred=1, failed=1, delay_ms=682_500, later_10=3, later_60=2, later_600=1
    )


def test_octets_of_a_session_at_its_end_and_of_a_long_one_in_between() -> None:
    clock = ManualClock()
    meter = Meter(clock)
    sent = 100  # what was said before the login
    tap = meter.open_tap("a.test", HERE, lambda: sent)
    sent += 1000
    assert meter.take() == {}
    clock.advance(OPEN_EVERY_S)
    assert [counts.octets for counts in meter.take().values()] == [1000]
    sent += 7
    tap.close()
    tap.close()
    assert [counts.octets for counts in meter.take(everything=True).values()] == [7]
    sent += 9
    assert meter.take(everything=True) == {}


def test_what_could_not_be_kept_is_added_to_what_came_since() -> None:
    meter = Meter(ManualClock())
    meter.login(1, "a.test", HERE)
    taken = meter.take()
    meter.login(1, "a.test", HERE)
    assert meter.give_back(taken) == 0
    (counts,) = meter.take().values()
    assert counts.logins == 2


def test_a_database_that_is_away_for_long_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ROWS", 100)
    meter = Meter(ManualClock())
    hours = {Key("a.test", hour, "shard:s1"): Counts(logins=1) for hour in range(105)}
    assert meter.give_back(hours) == 5
    assert min(key.hour for key in meter.take()) == 5
