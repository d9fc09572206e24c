"""A plan from a census: the alpha wave's domains first, then low risk first, and domains that are tied together in
one wave."""

import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from mailplat.core.errors import InvalidInput
from migration.census.report import DomainReport, Report
from migration.census.ties import groups
from migration.plan.document import LimitTerms, PlanTerms, WaveTerms

# Waves beside the alpha wave, where nobody says how many.
WAVES = 3


@dataclass(frozen=True, slots=True)
class _Group:
    domains: Sequence[str]
    risk: int  # the highest of them
    seconds: float


def propose(
    census: Report, alpha: Collection[str], waves: int | None, limits: LimitTerms
) -> tuple[PlanTerms, list[str]]:
    """And what came into the alpha wave with those that were named. `waves`: beside the alpha wave; fewer where there
    are not as many groups of domains. Raises InvalidInput for an alpha domain that is not in the census."""
    reports = {each.domain: each for each in census.domains}
    for each in alpha:
        if each not in reports:
            raise InvalidInput(f"no account of {each} lives on backend {census.backend}: it cannot be alpha")
    first: list[str] = []
    rest: list[_Group] = []
    for names in groups(reports, census.ties):
        if set(names) & set(alpha):
            first += names
        else:
            rest.append(_group([reports[name] for name in names]))
    rest.sort(key=lambda each: (each.risk, each.seconds, each.domains))
    stem = re.sub(r"[^A-Za-z0-9_-]", "-", census.backend)[:50]
    chosen = [(f"{stem}-alpha", first)] if first else []
    for number, part in enumerate(_parts(rest, WAVES if waves is None else waves), start=1):
        chosen.append((f"{stem}-{number}", [name for group in part for name in group.domains]))
    terms = [
        WaveTerms(name=name, position=position, domains=domains, backends={census.backend: limits})
        for position, (name, domains) in enumerate(chosen, start=1)
    ]
    return PlanTerms(plan=stem, wave=terms), sorted(set(first) - set(alpha))


def _group(domains: Sequence[DomainReport]) -> _Group:
    return _Group(
        [each.domain for each in domains],
        max(each.risk for each in domains),
        sum(each.duration.expected for each in domains),
    )


def _parts(ordered: Sequence[_Group], count: int) -> list[list[_Group]]:
    """In order, none empty, each of about the same seconds of copying."""
    parts: list[list[_Group]] = []
    left = list(ordered)
    for number in range(min(count, len(left)), 0, -1):
        share = sum(each.seconds for each in left) / number
        part, seconds = [left.pop(0)], 0.0
        seconds = part[0].seconds
        # The group that reaches the share belongs to it if more of it lies within than beyond.
        while len(left) >= number and (
            number == 1 or seconds + left[0].seconds / 2 <= share + math.ulp(share)
        ):
            seconds += left[0].seconds
            part.append(left.pop(0))
        parts.append(part)
    return parts
