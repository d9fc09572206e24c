import asyncio
import sys
import threading

import pytest
import spf as pyspf

from mailplat.core.address import NULL_SENDER, Address
from mailplat.core.envelope import Envelope, Peer
from mailplat.core.executors import Executors
from mailplat.filtering.answer import Answer, Dns
from mailplat.filtering.mailauth.spf import SpfResult, check
from mailplat.filtering.zone import Zone
from tests.filtering.mail import HOST
from tests.filtering.mailauth.suite import cases
from tests.shared import shared

# Cases of the suite that we knowingly answer differently, with the reason. There are none.
EXPECTED_MISSES: dict[str, str] = {}


async def ask(
    zone: str | Dns,
    executors: Executors,
    sender: str = "joe@a.example",
    address: str = "192.0.2.1",
    helo: str = "h.example",
) -> SpfResult:
    local, _, domain = sender.rpartition("@")
    envelope = Envelope(Address(local, domain.lower()) if sender else NULL_SENDER)
    dns = Zone("$TTL 60\n" + zone, deadline=0.01) if isinstance(zone, str) else zone
    result = await check(Peer(address, 25, helo), envelope, HOST, dns, executors)
    assert result is not None
    return result


async def test_the_suite_of_rfc_7208(executors: Executors) -> None:
    suite = cases(shared("vectors/spf-rfc7208/test/rfc7208-tests.yml"))
    assert len(suite) == 203
    missed = {}
    for case in suite:
        result = await ask(Zone(case.zone), executors, case.mailfrom, case.host, case.helo)
        if result.result not in case.results:
            missed[case.name] = result
    assert missed.keys() == EXPECTED_MISSES.keys(), missed


@pytest.mark.parametrize(
    ("zone", "result"),
    [
        ("a.example. IN TXT other\n", "none"),
        ("", "none"),
        (";!servfail a.example TXT\n", "temperror"),
        ('a.example. IN TXT "v=spf1 include:b.example -all"\n;!servfail b.example TXT\n', "temperror"),
        ('a.example. IN TXT "v=spf1 include:b.example -all"\n', "permerror"),
        (
            'a.example. IN TXT "v=spf1 include:a.example -all"\n',
            "permerror",
        ),  # recursion ends at ten look-ups
        ('a.example. IN TXT "v=spf1 redirect=a.example"\n', "permerror"),
        (
            'a.example. IN TXT "v=spf1 a:x.a.example a:y.a.example a:z.a.example -all"\n',
            "permerror",
        ),  # void look-ups
        ('a.example. IN TXT "v=spf1 a:x.a.example a:y.a.example -all"\n', "fail"),
        (
            'a.example. IN TXT "v=spf1 exists:%{ir}.%{v}.a.example -all"\n'
            "1.2.0.192.in-addr.a.example. IN A 127.0.0.2\n",
            "pass",
        ),
        ('a.example. IN TXT "v=spf1 ~all"\na.example. IN TXT "v=spf1 -all"\n', "permerror"),
        ('a.example. IN TXT "v=spf1 exp=e.example -all"\n;!servfail e.example TXT\n', "fail"),
    ],
)
async def test_results_stay_apart(zone: str, result: str, executors: Executors) -> None:
    assert (await ask(zone, executors)).result == result


async def test_the_null_sender_is_judged_by_its_helo(executors: Executors) -> None:
    result = await ask('h.example. IN TXT "v=spf1 ip4:192.0.2.1 -all"\n', executors, sender="")
    assert result == SpfResult("pass", "h.example", "helo", "h.example")
    assert (await ask("", executors, sender="", helo="[192.0.2.1]")).result == "none"
    assert (await ask("", executors, sender="", helo="a\0b.example")).result == "none"


async def test_a_peer_without_an_address_is_not_judged(executors: Executors) -> None:
    assert await check(Peer("", 0), Envelope(NULL_SENDER), HOST, Zone(""), executors) is None


async def test_ipv6_and_mapped_ipv4(executors: Executors) -> None:
    zone = 'a.example. IN TXT "v=spf1 ip6:2001:db8::/32 ip4:192.0.2.1 -all"\n'
    assert (await ask(zone, executors, address="2001:db8::7")).result == "pass"
    assert (await ask(zone, executors, address="::ffff:192.0.2.1")).result == "pass"
    assert (await ask(zone, executors, address="2001:db9::7")).result == "fail"


async def test_a_domain_without_a_record_costs_no_thread(executors: Executors) -> None:
    before = threading.active_count()
    assert (await ask("a.example. IN TXT nothing\n", executors)).result == "none"
    assert threading.active_count() == before


