"""What is made of what was read: ties, risk, durations."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.core.address import Address
from mailplat.core.limits.census import CensusLimits
from mailplat.directory import Alias
from migration.census.duration import ROUNDS_LEAST, UNMEASURED, predict, spread_of
from migration.census.facts import Facts
from migration.census.risk import RISKS, reasons
from migration.census.summary import Summary, summarise
from migration.census.taking import Resident
from migration.census.ties import Tie, groups, ties
from migration.forecast.costs import MEASURED
from migration.forecast.population import Account


def alias(source: str, *targets: str) -> Alias:
    return Alias(source, tuple(Address(*each.split("@")) for each in targets))


def test_ties_are_what_leads_to_another_domain() -> None:
    found = ties(
        [
            alias("info@a.test", "ada@a.test"),
            alias("sales@a.test", "bob@b.test"),
            alias("@a.test", "ada@b.test"),
            alias("team@a.test", "ada@a.test", "bob@b.test", "carol@c.test"),
        ]
    )
    assert found == [Tie("a.test", "b.test", 2, 1), Tie("a.test", "c.test", 0, 1)]


NAMES = [f"{letter}.test" for letter in "abcdefgh"]


@given(
    st.sets(st.sampled_from(NAMES)),
    st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES))),
)
def test_tied_domains_are_in_one_group(domains: set[str], pairs: list[tuple[str, str]]) -> None:
    found = groups(domains, [Tie(one, other, 1, 0) for one, other in pairs])
    assert sorted(each for group in found for each in group) == sorted(domains)
    where = {each: number for number, group in enumerate(found) for each in group}
    for one, other in pairs:
        if one in where and other in where:
            assert where[one] == where[other]
    if not pairs:
        assert len(found) == len(domains)


def test_every_risk_has_its_reason_and_none_applies_to_a_plain_domain() -> None:
    assert reasons(Summary("plain.test", accounts=3)) == []
    everything = Summary(
        "bad.test",
        accounts=2,
        unreadable=["a@bad.test"],
        colliding=["b@bad.test"],
        leaving_mail=["a@bad.test"],
        pop3_troubled=["a@bad.test"],
        oversized=["b@bad.test"],
        passwords_unknown=2,
        without_condstore=1,
        tied_to=["other.test"],
    )
    found = reasons(everything)
    assert {each.name for each in found} == {each.name for each in RISKS}
    assert sum(each.weight for each in RISKS) == 100
    points = {each.name: each.points for each in found}
    assert (points["unreadable"], points["pop3"], points["passwords"]) == (30, 5, 10)
    assert "b@bad.test" in next(each.text for each in found if each.name == "collisions")


def test_a_domain_is_the_sum_of_its_accounts() -> None:
    large = Facts(messages=10, octets=30_000_000_000, collisions=("x and y",))
    found = summarise(
        [
            Resident(1, "a@a.test", "a.test", True, large),
            Resident(2, "b@a.test", "a.test", False, Facts(messages=5, octets=50)),
            Resident(3, "c@b.test", "b.test", True, None, "refused"),
        ],
        [Tie("a.test", "b.test", 1, 0)],
        CensusLimits(),
    )
    assert [each.domain for each in found] == ["a.test", "b.test"]
    first, second = found
    assert (first.accounts, first.messages, first.passwords_unknown) == (2, 15, 1)
    assert first.colliding == first.oversized == ["a@a.test"]
    assert (first.tied_to, second.tied_to) == (["b.test"], ["a.test"])
    assert second.unreadable == ["c@b.test"]


def test_the_interval_is_that_of_measured_copies_where_there_are_enough() -> None:
    copy = MEASURED.copy.elapsed
    measured = [(copy.of(100, 1e6) * factor, 100, 1_000_000) for factor in (1.5,) * 8 + (1.0, 4.0)]
    few = spread_of(measured[: ROUNDS_LEAST - 1])
    assert (few.low, few.middle, few.high, few.rounds) == (1 / UNMEASURED, 1.0, UNMEASURED, 0)
    found = spread_of(measured)
    assert found.rounds == 10
    assert found.middle == pytest.approx(1.5)
    assert 1.0 < found.low < 1.5 < found.high < 4.0
    accounts = [Account(100, 1e6)] * 20
    duration = predict(accounts, 4, found)
    assert duration.low < duration.expected < duration.high
    assert duration.expected == pytest.approx(1.5 * predict(accounts, 4, few).expected)
    assert predict([], 4, found).high == 0.0
