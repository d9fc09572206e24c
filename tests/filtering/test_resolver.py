"""The resolver against a name server on loopback, and the cache in front of it."""

import asyncio

import dns.flags
import dns.message
import dns.rcode
import pytest

from mailplat.core.clock import ManualClock
from mailplat.filtering.answer import NXDOMAIN, TEMPERROR, Answer
from mailplat.filtering.dns import open_dns
from mailplat.filtering.resolver import Cache, Resolver
from tests.filtering.nameserver import answering, nameserver

GOOD = answering(
    "a.example. 60 IN A 192.0.2.1",
    "a.example. 60 IN MX 10 a.example.",
    'a.example. 60 IN TXT "one " "two"',
    "www.example. 60 IN CNAME a.example.",
)


async def test_answers_of_a_real_server() -> None:
    async with nameserver(GOOD) as server:
        asked = open_dns(f"127.0.0.1:{server.port}")
        assert await asked.query("a.example", "A") == Answer(("192.0.2.1",), "ok", 60.0)
        assert (await asked.query("a.example.", "MX")).exchanges == ((10, "a.example"),)
        assert (await asked.query("a.example", "TXT")).texts == (b"one two",)
        assert await asked.query("a.example", "AAAA") == Answer((), "nodata", 30.0)
        assert await asked.query("b.example", "A") == Answer((), "nxdomain", 30.0)
        assert server.asked == 5
        await asked.query("A.EXAMPLE", "A")
        assert server.asked == 5, "the second time from the cache, whatever the case"


async def test_names_that_cannot_be_are_not_asked_for() -> None:
    async with nameserver(GOOD) as server:
        resolver = Resolver(["127.0.0.1"], server.port)
        for name in ("a..example", "x" * 64, ".".join(["a" * 60] * 5)):
            assert await resolver.query(name, "A") == NXDOMAIN
        assert server.asked == 0


async def test_a_backslash_is_no_escape() -> None:
    async with nameserver(GOOD) as server:
        resolver = Resolver(["127.0.0.1"], server.port)
        assert (await resolver.query("\\097.example", "A")).status == "nxdomain"


async def test_a_cut_answer_is_fetched_over_tcp() -> None:
    seen = []

    def behave(question: dns.message.Message, transport: str) -> dns.message.Message:
        seen.append(transport)
        reply = GOOD(question, transport)
        assert isinstance(reply, dns.message.Message)
        if transport == "udp":
            reply.answer = []
            reply.flags |= dns.flags.TC
        return reply

    async with nameserver(behave) as server:
        assert (await Resolver(["127.0.0.1"], server.port).query("a.example", "A")).names == ("192.0.2.1",)
    assert seen == ["udp", "tcp"]


def _rcode(code: dns.rcode.Rcode) -> object:
    def behave(question: dns.message.Message, transport: str) -> dns.message.Message:
        reply = dns.message.make_response(question)
        reply.set_rcode(code)
        return reply

    return behave


@pytest.mark.parametrize(
    "behave",
    [
        pytest.param(lambda question, transport: None, id="never"),
        pytest.param(lambda question, transport: b"\x00\x01garbage", id="garbage"),
        pytest.param(_rcode(dns.rcode.SERVFAIL), id="servfail"),
        pytest.param(_rcode(dns.rcode.REFUSED), id="refused"),
    ],
)
async def test_failures_are_temperror(behave: object) -> None:
    async with nameserver(behave) as server:  # type: ignore[arg-type]
        assert await Resolver(["127.0.0.1"], server.port, deadline=0.2).query("a.example", "A") == TEMPERROR


async def test_an_answer_that_is_too_large_is_temperror() -> None:
    async with nameserver(GOOD) as server:
        assert (
            await Resolver(["127.0.0.1"], server.port, answer_limit=6).query("a.example", "TXT") == TEMPERROR
        )


async def test_a_port_where_nobody_listens_is_temperror() -> None:
    async with nameserver(GOOD) as server:
        port = server.port
    assert await Resolver(["127.0.0.1"], port, deadline=0.2).query("a.example", "A") == TEMPERROR


class Counting:
    """Answers the same each time, and counts."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked = 0

    async def query(self, name: str, type: str) -> Answer:
        self.asked += 1
        await asyncio.sleep(0)
        return self.answer


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (Answer(("192.0.2.1",), "ok", 100.0), 100.0),
        (Answer(("192.0.2.1",), "ok", 0.0), 10.0),  # at least min_ttl
        (Answer(("192.0.2.1",), "ok", 9_999.0), 1_000.0),  # at most max_ttl
        (Answer((), "nxdomain", 9_999.0), 500.0),
        (Answer((), "nodata", 20.0), 20.0),
        (Answer((), "temperror", 9_999.0), 5.0),
    ],
)
async def test_the_cache_keeps_an_answer_for_its_time(answer: Answer, seconds: float) -> None:
    source, clock = Counting(answer), ManualClock()
    cache = Cache(source, clock, min_ttl=10.0, max_ttl=1_000.0, max_negative_ttl=500.0, failure_ttl=5.0)
    assert await cache.query("a.example", "A") == answer
    clock.advance(seconds - 0.1)
    assert await cache.query("a.example", "A") == answer
    assert source.asked == 1
    clock.advance(0.2)
    await cache.query("a.example", "A")
    assert source.asked == 2
    assert (cache.hits, cache.misses) == (1, 2)


async def test_the_least_recently_used_answer_goes_first() -> None:
    source = Counting(Answer((), "nodata", 60.0))
    cache = Cache(source, ManualClock(), entries=2)
    for name in ("a", "b", "a", "c", "a"):
        await cache.query(name, "A")
    assert source.asked == 3
    await cache.query("b", "A")
    assert source.asked == 4


async def test_types_are_kept_apart() -> None:
    source = Counting(Answer((), "nodata", 60.0))
    cache = Cache(source, ManualClock())
    await cache.query("a", "A")
    await cache.query("a", "AAAA")
    assert source.asked == 2


async def test_equal_questions_under_way_are_asked_once() -> None:
    source = Counting(Answer((), "nodata", 60.0))
    cache = Cache(source, ManualClock())
    await asyncio.gather(*(cache.query("a", "A") for _ in range(50)))
    assert source.asked == 1


async def test_who_gives_up_does_not_take_the_answer_from_others() -> None:
    release = asyncio.Event()

    class Slow(Counting):
        async def query(self, name: str, type: str) -> Answer:
            await release.wait()
            return await super().query(name, type)

    cache = Cache(Slow(Answer(("192.0.2.1",), "ok", 60.0)), ManualClock())
    first = asyncio.create_task(cache.query("a", "A"))
    second = asyncio.create_task(cache.query("a", "A"))
    await asyncio.sleep(0)
    first.cancel()
    release.set()
    assert (await second).names == ("192.0.2.1",)
    assert first.cancelled()
