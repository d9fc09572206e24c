"""What a forecast must obey whatever the numbers are."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migration.forecast.costs import MEASURED, Costs, Line, Work
from migration.forecast.population import Account, population
from migration.forecast.simulator import DAY_S, Host, Schedule, in_window, simulate

PLENTY = 1e6

lines = st.builds(Line, st.floats(0.001, 1.0), st.floats(0.0, 0.01), st.floats(0.0, 1e-6))
works = st.builds(Work, lines, lines, lines)
costs = st.builds(Costs, works, works, works, works)
accounts = st.lists(st.builds(Account, st.floats(0.0, 1e4), st.floats(0.0, 9e8)), min_size=1, max_size=20)
hosts = st.lists(
    st.builds(Host, st.floats(0.1, 8.0), st.floats(1e5, 1e9), st.integers(1, 6)), min_size=1, max_size=4
)


def asked(each: Account, what: Costs, name: str) -> float:
    """By hand: what an account below 1 GB takes until READY."""
    return sum(
        getattr(work, name).of(each.messages, each.octets) for work in (what.copy, what.compare, what.round)
    )


@given(accounts, costs)
def test_one_connection_that_nothing_slows_takes_the_sum_of_all(mail: list[Account], what: Costs) -> None:
    found = simulate(mail, [Host(PLENTY, math.inf, 1)], PLENTY, Schedule(), what)
    assert found.waves[0].copied == pytest.approx(sum(asked(each, what, "elapsed") for each in mail))


@given(accounts, hosts, st.floats(0.1, 8.0), costs)
@settings(deadline=None)
def test_no_resource_gives_more_than_it_has(
    mail: list[Account], there: list[Host], cores: float, what: Costs
) -> None:
    seconds = simulate(mail, there, cores, Schedule(), what).waves[0].copied * (1 + 1e-9)
    assert sum(asked(each, what, "worker") for each in mail) <= seconds * cores
    for number, host in enumerate(there):
        own = mail[number :: len(there)]
        assert sum(asked(each, what, "elapsed") for each in own) <= seconds * host.connections
        assert sum(asked(each, what, "host") for each in own) <= seconds * host.cores
        assert 2 * sum(each.octets for each in own) <= seconds * host.octets
        assert max((asked(each, what, "elapsed") for each in own), default=0.0) <= seconds


@given(accounts, hosts, st.floats(0.1, 8.0), costs)
@settings(deadline=None)
def test_nothing_rests_while_it_could_work(
    mail: list[Account], there: list[Host], cores: float, what: Costs
) -> None:
    """At each instant something is used up, or one account of a host is under way alone: no longer than all of it
    one after another."""
    seconds = simulate(mail, there, cores, Schedule(), what).waves[0].copied
    most = sum(asked(each, what, "worker") for each in mail) / cores
    for number, host in enumerate(there):
        own = mail[number :: len(there)]
        most += sum(asked(each, what, "elapsed") for each in own)
        most += sum(asked(each, what, "host") for each in own) / host.cores
        most += 2 * sum(each.octets for each in own) / host.octets
    assert seconds <= most * (1 + 1e-9)


def test_waves_follow_each_other() -> None:
    """The second is copied while the first bakes, and cut over when it has baked; one by one it waits."""
    mail = population(200, 1e6, 1e4)
    ahead = simulate(mail, [Host(1.0)], 1.0, Schedule(2, bake=DAY_S), MEASURED)
    first, second = ahead.waves
    assert second.begun == first.copied < first.cut_over
    assert second.first_cutover == first.done == first.cut_over + DAY_S
    one_by_one = simulate(mail, [Host(1.0)], 1.0, Schedule(2, bake=DAY_S, ahead=False), MEASURED)
    assert one_by_one.waves[1].begun == one_by_one.waves[0].done


@pytest.mark.parametrize(
    ("at", "seconds", "expected"),
    [
        (0.0, 100.0, (0.0, 100.0)),
        (3000.0, 1000.0, (3000.0, DAY_S + 400.0)),
        (3600.0, 10.0, (DAY_S, DAY_S + 10.0)),
        (50_000.0, 2 * 3600.0, (DAY_S, 2 * DAY_S + 3600.0)),
    ],
)
def test_a_window_of_an_hour_a_day(at: float, seconds: float, expected: tuple[float, float]) -> None:
    assert in_window(at, seconds, 3600.0) == expected


@given(st.integers(1, 500), st.floats(1e3, 1e10), st.floats(0.0, 2.0))
def test_a_population_has_the_octets_that_were_asked_for(count: int, each: float, spread: float) -> None:
    drawn = population(count, each, 75_000, spread=spread)
    assert len(drawn) == count
    assert sum(account.octets for account in drawn) == pytest.approx(count * each)


@pytest.mark.parametrize(
    ("there", "cores", "schedule"),
    [
        ([], 1.0, Schedule()),
        ([Host(0.0)], 1.0, Schedule()),
        ([Host(1.0)], 0.0, Schedule()),
        ([Host(1.0)], 1.0, Schedule(window=0.0)),
        ([Host(1.0)], 1.0, Schedule(waves=0)),
    ],
)
def test_what_would_never_end_is_refused(there: list[Host], cores: float, schedule: Schedule) -> None:
    with pytest.raises(ValueError, match=r"above 0|at least one"):
        simulate(population(3, 1e6, 1e4), there, cores, schedule, MEASURED)
