import authres
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.filtering.header import split
from mailplat.filtering.mailauth.dkim import DkimResult
from mailplat.filtering.mailauth.dmarc import DmarcResult
from mailplat.filtering.mailauth.policy import Disposition
from mailplat.filtering.mailauth.results import render, strip
from mailplat.filtering.mailauth.spf import SpfResult
from tests.filtering.mail import HOST


def read(field: bytes) -> authres.AuthenticationResultsHeader:
    (parsed,) = split(field)
    text = "Authentication-Results: " + parsed.value.decode("ascii").replace("\t", " ")
    return authres.FeatureContext(authres.dmarc, authres.dkim_b).parse(text)


def test_what_we_write_is_read_back() -> None:
    field = render(
        HOST,
        SpfResult("pass", "a.example", "mailfrom", "joe@a.example"),
        [
            DkimResult("pass", "a.example", "s1", "rsa-sha256", "ab/+cdef"),
            DkimResult("fail", "b.example", "s2", "ed25519-sha256", "12345678", "body hash did not verify"),
            DkimResult("permerror", reason="signature field is malformed"),
        ],
        DmarcResult("pass", "a.example", "reject"),
    )
    assert field.endswith(b"\r\n")
    assert all(len(line) <= 998 for line in field.split(b"\r\n"))
    parsed = read(field)
    assert parsed.authserv_id == HOST
    spf, good, bad, broken, dmarc = parsed.results
    assert (spf.method, spf.result, spf.smtp_mailfrom) == ("spf", "pass", "joe@a.example")
    assert (good.result, good.header_d) == ("pass", "a.example")
    assert {one.name: one.value for one in good.properties} == {
        "d": "a.example",
        "b": "ab/+cdef",
        "s": "s1",
        "a": "rsa-sha256",
    }
    assert (bad.result, bad.reason) == ("fail", "body hash did not verify")
    assert (broken.result, broken.header_d) == ("permerror", None)
    assert (dmarc.method, dmarc.result, dmarc.header_from) == ("dmarc", "pass", "a.example")


def test_an_unsigned_message_says_so() -> None:
    parsed = read(render(HOST, None, [], DmarcResult("none", "a.example")))
    assert [(one.method, one.result) for one in parsed.results] == [("dkim", "none"), ("dmarc", "none")]


def test_the_policy_is_shown() -> None:
    field = render(HOST, None, [], DmarcResult("fail", "a.example", "reject", Disposition.QUARANTINE))
    assert b"dmarc=fail (p=reject dis=quarantine) header.from=a.example" in field


@given(
    st.text(st.sampled_from('a;= "\\\r\n()<>@.\0\x7fé,:/'), max_size=30),
    st.sampled_from(["", "evil.example"]),
    st.sampled_from(["mailfrom", "helo"]),
)
def test_a_senders_octets_never_become_results(text: str, domain: str, scope: str) -> None:
    sender = f"{text}@evil.example" if scope == "mailfrom" else text
    field = render(HOST, SpfResult("fail", domain, scope, sender), [], None)  # type: ignore[arg-type]
    parsed = read(field)
    assert [(one.method, one.result) for one in parsed.results] == [("spf", "fail"), ("dkim", "none")]
    assert len(parsed.results[0].properties) <= 1
    assert field.count(b"\r\n") == 3


FORGED = [
    b"Authentication-Results: mx.example.net; dkim=pass header.d=bank.example\r\n",
    b"authentication-results: MX.Example.NET; dkim=pass\r\n",
    b"AUTHENTICATION-RESULTS:mx.example.net;dkim=pass\r\n",
    b"Authentication-Results : mx.example.net; dkim=pass\r\n",
    b"Authentication-Results:\r\n mx.example.net;\r\n\tdkim=pass\r\n",
    b"Authentication-Results: mx.example.net 1; dkim=pass\r\n",
    b"Authentication-Results: mx.example.net/1; dkim=pass\r\n",
    b"Authentication-Results: (hello (nested \\) ) there) mx.example.net; dkim=pass\r\n",
    b'Authentication-Results: "mx.example.net"; dkim=pass\r\n',
    b'Authentication-Results: "mx.exa\\mple.net" 1; dkim=pass\r\n',
    b"Authentication-Results: mx.example.net.; dkim=pass\r\n",
    b"Authentication-Results: mx.example.net\r\n",
    b"Authentication-Results: mx.example.net(comment); dkim=pass\r\n",
    b"Authentication-Results: ; mx.example.net; dkim=pass\r\n",
    b"Authentication-Results: (unclosed mx.example.net; dkim=pass\r\n",
    b'Authentication-Results: "mx.example.net; dkim=pass\r\n',
]

FOREIGN = [
    b"Authentication-Results: mx.google.com; dkim=pass\r\n",
    b"Authentication-Results: notmx.example.net; dkim=pass\r\n",
    b"Authentication-Results: mx.example.net.evil.example; dkim=pass\r\n",
    b"Authentication-Results: evil.example (mx.example.net); dkim=pass\r\n",
    b"ARC-Authentication-Results: i=1; mx.example.net; dkim=pass\r\n",
    b"X-Authentication-Results: mx.example.net; dkim=pass\r\n",
    b"Subject: Authentication-Results: mx.example.net; dkim=pass\r\n",
    b"Authentication-Results: \xff\xfe; dkim=pass\r\n",
    b"Authentication-Results:\r\n",
]


@pytest.mark.parametrize("forged", FORGED, ids=repr)
def test_forged_fields_are_removed_and_nothing_else(forged: bytes) -> None:
    around = (b"Received: a\r\n\tb\r\n", b"Subject:  odd   spacing \r\nno field at all\r\n")
    for block in (forged + b"".join(around), around[0] + forged + around[1], b"".join(around) + forged):
        assert strip(block + b"\r\n", HOST) == b"".join(around) + b"\r\n"
    assert strip(forged * 3 + b"\r\n", HOST) == b"\r\n"


@pytest.mark.parametrize("foreign", FOREIGN, ids=repr)
def test_fields_of_others_stay(foreign: bytes) -> None:
    block = b"A: 1\r\n" + foreign + b"B: 2\r\n\r\n"
    assert strip(block, HOST) == block
    assert strip(FORGED[0] + block, HOST) == block


def test_a_block_without_an_end_keeps_its_shape() -> None:
    assert strip(b"A: 1\r\n" + FORGED[0], HOST) == b"A: 1\r\n"
    assert strip(FORGED[0] + b"A: 1", HOST) == b"A: 1"
    assert strip(b"", HOST) == b""
    assert strip(b"\r\n", HOST) == b"\r\n"


@given(st.lists(st.sampled_from([*FORGED[:5], *FOREIGN[:5], b"A: b\r\n", b"junk\r\n"]), max_size=12))
def test_the_rest_is_kept_octet_for_octet(fields: list[bytes]) -> None:
    kept = b"".join(field for field in fields if field not in FORGED)
    assert strip(b"".join(fields) + b"\r\n", HOST) == kept + b"\r\n"


def test_nested_comments_do_not_recurse() -> None:
    deep = b"Authentication-Results: " + b"(" * 50_000 + b")" * 50_000 + b" mx.example.net; dkim=pass\r\n"
    assert strip(deep + b"\r\n", HOST) == b"\r\n"
