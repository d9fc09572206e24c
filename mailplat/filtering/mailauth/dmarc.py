"""DMARC (RFC 9989): does an authenticated domain match the author's, and what does that domain want if not."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from mailplat.filtering.answer import Dns
from mailplat.filtering.mailauth.author import Author
from mailplat.filtering.mailauth.dkim import DkimResult
from mailplat.filtering.mailauth.domain import is_within, normalise
from mailplat.filtering.mailauth.organization import Organization, find_organization
from mailplat.filtering.mailauth.policy import Disposition, Policy
from mailplat.filtering.mailauth.spf import SpfResult


@dataclass(frozen=True, slots=True)
class DmarcResult:
    """`result` is none, pass, fail, temperror, permerror. `disposition` is what the owner
    asks for this message, NONE where nothing failed. `published` is the p= (sp=, np=) that held, "" without record.
    `undecided`: it fails, but a look-up that failed might have made it pass; who enforces should defer."""

    result: str
    domain: str = ""
    published: str = ""
    disposition: Disposition = Disposition.NONE
    undecided: bool = False
    reason: str = ""


async def evaluate(
    author: Author, spf: SpfResult | None, dkim: Sequence[DkimResult], dns: Dns
) -> DmarcResult:
    """A message whose author is in doubt never passes; the strictest wish of all domains that it could be from holds,
    those that pass by themselves left out (RFC 9989 8.3 and 11.5 leave it to us)."""
    if not author.domains:
        return DmarcResult("permerror", reason=author.reason)
    each = await asyncio.gather(*(_evaluate_one(domain, spf, dkim, dns) for domain in author.domains))
    if author.sound:
        return each[0]
    worst = max(each, key=lambda result: (result.disposition, result.undecided))
    return DmarcResult(
        "permerror", worst.domain, worst.published, worst.disposition, worst.undecided, author.reason
    )


async def _evaluate_one(
    domain: str, spf: SpfResult | None, dkim: Sequence[DkimResult], dns: Dns
) -> DmarcResult:
    organization = await find_organization(domain, dns)
    policy = organization.policy
    if policy is None:
        if organization.uncertain:
            return DmarcResult("temperror", domain, reason="policy could not be fetched")
        return DmarcResult("none", domain)
    passed, doubtful = await _aligned(organization, policy, spf, dkim, dns)
    wish = await _wish(organization, policy, dns)
    if passed:
        return DmarcResult("pass", domain, wish.word)
    disposition = policy.asks(wish)
    return DmarcResult("fail", domain, wish.word, disposition, doubtful)


async def _aligned(
    author: Organization, policy: Policy, spf: SpfResult | None, dkim: Sequence[DkimResult], dns: Dns
) -> tuple[bool, bool]:
    """Whether an aligned domain passed, and whether one ended in temperror."""
    identifiers = [(one.domain, one.result, policy.strict_dkim) for one in dkim]
    if spf is not None:
        identifiers.append((spf.domain, spf.result, policy.strict_spf))
    doubtful = False
    for domain, result, strict in identifiers:
        if result in ("pass", "temperror") and await _matches(author, domain, strict, dns):
            if result == "pass":
                return True, False
            doubtful = True
    return False, doubtful


async def _matches(author: Organization, domain: str, strict: bool, dns: Dns) -> bool:
    """RFC 9989 4.4. Not the package's check_alignment: it takes any parent of the author's domain for aligned, so
    that a signature of d=com would speak for every .com."""
    name = normalise(domain)
    if name is None:
        return False
    if name == author.domain:
        return True
    if strict or not is_within(name, author.name):
        return False
    return (await find_organization(name, dns)).name == author.name


async def _wish(organization: Organization, policy: Policy, dns: Dns) -> Disposition:
    """RFC 9989 4.7: p= at the domain itself; below it sp=, or np= for a name that does not exist."""
    if organization.policy_domain == organization.domain:
        return policy.p
    if policy.np != policy.sp:
        answer = await dns.query(organization.domain, "A")
        if answer.status == "nxdomain":
            return policy.np
    return policy.sp
