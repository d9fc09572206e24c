"""The statistics of the gates: exact tails, the promised share of false alarms, and what is never missed."""

import random
from fractions import Fraction
from math import comb

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from migration.significance import Cell, Square, dispersion, rank_p_value

LEAST = 10


def square(before: int, since: int, others_before: int, others_since: int, *exposures: int) -> Square:
    one, two, three, four = exposures or (1000, 1000, 1000, 1000)
    return Square(Cell(before, one), Cell(since, two), Cell(others_before, three), Cell(others_since, four))


def distribution(r: int, s: int, c: int, odds: Fraction) -> dict[int, Fraction]:
    """By the book, with whole numbers."""
    weights = {x: comb(r, x) * comb(s, c - x) * odds**x for x in range(max(0, c - s), min(r, c) + 1)}
    whole = sum(weights.values())
    return {x: weight / whole for x, weight in weights.items()}


cases = st.integers(0, 60)
exposures = st.integers(1, 5000)


@given(cases, cases, cases, cases, st.tuples(exposures, exposures, exposures, exposures))
@settings(max_examples=150, deadline=None)
def test_the_tail_is_the_exact_one(a: int, b: int, c: int, d: int, n: tuple[int, ...]) -> None:
    assume(c + d >= LEAST)
    found = square(a, b, c, d, *n).p_value(LEAST)
    odds = Fraction(n[1], n[0]) / Fraction(n[3], n[2])
    exact = distribution(a + b, c + d, b + d, odds)
    assert found == pytest.approx(float(sum(p for x, p in exact.items() if x >= b)), rel=1e-9)


@given(cases, cases, st.integers(0, 4), st.tuples(exposures, exposures))
@settings(max_examples=100, deadline=None)
def test_without_others_it_is_the_binomial_one(a: int, b: int, c: int, n: tuple[int, ...]) -> None:
    share = Fraction(n[1], n[0] + n[1])
    exact = sum(comb(a + b, x) * share**x * (1 - share) ** (a + b - x) for x in range(b, a + b + 1))
    found = square(a, b, c, c, *n, 700, 900).p_value(LEAST)
    assert found == pytest.approx(float(exact), rel=1e-9)


@given(
    st.integers(0, 80),
    st.integers(LEAST, 80),
    st.integers(0, 160),
    exposures,
    exposures,
    exposures,
    exposures,
    st.sampled_from([0.05, 0.01, 0.001]),
)
@settings(max_examples=150, deadline=None)
def test_no_more_false_alarms_than_it_says(
    r: int, s: int, c: int, n1: int, n2: int, n3: int, n4: int, alpha: float
) -> None:
    """Whatever the sums are: where both come from the same change, alarms have at most that probability, exactly."""
    assume(c <= r + s)
    odds = Fraction(n2, n1) / Fraction(n4, n3)
    alarms = sum(
        p
        for x, p in distribution(r, s, c, odds).items()
        if square(r - x, x, s - (c - x), c - x, n1, n2, n3, n4).p_value(LEAST) <= alpha
    )
    assert alarms <= alpha * 1.000001


@given(st.integers(40, 500), st.integers(20, 2000), st.integers(1, 5), st.floats(0.3, 3.0))
@settings(max_examples=150, deadline=None)
def test_five_times_as_many_is_never_missed(before: int, expected: int, size: int, everywhere: float) -> None:
    """With 40 cases before, 100 since where 20 were to be expected, others with 500 before and as many as that makes
    since: beyond one in ten thousand, whatever happened to all."""
    n1, n3 = 10_000, 10_000 * size
    rate = before / n1
    n2 = max(1, round(expected / (rate * everywhere)))
    others_before = max(500, round(rate * n3))
    n4 = n3
    others_since = round(others_before * everywhere)
    found = square(before, 5 * expected, others_before, others_since, n1, n2, n3, n4)
    assert found.p_value(LEAST) < 1e-4
    assert found.since.rate > 3 * found.expected(LEAST)


def test_what_happens_to_everybody_is_no_fault_of_the_move() -> None:
    worse_everywhere = square(100, 500, 1000, 5000, 10_000, 10_000, 100_000, 100_000)
    assert worse_everywhere.p_value(LEAST) > 0.4
    worse_alone = square(100, 500, 1000, 1000, 10_000, 10_000, 100_000, 100_000)
    assert worse_alone.p_value(LEAST) < 1e-30
    stayed_while_all_got_better = square(100, 100, 5000, 1000, 10_000, 10_000, 100_000, 100_000)
    assert stayed_while_all_got_better.p_value(LEAST) < 1e-9


def test_numbers_of_any_size() -> None:
    huge = 10**9
    assert square(huge, huge, huge, huge).p_value(LEAST) == pytest.approx(0.5, abs=1e-3)
    assert square(huge, 2 * huge, huge, huge).p_value(LEAST) < 1e-100
    assert square(2 * huge, huge, huge, huge).p_value(LEAST) == pytest.approx(1.0)
    assert square(0, 0, huge, huge).p_value(LEAST) == 1.0


def test_bursts_raise_no_alarm() -> None:
    """Twelve of each kind at once, as one client that comes back every five minutes: counted as if each stood alone
    it would be an alarm every few times."""
    dice = random.Random(4711)

    def hour() -> Cell:
        return Cell(12 * sum(dice.random() < 0.2 for _ in range(5)), 1000)

    def alarms(spread: float | None) -> int:
        found = 0
        for _ in range(200):
            own, others = [hour() for _ in range(100)], [hour() for _ in range(100)]
            since, theirs = [hour() for _ in range(10)], [hour() for _ in range(10)]
            cells = (_sum(own), _sum(since), _sum(others), _sum(theirs))
            factor = dispersion([own, others]) if spread is None else spread
            found += Square(*cells).p_value(LEAST, factor) <= 0.01
        return found

    assert alarms(1.0) > 30
    assert alarms(None) <= 6


def _sum(cells: list[Cell]) -> Cell:
    return Cell(sum(each.cases for each in cells), sum(each.exposure for each in cells))


def test_even_counts_are_left_as_they_are() -> None:
    assert dispersion([[Cell(5, 100)] * 50]) == 1.0
    assert dispersion([[], [Cell(0, 0)], [Cell(3, 10)]]) == 1.0
    assert dispersion([[Cell(0, 100), Cell(100, 100)] * 10]) > 40
    # Few logins at night, one of them refused: no reason to take all counts for bursts.
    night_and_day = [Cell(2, 2), *[Cell(0, 2)] * 7, *[Cell(2, 400)] * 16] * 7
    assert dispersion([night_and_day]) < 2


def test_ranks() -> None:
    assert rank_p_value(5.0, [1.0] * 99) == 0.01
    assert rank_p_value(1.0, [1.0] * 99) == 1.0
    assert rank_p_value(1.0, []) == 1.0
