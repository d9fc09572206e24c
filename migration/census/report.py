"""The census of a backend, domain by domain."""

from collections.abc import Sequence
from dataclasses import dataclass

from mailplat.app.wiring import Platform
from migration.census.duration import Duration, Spread, predict, spread
from migration.census.risk import Reason, reasons
from migration.census.summary import Summary, summarise
from migration.census.taking import Resident, residents
from migration.census.ties import Tie, ties
from migration.forecast.population import Account

MOST_RISK = 100


@dataclass(frozen=True, slots=True)
class DomainReport:
    summary: Summary
    reasons: Sequence[Reason]
    duration: Duration

    @property
    def domain(self) -> str:
        return self.summary.domain

    @property
    def risk(self) -> int:
        return min(MOST_RISK, sum(each.points for each in self.reasons))


@dataclass(frozen=True, slots=True)
class Report:
    backend: str
    domains: Sequence[DomainReport]
    ties: Sequence[Tie]  # of which at least one end is a domain of the backend
    residents: Sequence[Resident]
    spread: Spread


def report(platform: Platform, backend: str) -> Report:
    """From what was read. Synchronous. Raises Unavailable."""
    settings = platform.settings.migration
    found = residents(platform.database, backend)
    ours = {each.domain for each in found}
    tied = [each for each in ties(platform.directory.aliases()) if each.domain in ours or each.other in ours]
    around = spread(platform.database, backend)
    domains = [
        DomainReport(summary, reasons(summary), predict(_population(summary), settings.connections, around))
        for summary in summarise(found, tied, settings.census)
    ]
    return Report(backend, domains, tied, found, around)


def _population(summary: Summary) -> list[Account]:
    """Who was not read is taken to be like the others of the domain."""
    known = [Account(messages, octets) for messages, octets in summary.sizes]
    missing = summary.accounts - len(known)
    if known and missing:
        count = len(known)
        mean = Account(sum(a.messages for a in known) / count, sum(a.octets for a in known) / count)
        known += [mean] * missing
    return known
