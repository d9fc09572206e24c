"""One domain of a backend, as a census has it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from mailplat.core.limits.census import CensusLimits
from migration.census.taking import Resident
from migration.census.ties import Tie

# Names that are listed where more are meant.
NAMED = 3


@dataclass(slots=True)
class Summary:
    """Lists are of addresses, but `tied_to` of domains."""

    domain: str
    accounts: int = 0
    messages: int = 0
    octets: int = 0
    estimated: bool = False
    unread: int = 0  # no census of them yet
    unreadable: list[str] = field(default_factory=list)
    colliding: list[str] = field(default_factory=list)
    leaving_mail: list[str] = field(default_factory=list)
    pop3_troubled: list[str] = field(default_factory=list)
    oversized: list[str] = field(default_factory=list)
    passwords_unknown: int = 0
    without_condstore: int = 0
    tied_to: list[str] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(
        default_factory=list
    )  # messages, octets of each account that was read
    oldest: float = 0.0  # Unix time of the eldest reading; 0.0: none

    def some(self, names: Collection[str]) -> str:
        shown = ", ".join(sorted(names)[:NAMED])
        return shown if len(names) <= NAMED else f"{shown} and {len(names) - NAMED} more"


def summarise(residents: Sequence[Resident], found: Sequence[Tie], limits: CensusLimits) -> list[Summary]:
    """By name."""
    domains: dict[str, Summary] = {}
    for each in residents:
        summary = domains.setdefault(each.domain, Summary(each.domain))
        summary.accounts += 1
        summary.passwords_unknown += not each.password_known
        _add(summary, each, limits)
    for tie in found:
        for one, other in ((tie.domain, tie.other), (tie.other, tie.domain)):
            if one in domains and other not in domains[one].tied_to:
                domains[one].tied_to.append(other)
    return [domains[name] for name in sorted(domains)]


def _add(summary: Summary, each: Resident, limits: CensusLimits) -> None:
    facts = each.facts
    if facts is None:
        if each.trouble:
            summary.unreadable.append(each.address)
        else:
            summary.unread += 1
        return
    summary.messages += facts.messages
    summary.octets += facts.octets
    summary.estimated |= facts.estimated
    summary.sizes.append((facts.messages, facts.octets))
    summary.oldest = min(summary.oldest or each.at, each.at)
    summary.without_condstore += not facts.condstore
    large = facts.octets >= limits.oversized or facts.fullest >= limits.oversized_mailbox
    for applies, names in (
        (bool(facts.collisions), summary.colliding),
        (facts.leaves_mail, summary.leaving_mail),
        (bool(facts.pop3_trouble), summary.pop3_troubled),
        (large or bool(facts.uncounted), summary.oversized),
    ):
        if applies:
            names.append(each.address)
