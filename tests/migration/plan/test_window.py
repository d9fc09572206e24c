"""Hours of weekdays, over midnight, and where clocks are put forward."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migration.plan.document import WindowTerms

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp()


NIGHT = WindowTerms(days=["fri"], opens="22:00", closes="06:00", zone="Europe/Berlin").window()
MORNING = WindowTerms(days=["mon", "tue"], opens="04:00", closes="07:30", zone="Europe/Berlin").window()


@pytest.mark.parametrize(
    ("when", "is_open"),
    [
        ("2026-11-27T21:59:59", False),  # a Friday
        ("2026-11-27T22:00:00", True),
        ("2026-11-28T05:59:59", True),
        ("2026-11-28T06:00:00", False),
        ("2026-11-28T22:30:00", False),
        ("2026-11-27T03:00:00", False),  # the night of Thursday
    ],
)
def test_a_window_over_midnight_belongs_to_the_day_on_which_it_opens(when: str, is_open: bool) -> None:
    assert NIGHT.is_open(at(when)) is is_open


def test_when_it_opens_next() -> None:
    assert MORNING.next_open(at("2026-11-27T12:00:00")) == at("2026-11-30T04:00:00")
    assert MORNING.next_open(at("2026-11-30T05:00:00")) == at("2026-11-30T05:00:00")
    assert MORNING.next_open(at("2026-11-30T07:30:00")) == at("2026-12-01T04:00:00")


def test_clocks_are_put_forward_and_back() -> None:
    window = WindowTerms(days=["sun"], opens="02:30", closes="04:00", zone="Europe/Berlin").window()
    assert window.next_open(at("2026-03-28T12:00:00")) == at("2026-03-29T03:30:00")
    assert window.is_open(at("2026-10-25T03:59:00"))
    skipped = WindowTerms(days=["sun"], opens="02:00", closes="03:00", zone="Europe/Berlin").window()
    assert skipped.next_open(at("2026-03-28T12:00:00")) == at("2026-04-05T02:00:00")
    day = WindowTerms(days=["sun"], zone="Europe/Berlin").window()
    assert day.is_open(at("2026-03-29T23:59:59"))
    assert not day.is_open(at("2026-03-30T00:00:00"))


DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@given(
    st.sets(st.sampled_from(DAYS), min_size=1),
    st.integers(0, 23),
    st.integers(0, 24),
    st.integers(1_700_000_000, 1_800_000_000),
)
def test_it_is_open_when_it_opens_and_not_between(days: set[str], opens: int, closes: int, now: int) -> None:
    if opens == closes:
        return
    window = WindowTerms(
        days=sorted(days),  # type: ignore[arg-type]
        opens=f"{opens:02}:00",
        closes=f"{closes:02}:00",
        zone="Europe/Berlin",
    ).window()
    then = window.next_open(now)
    assert then >= now
    assert window.is_open(then)
    if then > now:
        assert not window.is_open(now)
        assert not window.is_open((now + then) / 2)
        assert not window.is_open(then - 1)
