"""Asks real name servers, and remembers what they said."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence

import dns.asyncresolver
import dns.exception
import dns.message
import dns.name
import dns.resolver
import structlog

from mailplat.core.clock import Clock, SystemClock
from mailplat.filtering.answer import (
    DEADLINE,
    FAILURE_TTL,
    MIN_TTL,
    NXDOMAIN,
    TEMPERROR,
    Answer,
    Dns,
    parse_name,
    records_of,
)

log = structlog.get_logger(__name__)

# One try at one server: the second server still gets its turn before the deadline.
TRY = 2.0

# Octets of one answer's records. SPF and DKIM records are < 4 KiB; 64 KiB over TCP is somebody's experiment.
ANSWER_LIMIT = 16 * 1024

# About 1 KiB each: 20,000 answers are some 20 MiB and hold a busy hour of a hosting provider.
CACHE_ENTRIES = 20_000
# A day: RFC 8767 4 finds longer TTLs to be mistakes mostly.
MAX_TTL = 86_400.0
# RFC 2308 5: negative answers between 1 and 3 hours at most; we keep the low end.
MAX_NEGATIVE_TTL = 3_600.0


class Resolver:
    """Asks recursive servers over UDP, over TCP where the answer was cut. Does not cache. Truth and DNSSEC are the
    recursive server's task."""

    def __init__(
        self,
        servers: Sequence[str] = (),
        port: int = 53,
        *,
        deadline: float = DEADLINE,
        answer_limit: int = ANSWER_LIMIT,
    ) -> None:
        """No `servers`: those of the system; where it names none, 127.0.0.1 as resolv.conf(5) says."""
        try:
            self._resolver = dns.asyncresolver.Resolver(configure=not servers)
        except dns.resolver.NoResolverConfiguration:
            self._resolver = dns.asyncresolver.Resolver(configure=False)
            servers = ("127.0.0.1",)
        if servers:
            self._resolver.nameservers = list(servers)
            self._resolver.port = port
        self._resolver.timeout = min(TRY, deadline)
        self._resolver.lifetime = deadline
        # Larger UDP answers fragment (DNS flag day 2020); TCP takes over.
        self._resolver.use_edns(0, 0, 1232)
        self._deadline = deadline
        self._answer_limit = answer_limit

    async def query(self, name: str, type: str) -> Answer:
        if (question := parse_name(name)) is None:
            return NXDOMAIN
        try:
            async with asyncio.timeout(
                self._deadline + TRY
            ):  # the library's own deadline covers not all of it
                answer = await self._resolver.resolve(
                    question, type, search=False, raise_on_no_answer=False, lifetime=self._deadline
                )
        except dns.resolver.NXDOMAIN as error:
            return Answer((), "nxdomain", _negative_ttl(error, question))
        except (dns.exception.DNSException, OSError, EOFError, TimeoutError) as error:
            log.debug(
                "dns question failed", name=name, type=type, error=f"{error.__class__.__name__}: {error}"
            )
            return TEMPERROR
        ttl = float(answer.chaining_result.minimum_ttl)
        if answer.rrset is None:
            return Answer((), "nodata", ttl)
        records = records_of(list(answer.rrset), type)
        if sum(len(record) if isinstance(record, (str, bytes)) else len(record[1]) for record in records) > (
            self._answer_limit
        ):
            log.warning("dns answer is too large", name=name, type=type, limit=self._answer_limit)
            return TEMPERROR
        return Answer(records, "ok", ttl)


def _negative_ttl(error: dns.resolver.NXDOMAIN, question: dns.name.Name) -> float:
    """RFC 2308 5: the lesser of the SOA's TTL and its minimum, where the answer has one."""
    try:
        response = error.response(question)  # type: ignore[no-untyped-call]
        assert isinstance(response, dns.message.QueryMessage)
        return float(response.resolve_chaining().minimum_ttl)
    except (KeyError, dns.exception.DNSException):
        return MIN_TTL


class Cache:
    """Remembers answers of another Dns, failures too, within named bounds of time and number; the least recently
    used go first. Equal questions that are under way at the same time are asked once."""

    def __init__(
        self,
        source: Dns,
        clock: Clock | None = None,
        *,
        entries: int = CACHE_ENTRIES,
        min_ttl: float = MIN_TTL,
        max_ttl: float = MAX_TTL,
        max_negative_ttl: float = MAX_NEGATIVE_TTL,
        failure_ttl: float = FAILURE_TTL,
    ) -> None:
        self._source = source
        self._clock = clock or SystemClock()
        self._entries = entries
        self._min_ttl = min_ttl
        self._max_ttl = {"ok": max_ttl, "nxdomain": max_negative_ttl, "nodata": max_negative_ttl}
        self._failure_ttl = failure_ttl
        self._answers: OrderedDict[tuple[str, str], tuple[float, Answer]] = OrderedDict()
        self._under_way: dict[tuple[str, str], asyncio.Task[Answer]] = {}
        self.hits = 0
        self.misses = 0

    async def query(self, name: str, type: str) -> Answer:
        key = (name.lower().removesuffix("."), type)
        kept = self._answers.get(key)
        if kept is not None and kept[0] > self._clock.monotonic():
            self._answers.move_to_end(key)
            self.hits += 1
            return kept[1]
        self.misses += 1
        task = self._under_way.get(key)
        if task is None:
            task = asyncio.create_task(self._ask(key))
            self._under_way[key] = task
            task.add_done_callback(lambda _: self._under_way.pop(key, None))
        return await asyncio.shield(task)  # who stops waiting does not take the answer from the others

    async def _ask(self, key: tuple[str, str]) -> Answer:
        answer = await self._source.query(*key)
        if answer.status == "temperror":
            ttl = self._failure_ttl
        else:
            ttl = min(max(answer.ttl, self._min_ttl), self._max_ttl[answer.status])
        self._answers[key] = (self._clock.monotonic() + ttl, answer)
        self._answers.move_to_end(key)
        while len(self._answers) > self._entries:
            self._answers.popitem(last=False)
        return answer
