"""Waves from a census: properties that every proposal has."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.core.errors import InvalidInput
from migration.census.duration import Duration, Spread
from migration.census.report import DomainReport, Report
from migration.census.risk import Reason
from migration.census.summary import Summary
from migration.census.ties import Tie
from migration.plan.document import LimitTerms, PlanTerms, parse
from migration.plan.proposal import WAVES, propose
from migration.plan.writing import render

NAMES = [f"d{number:02}.test" for number in range(30)]
LIMITS = LimitTerms(connections=4, latency=0.1)


def census(domains: dict[str, tuple[int, float]], pairs: list[tuple[str, str]] | None = None) -> Report:
    """Of risk and seconds."""
    reports = [
        DomainReport(
            Summary(name, accounts=1, sizes=[(1, 1)]),
            [Reason("x", risk, "x")],
            Duration(0.0, seconds, 2 * seconds),
        )
        for name, (risk, seconds) in sorted(domains.items())
    ]
    tied = [Tie(one, other, 1, 0) for one, other in pairs or []]
    return Report("old", reports, tied, [], Spread(0.5, 1.0, 2.0, 0))


@given(
    st.dictionaries(st.sampled_from(NAMES), st.tuples(st.integers(0, 100), st.floats(0, 1e6)), min_size=1),
    st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), max_size=20),
    st.sets(st.sampled_from(NAMES), max_size=3),
    st.integers(1, 8),
)
def test_every_proposal(
    domains: dict[str, tuple[int, float]], pairs: list[tuple[str, str]], alpha: set[str], waves: int
) -> None:
    alpha &= set(domains)
    plan, joined = propose(census(domains, pairs), alpha, waves, LIMITS)
    places = {domain: wave.position for wave in plan.wave for domain in wave.domains}
    assert sorted(domain for wave in plan.wave for domain in wave.domains) == sorted(domains), "each in one"
    assert all(wave.domains for wave in plan.wave)
    assert all(places[one] == places[other] for one, other in pairs if one in places and other in places)
    if alpha:
        first = plan.in_order()[0]
        assert first.name == "old-alpha"
        assert set(first.domains) == alpha | set(joined)
    assert len(plan.wave) <= waves + bool(alpha)
    # What is tied has the risk of its riskiest; no wave behind begins below where the one before ended.
    rest = [wave for wave in plan.in_order() if wave.name != "old-alpha"]
    if not pairs:
        risks = [[domains[each][0] for each in wave.domains] for wave in rest]
        assert all(max(one) <= min(other) for one, other in itertools.pairwise(risks))
        assert len(rest) == min(waves, len(domains) - len(alpha)), "no fewer waves than were asked for"
    assert parse(render(plan), "x") == plan


def test_waves_take_about_equally_long() -> None:
    plan, _ = propose(census(dict.fromkeys(NAMES, (10, 100.0))), [], None, LIMITS)
    assert [len(wave.domains) for wave in plan.wave] == [10] * WAVES
    assert plan.wave[0].backends == {"old": LIMITS}


def test_who_comes_with_the_alpha_domains_is_named() -> None:
    domains = dict.fromkeys(NAMES[:4], (0, 1.0))
    plan, joined = propose(census(domains, [(NAMES[0], NAMES[3])]), [NAMES[0]], 1, LIMITS)
    assert joined == [NAMES[3]]
    assert [wave.domains for wave in plan.in_order()] == [[NAMES[0], NAMES[3]], [NAMES[1], NAMES[2]]]


def test_an_alpha_domain_that_does_not_live_there() -> None:
    with pytest.raises(InvalidInput, match=r"no account of d09\.test lives on backend old"):
        propose(census({NAMES[0]: (0, 1.0)}), [NAMES[9]], 1, LIMITS)


def test_a_plan_of_nothing_but_alpha() -> None:
    plan, _ = propose(census({NAMES[0]: (0, 1.0)}), [NAMES[0]], 3, LIMITS)
    assert plan == PlanTerms(plan="old", wave=plan.wave)
    assert [wave.name for wave in plan.wave] == ["old-alpha"]
