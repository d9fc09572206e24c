"""Domains that belong together: an alias, a forward or a list of one leads to accounts of another."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from mailplat.directory import Alias


@dataclass(frozen=True, slots=True)
class Tie:
    """`domain` sends mail on to `other`."""

    domain: str
    other: str
    forwards: int  # aliases with one target
    lists: int  # with several


def ties(aliases: Collection[Alias]) -> list[Tie]:
    """By both names."""
    forwards: Counter[tuple[str, str]] = Counter()
    lists: Counter[tuple[str, str]] = Counter()
    for alias in aliases:
        domain = alias.source.rpartition("@")[2]
        count = lists if len(alias.targets) > 1 else forwards
        count.update({(domain, target.domain) for target in alias.targets if target.domain != domain})
    return [Tie(*pair, forwards[pair], lists[pair]) for pair in sorted({*forwards, *lists})]


def groups(domains: Collection[str], found: Collection[Tie]) -> list[list[str]]:
    """`domains`, those together that ties connect, directly or by others of them; each group and all of them by name.
    A tie to a domain that is not among them ties nothing: it stays where it is."""
    heads = {each: each for each in domains}
    for tie in found:
        if tie.domain in heads and tie.other in heads:
            one, other = _head(heads, tie.domain), _head(heads, tie.other)
            heads[max(one, other)] = min(one, other)
    together: dict[str, list[str]] = {}
    for domain in sorted(heads):
        together.setdefault(_head(heads, domain), []).append(domain)
    return sorted(together.values())


def _head(heads: Mapping[str, str], domain: str) -> str:
    while heads[domain] != domain:
        domain = heads[domain]
    return domain
