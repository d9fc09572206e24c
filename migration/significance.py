"""Whether a rate has risen more than chance explains, and more than it has risen elsewhere in the same time.

Difference in differences of rates: cases k of exposures n (refused logins of all logins), of a domain that moved and
of others that have not, before and since. Where nothing but the time has changed, the ratio since/before is the same
for both. Given the sums of rows and columns, the cases that the moved domain has since then have the distribution

    P(x) ~ C(r, x) C(s, c - x) w^x,    w = (n_since / n_before of the moved) / (n_since / n_before of the others)

with r and s the cases of the moved and of the others, c those of both since: Fisher's noncentral hypergeometric
distribution (McCullagh and Nelder, Generalized Linear Models, 2nd ed. 1989, 7.3.2), Fisher's exact test with unequal
exposures. Others with no or few cases say nothing of the time; without them the test is the binomial one of two
Poisson rates (Przyborowski and Wilenski, Biometrika 31, 1940). Both are exact: a false alarm comes at most as often
as the significance says. A share of attempts varies less than a Poisson count: the alarm then comes less often.

Cases come in bursts: one client with an old password is refused every minute. Counts are therefore divided by their
index of dispersion (Pearson's chi-square by its degrees of freedom, the same book, 4.5), estimated from the hours
before.

Several tests at once share the significance (Bonferroni). Who looks N times in a row has at most N times as many
false alarms.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

# Below it chi-square makes much of little: one case where 0.1 was to be expected (Cochran, Biometrics 10, 1954).
LEAST_MEAN = 5.0

# A term so much smaller than what is summed up already changes no digit of it.
_NEGLIGIBLE = 1e-17
# Beyond it a sum of terms next to 1 leaves nothing of the 1.
_ENDLESS = 1e200


@dataclass(frozen=True, slots=True)
class Cell:
    """Of one group in one time."""

    cases: int
    exposure: int

    @property
    def rate(self) -> float:
        return self.cases / self.exposure if self.exposure else 0.0

    def thinned(self, dispersion: float) -> "Cell":
        return Cell(int(self.cases / dispersion), self.exposure)


@dataclass(frozen=True, slots=True)
class Square:
    """Moved and not, before and since. The moved domain's exposures are above 0."""

    before: Cell
    since: Cell
    others_before: Cell
    others_since: Cell

    def others_speak(self, least: int) -> bool:
        """Whether the others have enough cases to say how the rate has changed everywhere."""
        cells = (self.others_before, self.others_since)
        return all(cell.exposure for cell in cells) and sum(cell.cases for cell in cells) >= least

    def expected(self, least: int) -> float:
        """The moved domain's rate since, had it changed as the others' did. Half a case more everywhere, so that
        none is never divided by (Haldane 1956, Anscombe 1956)."""
        own = (self.before.cases + 0.5) / self.before.exposure
        if not self.others_speak(least):
            return own
        before, since = self.others_before, self.others_since
        return own * ((since.cases + 0.5) / since.exposure) / ((before.cases + 0.5) / before.exposure)

    def p_value(self, least: int, dispersion: float = 1.0) -> float:
        """How probable so many cases since, or more, are by chance."""
        odds = self.since.exposure / self.before.exposure
        before, since = self.before.thinned(dispersion), self.since.thinned(dispersion)
        if not self.others_speak(least):
            return _upper_tail(since.cases, before.cases + since.cases, 0, since.cases, odds, binomial=True)
        odds /= self.others_since.exposure / self.others_before.exposure
        theirs_before = self.others_before.thinned(dispersion)
        theirs_since = self.others_since.thinned(dispersion)
        return _upper_tail(
            since.cases,
            before.cases + since.cases,
            theirs_before.cases + theirs_since.cases,
            since.cases + theirs_since.cases,
            odds,
        )


def dispersion(groups: Sequence[Sequence[Cell]]) -> float:
    """How many times more than Poisson's the counts of these hours vary, each group around its own rate; at least
    1. Hours in a row are taken together until LEAST_MEAN cases are to be expected of them."""
    total, freedom = 0.0, 0
    for cells in groups:
        exposure, cases = sum(cell.exposure for cell in cells), sum(cell.cases for cell in cells)
        if not exposure or not cases:
            continue
        blocks = _blocks(cells, cases / exposure)
        for mean, count in blocks:
            total += (count - mean) ** 2 / mean
        freedom += len(blocks) - 1
    return max(1.0, total / freedom) if freedom else 1.0


def _blocks(cells: Sequence[Cell], rate: float) -> list[tuple[float, int]]:
    """(expected, counted) of neighbours; what is left over goes to the last."""
    blocks: list[tuple[float, int]] = []
    mean, count = 0.0, 0
    for cell in cells:
        mean, count = mean + cell.exposure * rate, count + cell.cases
        if mean >= LEAST_MEAN:
            blocks.append((mean, count))
            mean, count = 0.0, 0
    if mean and blocks:
        last = blocks.pop()
        blocks.append((last[0] + mean, last[1] + count))
    return blocks or [(mean, count)]


def rank_p_value(value: float, baseline: Sequence[float]) -> float:
    """How probable it is that one of them is as high as this, if all are of one kind (Phipson and Smyth, Statistical
    Applications in Genetics and Molecular Biology 9, 2010: never 0)."""
    return (1 + sum(each >= value for each in baseline)) / (1 + len(baseline))


def _upper_tail(x: int, r: int, s: int, c: int, odds: float, *, binomial: bool = False) -> float:
    """P(X >= x) of the distribution above; `binomial`: of Bin(r, odds / (1 + odds)), where only r is given. Terms as
    multiples of that of x, outwards until they do not count any more."""

    def step_up(at: int) -> float:
        """P(at + 1) / P(at)."""
        if binomial:
            return (r - at) / (at + 1) * odds
        return (r - at) * (c - at) / ((at + 1) * (s - c + at + 1)) * odds

    low = 0 if binomial else max(0, c - s)
    high = r if binomial else min(r, c)
    upper = _sum_outwards(x, high, step_up)
    if upper > _ENDLESS:
        return 1.0
    lower = _sum_outwards(x, low, lambda at: 1 / step_up(at - 1)) - 1.0
    return upper / (upper + lower)


def _sum_outwards(start: int, end: int, factor: Callable[[int], float]) -> float:
    total = term = 1.0
    step = 1 if end >= start else -1
    for at in range(start, end, step):
        ratio = factor(at)
        term *= ratio
        total += term
        if total > _ENDLESS or (ratio < 1.0 and term < total * _NEGLIGIBLE):
            break
    return total
