"""SPF (RFC 7208) with pyspf, which is synchronous and knows one module-global look-up function.

pyspf runs in a thread of the pool "mailauth", but never waits there: when it needs an answer that is not here yet
the run is given up, the answer is fetched on the event loop, and pyspf runs again with it. What records include is
fetched ahead, so that most checks are one run. A run takes tens of microseconds, so the repetition costs less than a
thread that waits; and a name server that never answers holds no thread.
"""

import asyncio
import contextvars
import ipaddress
import re
from dataclasses import dataclass, field
from typing import Literal, cast

import spf
import structlog

from mailplat.core.address import NULL_SENDER
from mailplat.core.envelope import Envelope, Peer
from mailplat.core.executors import Executors
from mailplat.filtering.answer import Answer, Dns
from mailplat.filtering.mailauth.domain import normalise

log = structlog.get_logger(__name__)

Outcome = Literal["none", "neutral", "pass", "fail", "softfail", "temperror", "permerror"]

# RFC 7208 4.6.4: at least 20 s for the whole check, then temperror.
DEADLINE = 20.0
# RFC 7208 4.6.4 allows ten terms that ask; an "mx" term asks for up to ten hosts besides: 1 + 10 * (1 + 10).
MAX_QUERIES = 111
# Records named by "include:" and "redirect=" that are fetched ahead: as many terms as may ask at all.
MAX_AHEAD = 10


# Only names without macros and other surprises; the others are fetched when pyspf asks.
_NAMED = re.compile(rb"(?i)(?:^| )(?:[?+~-]?include:|redirect=)([a-z0-9._-]{1,253})(?= |$)")


@dataclass(frozen=True, slots=True)
class SpfResult:
    """`domain` is the one that was checked, "" where the client named none that can be. `sender` is the reverse-path
    for scope "mailfrom", the HELO name for scope "helo"."""

    result: Outcome
    domain: str
    scope: Literal["mailfrom", "helo"]
    sender: str
    reason: str = ""


class _Missing(BaseException):
    """Unwinds pyspf to fetch an answer; BaseException passes its handlers of Exception."""


@dataclass(slots=True)
class _Look:
    """The answers that one check has so far. `missing` is set when pyspf asked for another: it has one bare
    `except:` that swallows even _Missing, and what it then returned counts for nothing."""

    answers: dict[tuple[str, str], Answer] = field(default_factory=dict)
    missing: tuple[str, str] | None = None


_look: contextvars.ContextVar[_Look] = contextvars.ContextVar("spf_look")


def _dns_lookup(
    name: str, qtype: str, strict: object = True, timeout: float = 0
) -> list[tuple[tuple[str, str], object]]:
    """In place of spf.DNSLookup, for all threads: answers come from the check that runs in this context."""
    look = _look.get()
    if look.missing is not None:
        raise _Missing
    answer = look.answers.get((name, qtype))
    if answer is None:
        look.missing = (name, qtype)
        raise _Missing
    if answer.status == "temperror":
        raise spf.TempError("DNS temperror", qtype)
    # pyspf wants TXT as a list of strings
    return [((name, qtype), [record] if isinstance(record, bytes) else record) for record in answer.records]


spf.DNSLookup = _dns_lookup


async def check(
    peer: Peer,
    envelope: Envelope,
    receiver: str,
    dns: Dns,
    executors: Executors,
    *,
    deadline: float = DEADLINE,
) -> SpfResult | None:
    """Of the reverse-path, or for the null sender of the HELO name (RFC 7208 2.4). None where the peer has no IP
    address. Limits of look-ups, void look-ups and recursion are pyspf's: 10, 2 and 20, permerror beyond."""
    try:
        address = ipaddress.ip_address(peer.address)
    except ValueError:
        return None
    null = envelope.reverse_path == NULL_SENDER
    sender = "" if null else str(envelope.reverse_path)
    domain = normalise(peer.helo if null else envelope.reverse_path.domain)
    scope: Literal["mailfrom", "helo"] = "helo" if null else "mailfrom"
    identity = peer.helo if null else sender
    if domain is None or "." not in domain:  # RFC 7208 4.3: no record can be there
        return SpfResult("none", domain or "", scope, identity)
    try:
        async with asyncio.timeout(deadline):
            result, reason = await _evaluate(
                str(address), sender, domain, peer.helo, receiver, dns, executors
            )
    except TimeoutError:
        result, reason = "temperror", f"no end after {deadline:g} s"
    return SpfResult(result, domain, scope, identity, reason)


async def _evaluate(
    address: str, sender: str, domain: str, helo: str, receiver: str, dns: Dns, executors: Executors
) -> tuple[Outcome, str]:
    look = _Look()
    first = await dns.query(domain, "TXT")
    if first.status != "temperror" and not any(spf.RE_SPF.match(text) for text in first.texts):
        return "none", ""  # the commonest case costs no thread
    look.answers[domain, "TXT"] = first
    await _fetch_ahead(look, first, dns)
    for _ in range(MAX_QUERIES):
        outcome = await executors.run(
            "mailauth", _run, look, address, sender, helo if sender else domain, receiver
        )
        if look.missing is None:
            return outcome
        question = look.missing
        look.answers[question] = await dns.query(*question)
        look.missing = None
    return "permerror", f"more than {MAX_QUERIES} DNS questions"


class _Query(spf.query):  # type: ignore[misc]
    """pyspf, but for RFC 7208 5.5: where PTR cannot be looked up, "ptr" does not match; where the address of a name
    cannot, that name is left out."""

    def validated_ptrs(self) -> list[str]:
        try:
            names = self.dns_ptr(self.i)
        except spf.TempError:
            return []
        return [name for name in names[: spf.MAX_PTR] if self._is_ours(name)]

    def _is_ours(self, name: str) -> bool:
        try:
            return bool(self.cidrmatch(self.dns_a(name, self.A), self.cidrmax))
        except spf.TempError:
            return False


async def _fetch_ahead(look: _Look, answer: Answer, dns: Dns) -> None:
    """The records that a record names, level by level and each level at once: without them pyspf would run again for
    each, and each would be a round trip of its own."""
    level = [answer]
    while level:
        named = [match for one in level for text in one.texts for match in _NAMED.findall(text)]
        names = dict.fromkeys(name.decode("ascii").lower().removesuffix(".") for name in named)
        room = MAX_AHEAD + 1 - len(look.answers)
        questions = [(name, "TXT") for name in names if (name, "TXT") not in look.answers][: max(0, room)]
        level = list(await asyncio.gather(*(dns.query(*question) for question in questions)))
        look.answers.update(zip(questions, level, strict=True))


def _run(look: _Look, address: str, sender: str, helo: str, receiver: str) -> tuple[Outcome, str]:
    token = _look.set(look)
    try:
        query = _Query(i=address, s=sender, h=helo, receiver=receiver, strict=True, querytime=0)
        result, _, _ = query.check()
    except _Missing:
        return "temperror", ""
    except (ValueError, LookupError, TypeError, AttributeError, AssertionError) as error:
        # What pyspf trips over in a record is the publisher's mistake (RFC 7208 2.6.7), never a reason to fail.
        log.info("spf record not understood", sender=sender, error=f"{error.__class__.__name__}: {error}")
        return "permerror", "record not understood"
    finally:
        _look.reset(token)
    return cast(Outcome, result), ""
