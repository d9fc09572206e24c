from pathlib import Path

import pytest

from mailplat.core.errors import InvalidInput
from mailplat.filtering.answer import Answer
from mailplat.filtering.dns import open_dns
from mailplat.filtering.zone import Zone

ZONE = r"""
$TTL 300
example.org.            IN MX    10 mx1.example.org.
                        IN MX    20 mx2.example.org.
                        IN TXT   "v=spf1 " "-all"
mx1.example.org. 60     IN A     192.0.2.1
                        IN A     192.0.2.2
                        IN AAAA  2001:db8::1
www.example.org.        IN CNAME mx1.example.org.
away.example.org.       IN CNAME gone.example.org.
loop.example.org.       IN CNAME pool.example.org.
pool.example.org.       IN CNAME loop.example.org.
*.wild.example.org.     IN TXT   any
here.wild.example.org.  IN A     192.0.2.9
null.example.org.       IN MX    0 .
octets.example.org.     IN TXT   "\255\000"
1.2.0.192.in-addr.arpa. IN PTR   mx1.example.org.
;!servfail broken.example.org
;!servfail mx1.example.org TXT MX
;!timeout slow.example.org
"""


@pytest.fixture(scope="module")
def zone() -> Zone:
    return Zone(ZONE, deadline=0.01)


@pytest.mark.parametrize(
    ("name", "type", "answer"),
    [
        ("example.org", "MX", Answer(((10, "mx1.example.org"), (20, "mx2.example.org")), "ok", 300)),
        ("Example.ORG.", "TXT", Answer((b"v=spf1 -all",), "ok", 300)),
        ("mx1.example.org", "A", Answer(("192.0.2.1", "192.0.2.2"), "ok", 60)),
        ("mx1.example.org", "AAAA", Answer(("2001:db8::1",), "ok", 300)),
        ("www.example.org", "A", Answer(("192.0.2.1", "192.0.2.2"), "ok", 60)),
        ("1.2.0.192.in-addr.arpa", "PTR", Answer(("mx1.example.org",), "ok", 300)),
        ("null.example.org", "MX", Answer(((0, ""),), "ok", 300)),
        ("octets.example.org", "TXT", Answer((b"\xff\x00",), "ok", 300)),
        ("x.wild.example.org", "TXT", Answer((b"any",), "ok", 300)),
        ("a.b.wild.example.org", "TXT", Answer((b"any",), "ok", 300)),
    ],
)
async def test_answers(zone: Zone, name: str, type: str, answer: Answer) -> None:
    got = await zone.query(name, type)
    assert (sorted(map(str, got.records)), got.status, got.ttl) == (
        sorted(map(str, answer.records)),
        answer.status,
        answer.ttl,
    )


@pytest.mark.parametrize(
    ("name", "type", "status"),
    [
        ("example.org", "AAAA", "nodata"),
        ("nothing.example.org", "A", "nxdomain"),
        ("away.example.org", "A", "nxdomain"),
        ("0.192.in-addr.arpa", "PTR", "nodata"),  # an empty non-terminal exists (RFC 8020)
        ("wild.example.org", "TXT", "nodata"),
        ("here.wild.example.org", "TXT", "nodata"),  # the wildcard does not cover a name that exists
        ("loop.example.org", "A", "temperror"),
        ("broken.example.org", "A", "temperror"),
        ("mx1.example.org", "TXT", "temperror"),
        ("slow.example.org", "MX", "temperror"),
        ("x" * 64 + ".example.org", "A", "nxdomain"),
        ("a..example.org", "A", "nxdomain"),
        (".".join(["a" * 60] * 5), "A", "nxdomain"),
        ("\ud800.example.org", "A", "nxdomain"),
        ("", "A", "nxdomain"),
    ],
)
async def test_the_four_statuses_stay_apart(zone: Zone, name: str, type: str, status: str) -> None:
    answer = await zone.query(name, type)
    assert answer.status == status
    assert answer.records == ()


async def test_a_zone_file_is_opened_by_its_spec(tmp_path: Path) -> None:
    file = tmp_path / "rig.zone"
    file.write_text("a.example. 5 IN A 192.0.2.5\n")
    answer = await open_dns(f"zone:{file}").query("a.example", "A")
    assert answer.names == ("192.0.2.5",)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("example.org. IN A not-an-address\n", "zone: "),
        (";!servfial example.org\n", "line 1: .* is no directive"),
        (";!timeout\n", "no directive"),
        (";!timeout example.org TEXT\n", "no directive"),
    ],
)
def test_a_wrong_zone_file_says_where(tmp_path: Path, text: str, complaint: str) -> None:
    file = tmp_path / "rig.zone"
    file.write_text(text)
    with pytest.raises(InvalidInput, match=complaint):
        open_dns(f"zone:{file}")


@pytest.mark.parametrize(
    "spec", ["zone:/no/such/file", "localhost", "127.0.0.1:0", "127.0.0.1:99999", "name:53", ":53"]
)
def test_a_wrong_spec_is_an_error(spec: str) -> None:
    with pytest.raises(InvalidInput):
        open_dns(spec)
