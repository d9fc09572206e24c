"""Surrogates of messages with UTF-8 headers (RFC 6858)."""

import email
import email.policy
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.wire.mime.downgrade import NOBODY, Downgrader, rewrite


def downgrade(octets: bytes, *cuts: int) -> bytes:
    """Fed in pieces."""
    downgrader = Downgrader()
    ends = [*sorted(cuts), len(octets)]
    pieces = [octets[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    return b"".join(map(downgrader.feed, pieces)) + downgrader.finish()


def field(text: str) -> bytes:
    return rewrite(text.encode() + b"\r\n")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Subject: plain", b"Subject: plain\r\n"),
        ("Subject: Grüße", b"Subject: =?utf-8?b?R3LDvMOfZQ==?=\r\n"),
        (
            "Subject: Gr\u00fc\u00dfe\r\n  =?utf-8?q?aus_K=C3=B6ln?=",
            b"Subject: =?utf-8?b?R3LDvMOfZSBhdXMgS8O2bG4=?=\r\n",
        ),
        ("From: J\u00f6rg <j@x.test>", b"From: =?utf-8?b?SsO2cmc=?= <j@x.test>\r\n"),
        (
            "To: a@x.test,\r\n \u00fc@x.test",
            b"To: <a@x.test>,\r\n =?utf-8?b?PMO8QHgudGVzdD4=?= <" + NOBODY + b">\r\n",
        ),
        ("Cc: G: J\u00f6 <j@x.test>;", b"Cc: =?utf-8?b?SsO2?= <j@x.test>\r\n"),
        ("From: \u00fc", b"From: <" + NOBODY + b">\r\n"),
        ("Message-ID: <\u00fc@x.test>", b""),
        ("R\u00f6ceived: from x", b""),
        (
            "Content-Type: text/plain; name=\u00fc.txt; charset=utf-8",
            b"Content-Type: text/plain;\r\n name*=utf-8''%C3%BC.txt;\r\n charset=utf-8\r\n",
        ),
        (
            'Content-Disposition: attachment; filename="\u00fc a.txt"; x="a b"',
            b"Content-Disposition: attachment;\r\n filename*=utf-8''%C3%BC%20a.txt;\r\n x=\"a b\"\r\n",
        ),
    ],
)
def test_fields(before: str, after: bytes) -> None:
    assert field(before) == after


def test_what_is_no_utf8_stays() -> None:
    assert rewrite(b"Subject: Gr\xfc\xdfe\r\nTo: \xfc\r\n\r\n") == b"Subject: Gr\xfc\xdfe\r\nTo: \xfc\r\n\r\n"


def test_long_values_are_folded_between_characters() -> None:
    text = "äöü€" * 60
    shown = field(f"Subject: {text}")
    assert all(len(line) <= 76 for line in shown.split(b"\r\n")[1:])
    parsed = email.message_from_bytes(shown + b"\r\n", policy=email.policy.default)
    assert parsed["Subject"] == text


MESSAGE = (
    "From: Jörg <jörg@köln.test>\r\nSubject: Füße\r\nDate: Mon, 7 Feb 2022 21:52:25 -0800\r\n"
    "Content-Type: multipart/mixed; boundary=outer\r\n\r\npreamble ü\r\n"
    "--outer\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n-ü\r\n--\r\n--outerX\r\nText ü\r\n"
    "--outer\r\nContent-Type: multipart/alternative; boundary=inner\r\n\r\n"
    "--inner\r\nContent-Disposition: inline; filename=ä.txt\r\n\r\nSubject: ä\r\n"
    "--inner--\r\nepilogue ü\r\n"
    "--outer\r\nContent-Type: message/rfc822\r\n\r\nSubject: innen ö\r\n\r\nBody ö\r\n"
    "--outer--\r\nTo: ü\r\n"
).encode()


def test_parts_and_messages_within() -> None:
    shown = downgrade(MESSAGE)
    lines = shown.split(b"\r\n")
    assert b" filename*=utf-8''%C3%A4.txt" in lines
    assert b"Subject: =?utf-8?b?aW5uZW4gw7Y=?=" in lines
    # bodies are as they were
    for body in (
        "preamble ü",
        "-ü",
        "--",
        "--outerX",
        "Text ü",
        "Subject: ä",
        "epilogue ü",
        "Body ö",
        "To: ü",
    ):
        assert body.encode() in lines
    parsed = email.message_from_bytes(shown, policy=email.policy.default)
    assert parsed["Subject"] == "Füße"
    assert [part.get_content_type() for part in parsed.walk()] == [
        "multipart/mixed",
        "text/plain",
        "multipart/alternative",
        "text/plain",
        "message/rfc822",
        "text/plain",
    ]


def test_pieces_make_no_difference() -> None:
    whole = downgrade(MESSAGE)
    assert all(downgrade(MESSAGE, cut) == whole for cut in range(len(MESSAGE)))
    assert downgrade(MESSAGE, *range(len(MESSAGE))) == whole
    rng = random.Random(1)
    for _ in range(50):
        assert downgrade(MESSAGE, *rng.sample(range(len(MESSAGE)), 5)) == whole


@given(st.text("ab:-\r\n \u00fc", max_size=60).map(str.encode), st.integers(0, 60))
def test_anything(octets: bytes, cut: int) -> None:
    """Nothing raises, pieces make no difference, what is ASCII stays, header blocks become ASCII."""
    shown = downgrade(octets)
    assert downgrade(octets, min(cut, len(octets))) == shown
    assert downgrade(octets.replace("ü".encode(), b"u")) == octets.replace("ü".encode(), b"u")
    head, end, _ = shown.partition(b"\r\n\r\n")
    if end and b"\n\n" not in head and not octets.startswith((b"\n", b"\r\n")) and b"\r\n\r\n" in octets:
        assert head.isascii() or b"\n" not in head
