"""Gates between waves: does a domain that has moved do worse than those that have not?

Each measure is a share of something that is counted by the hour (mailplat/usage): refused logins of all logins, and
so on. A domain's share since its move is compared with its own of the days before, and with what became of the share
of matched domains, those that have not moved, in the same time: what a Monday, a spam wave or a broken line does to
everybody is no fault of the move (significance.py).

A breach is what has at least `cases` cases, at least `factor` times those that were to be expected, and is beyond
chance by `significance` (`[migration.gates]`). Octets of each login are no counts: they are compared with every hour
of the baseline, and are a breach where none was as high, of at least HOURS_LEAST, and `download_factor` is reached.

What belongs to the time since are hours from that of the move on, of accounts that live here; what that hour had at
the legacy platform belongs to neither side. The matched domains' first hour begins a little before the move.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from mailplat.app.wiring import Platform
from mailplat.core.limits.usage import GateLimits
from mailplat.usage import Counts, UsageBook
from mailplat.usage.keeping import DAY_S
from mailplat.usage.meter import HOUR_S
from migration.breach import Breach
from migration.significance import Cell, Square, dispersion, rank_p_value

HERE = "shard:"

# Hours with logins before the move, below which nothing is said of octets: chance alone is as high as all of a day's
# once in 25 times, and `download_factor` is to be reached too. A whole week makes it once in 169.
HOURS_LEAST = 24


@dataclass(frozen=True, slots=True)
class Measure:
    name: str
    text: str  # what a case is
    cases: Callable[[Counts], int]
    exposure: Callable[[Counts], int]

    def cell(self, counts: Counts) -> Cell:
        return Cell(self.cases(counts), self.exposure(counts))


MEASURES = (
    Measure(
        "login_failures", "logins that were refused", lambda c: c.refused, lambda c: c.logins + c.refused
    ),
    Measure(
        "password_prompts",
        "accounts whose password was refused, each once an hour",
        lambda c: c.prompted,
        lambda c: c.users + c.prompted,
    ),
    Measure("bounces", "recipients whose mail failed", lambda c: c.failed, lambda c: c.delivered + c.failed),
    Measure(
        "deferrals",
        "attempts to deliver that were put off",
        lambda c: c.deferred,
        lambda c: c.delivered + c.deferred + c.failed,
    ),
    Measure(
        "late", "mail that came more than 60 s after our 250", lambda c: c.later_60, lambda c: c.delivered
    ),
)
DOWNLOADS = "downloads"  # octets to clients for each login


@dataclass(frozen=True, slots=True)
class Comparison:
    """One measure of one domain. Rates; None where there is nothing to take one of."""

    domain: str
    measure: str
    before: float | None
    since: float | None
    matched_before: float | None
    matched_since: float | None
    expected: float | None
    p_value: float | None  # None: not judged, `verdict` says why
    verdict: str  # "as before", "breach", or why it was not judged

    @property
    def is_breach(self) -> bool:
        return self.verdict == "breach"


@dataclass(frozen=True, slots=True)
class Period:
    """Hour by hour, and all together."""

    hours: tuple[Counts, ...]
    total: Counts


@dataclass(frozen=True, slots=True)
class Sides:
    before: Period
    since: Period


# Without domains to compare with.
NOBODY = Sides(Period((), Counts()), Period((), Counts()))


class Gates:
    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._limits = platform.settings.migration.gates

    async def judge(self, moved: Sequence[str], matched: Sequence[str], since: float) -> Sequence[Breach]:
        """What is worse in the domains that moved at `since` (Unix time) than in the matched ones, which have not.
        Raises Unavailable."""
        found = await self.compare(moved, matched, since)
        return [
            Breach(each.domain, each.measure, each.since or 0.0, each.expected or 0.0, reason(each))
            for each in found
            if each.is_breach
        ]

    async def compare(
        self, moved: Sequence[str], matched: Sequence[str], since: float
    ) -> Sequence[Comparison]:
        """Every measure of every moved domain, whether it is a breach or not. Raises Unavailable."""
        return await self._platform.executors.run(
            "migration", compare, self._platform.usage, self._limits, moved, matched, since
        )


def compare(
    book: UsageBook, limits: GateLimits, moved: Sequence[str], matched: Sequence[str], since: float
) -> list[Comparison]:
    """Synchronous. Raises Unavailable."""
    others = sides(
        book, [each for each in matched if each not in moved], since, limits.baseline, only_here=False
    )
    tests = len(moved) * (len(MEASURES) + 1)
    found = []
    for domain in moved:
        own = sides(book, [domain], since, limits.baseline, only_here=True)
        found += [_judge(domain, each, own, others, limits, tests) for each in MEASURES]
        found.append(downloads(domain, own, others, limits))
    return found


def sides(
    book: UsageBook,
    domains: Collection[str],
    since: float,
    days: float,
    *,
    only_here: bool,
    until: float = 1e12,
) -> Sides:
    """These domains together, `days` before `since`, and from its hour on. `only_here`: since then of accounts that
    live here."""
    hour = int(since) // HOUR_S * HOUR_S
    before = book.by_hour(hour - days * DAY_S, hour, domains)
    after = book.by_hour(hour, until, domains, home=HERE if only_here else "")
    return Sides(_period(before), _period(after))


def _period(hours: Sequence[Counts]) -> Period:
    total = Counts()
    for each in hours:
        total.add(each)
    return Period(tuple(hours), total)


def _judge(
    domain: str, measure: Measure, own: Sides, others: Sides, limits: GateLimits, tests: int
) -> Comparison:
    square = Square(
        *(measure.cell(each.total) for each in (own.before, own.since, others.before, others.since))
    )
    expected = p_value = None
    if not square.before.exposure:
        verdict = "no baseline"
    elif square.since.cases < limits.cases:
        verdict = "as before" if square.since.exposure else "nothing since"
        expected = square.expected(limits.cases)
    else:
        expected = square.expected(limits.cases)
        spread = dispersion([[measure.cell(hour) for hour in side.before.hours] for side in (own, others)])
        p_value = square.p_value(limits.cases, spread)
        unlikely = p_value <= limits.significance / tests
        verdict = "breach" if unlikely and square.since.rate >= limits.factor * expected else "as before"
    return Comparison(
        domain,
        measure.name,
        _rate(square.before),
        _rate(square.since),
        _rate(square.others_before),
        _rate(square.others_since),
        expected,
        p_value,
        verdict,
    )


def _rate(cell: Cell) -> float | None:
    return cell.rate if cell.exposure else None


def downloads(domain: str, own: Sides, others: Sides, limits: GateLimits) -> Comparison:
    """Octets of each login."""
    before, since = _per_login(own.before.total), _per_login(own.since.total)
    theirs_before, theirs_since = _per_login(others.before.total), _per_login(others.since.total)
    change = 1.0
    if theirs_before and theirs_since and _enough(others, limits):
        change = theirs_since / theirs_before
    hours = [rate for hour in own.before.hours if (rate := _per_login(hour)) is not None]
    expected = p_value = None
    if before is None or own.before.total.logins < limits.download_logins or len(hours) < HOURS_LEAST:
        verdict = "no baseline"
    elif since is None or own.since.total.logins < limits.download_logins:
        verdict = "too few logins"
    else:
        expected = before * change
        p_value = rank_p_value(since, [each * change for each in hours])
        highest = p_value <= 1 / (1 + len(hours))
        verdict = "breach" if highest and since > limits.download_factor * expected else "as before"
    return Comparison(
        domain, DOWNLOADS, before, since, theirs_before, theirs_since, expected, p_value, verdict
    )


def _enough(sides: Sides, limits: GateLimits) -> bool:
    return min(sides.before.total.logins, sides.since.total.logins) >= limits.download_logins


def _per_login(counts: Counts) -> float | None:
    return counts.octets / counts.logins if counts.logins else None


def reason(each: Comparison) -> str:
    """For people."""
    if each.measure == DOWNLOADS:
        return (
            f"{each.since:.0f} octets for each login, {each.expected:.0f} were to be expected; more than in any hour "
            "before the move"
        )
    (text,) = (measure.text for measure in MEASURES if measure.name == each.measure)
    return f"{text}: {each.since:.2%}, {each.expected:.2%} were to be expected (p = {each.p_value:.1g})"