async def test_checks_at_the_same_time_do_not_see_each_others_dns(executors: Executors) -> None:
    """spf.DNSLookup is one global of the module."""
    names = [f"d{number}.example" for number in range(40)]
    allowed = {
        name: Zone(
            f'$TTL 60\n{name}. IN TXT "v=spf1 include:i.example -all"\ni.example. IN TXT "v=spf1 ip4:192.0.2.{at}"\n'
        )
        for at, name in enumerate(names)
    }
    pairs = [(at, name) for name in names for at in (names.index(name), names.index(name) + 100)]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        results = await asyncio.gather(
            *(ask(allowed[name], executors, f"a@{name}", f"192.0.2.{at}") for at, name in pairs)
        )
    finally:
        sys.setswitchinterval(before)
    assert [one.result for one in results] == ["pass", "fail"] * len(names)


def test_a_lookup_outside_of_a_check_is_a_bug_and_asks_nobody() -> None:
    with pytest.raises(LookupError):
        pyspf.check2(i="192.0.2.1", s="a@a.example", h="h.example")


class Stuck:
    """Answers for a.example, and never for anything else until released."""

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.waiting = asyncio.Event()

    async def query(self, name: str, type: str) -> Answer:
        if name == "a.example":
            return Answer((b"v=spf1 a:stuck.example -all",))
        self.waiting.set()
        await self.release.wait()
        return Answer(("192.0.2.1",))


async def test_a_name_server_that_never_answers_holds_no_thread() -> None:
    pools = Executors({"mailauth": 1})
    stuck = Stuck()
    slow = [asyncio.create_task(ask(stuck, pools)) for _ in range(20)]
    await stuck.waiting.wait()
    assert (await ask('a.example. IN TXT "v=spf1 ip4:192.0.2.1 -all"\n', pools)).result == "pass"
    stuck.release.set()
    assert {one.result for one in await asyncio.gather(*slow)} == {"pass"}
    pools.close()


async def test_the_whole_check_has_a_deadline(executors: Executors) -> None:
    peer, envelope = Peer("192.0.2.1", 25, "h.example"), Envelope(Address("joe", "a.example"))
    result = await check(peer, envelope, HOST, Stuck(), executors, deadline=0.05)
    assert result is not None
    assert result.result == "temperror"
    assert "0.05 s" in result.reason


class Levels(Zone):
    """Notes which questions were under way together."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.together: list[set[str]] = []
        self._open: set[str] = set()

    async def query(self, name: str, type: str) -> Answer:
        if not self._open:
            self.together.append(set())
        self._open.add(name)
        self.together[-1].add(name)
        await asyncio.sleep(0)
        self._open.discard(name)
        return await super().query(name, type)


async def test_included_records_are_fetched_ahead_and_at_once(executors: Executors) -> None:
    zone = Levels(
        "$TTL 60\n"
        'a.example. IN TXT "v=spf1 include:b.example ?include:C.example. include:%{d}.x redirect=d.example"\n'
        'b.example. IN TXT "v=spf1 include:e.example -all"\ne.example. IN TXT "v=spf1 ip4:192.0.2.1 -all"\n'
        'c.example. IN TXT "v=spf1 -all"\nd.example. IN TXT "v=spf1 include:a.example -all"\n'
    )
    assert (await ask(zone, executors)).result == "pass"
    assert zone.together == [{"a.example"}, {"b.example", "c.example", "d.example"}, {"e.example"}]


async def test_fetching_ahead_is_bounded(executors: Executors) -> None:
    terms = " ".join(f"include:i{number}.example" for number in range(300))
    strings = " ".join(f'"{terms[at : at + 200]}"' for at in range(0, len(terms), 200))
    zone = Levels(f'a.example. 60 IN TXT "v=spf1 " {strings}\n')
    assert (await ask(zone, executors)).result == "permerror"
    assert sum(map(len, zone.together)) <= 11


async def test_the_largest_record_of_questions_comes_to_an_end(executors: Executors) -> None:
    """Ten "mx" of ten hosts each: 111 questions, the most that RFC 7208 4.6.4 allows."""
    terms = " ".join(f"mx:m{number}.a.example" for number in range(10))
    lines = [f'a.example. IN TXT "v=spf1 {terms} -all"']
    for number in range(10):
        for host in range(10):
            lines.append(f"m{number}.a.example. IN MX {host} h{number}-{host}.a.example.")
            lines.append(f"h{number}-{host}.a.example. IN A 198.51.100.{host}")
    lines.append("h9-9.a.example. IN A 192.0.2.1")
    assert (await ask("\n".join(lines) + "\n", executors)).result == "pass"
