"""Whose DMARC record holds for a domain, and what its organisation is: the DNS tree walk (RFC 9989 4.10)."""

import asyncio
import functools
from dataclasses import dataclass

from publicsuffixlist import PublicSuffixList

from mailplat.filtering.answer import Dns
from mailplat.filtering.mailauth.policy import Policy, is_policy, parse_policy

# RFC 9989 4.10: longer names are cut to their last seven labels after the first question: at most eight questions.
MAX_LABELS = 8


@dataclass(frozen=True, slots=True)
class Organization:
    """Of `domain`. `policy` is the record that holds, found at `policy_domain`; None where there is none.
    `uncertain`: a question failed (temperror), so that another record might hold."""

    domain: str
    name: str
    policy: Policy | None = None
    policy_domain: str = ""
    uncertain: bool = False


async def find_organization(domain: str, dns: Dns) -> Organization:
    """All questions go out at once: parents of common names are in the cache, and one round trip is enough."""
    names = _walk(domain)
    answers = await asyncio.gather(*(_ask(name, dns) for name in names))
    found: dict[str, Policy] = {}
    uncertain = False
    name = ""
    for at, (step, (policy, failed)) in enumerate(zip(names, answers, strict=True)):
        uncertain = uncertain or failed
        if policy is None:
            continue
        found[step] = policy
        if policy.psd == "n":  # this is the organisation
            name = step
            break
        if policy.psd == "y" and at > 0:  # the organisation is the name below
            name = ".".join(domain.split(".")[-step.count(".") - 2 :])
            break
    else:
        name = _highest(found, domain)
    for holder in (domain, name, *found):
        if holder in found:
            return Organization(domain, name, found[holder], holder, uncertain)
    return Organization(domain, name, uncertain=uncertain)


def _walk(domain: str) -> list[str]:
    labels = domain.split(".")
    if len(labels) > MAX_LABELS:
        return [domain, *(".".join(labels[at:]) for at in range(len(labels) - MAX_LABELS + 1, len(labels)))]
    return [".".join(labels[at:]) for at in range(len(labels))]


async def _ask(name: str, dns: Dns) -> tuple[Policy | None, bool]:
    """The record at `name`, and whether the question failed. Several records count as none (RFC 9989 4.10 step 3)."""
    answer = await dns.query(f"_dmarc.{name}", "TXT")
    records = [text for text in answer.texts if is_policy(text)]
    return (parse_policy(records[0]) if len(records) == 1 else None), answer.status == "temperror"


def _highest(found: dict[str, Policy], domain: str) -> str:
    """The found name with the fewest labels. A public suffix that forgot to say psd=y is passed over: taken for an
    organisation, it would align everybody below it with everybody else."""
    suffixes = public_suffixes()
    candidates = [name for name in found if name == domain or not suffixes.is_public(name)]
    return min(candidates, key=lambda name: name.count("."), default=domain)


@functools.cache
def public_suffixes() -> PublicSuffixList:
    """Loaded at the first call, 44 ms; the whole list, so that github.io counts too."""
    return PublicSuffixList()
