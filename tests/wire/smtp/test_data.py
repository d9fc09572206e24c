"""wire/smtp/data.py: whole equals chunked equals a decoder that looks at one octet at a time."""

import itertools
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailplat.wire.smtp.data import DataDecoder, stuff


def reference(octets: bytes) -> tuple[bytes, bytes] | None:
    """RFC 5321 4.5.2 by the letter, line by line: content and rest, None while the end has not come."""
    content, at = b"", 0
    while True:
        end = octets.find(b"\r\n", at)
        if end < 0:
            return None
        line = octets[at : end + 2]
        at = end + 2
        if line == b".\r\n":
            return content, octets[at:]
        content += line[1:] if line.startswith(b".") else line


def is_bare(content: bytes) -> bool:
    return re.search(rb"\r(?!\n)|(?<!\r)\n", content) is not None


def decode(chunks: list[bytes]) -> tuple[bytes, DataDecoder]:
    decoder = DataDecoder()
    return b"".join([decoder.feed(chunk) for chunk in chunks]), decoder


# Octets that matter, more often than others.
STREAM = st.lists(
    st.sampled_from([b"\r\n", b".", b"\r", b"\n", b"x", b"\r\n.\r\n", b"\r\n..", b".\r\n", b"\0"]),
    max_size=40,
).map(b"".join)


@settings(max_examples=500)
@given(STREAM, st.data())
def test_chunked_at_random_equals_the_reference(octets: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(octets)), max_size=8)))
    edges = [0, *cuts, len(octets)]
    content, decoder = decode([octets[a:b] for a, b in itertools.pairwise(edges)])
    expected = reference(octets)
    assert decoder.finished == (expected is not None)
    assert decoder.size == len(content)
    if expected is not None:
        assert (content, decoder.rest) == expected
        assert decoder.bare == is_bare(content)
        assert decoder.nul == (b"\0" in content)


@settings(max_examples=300)
@given(STREAM)
def test_octet_by_octet_equals_whole(octets: bytes) -> None:
    whole, decoder = decode([octets])
    pieces, other = decode([octets[at : at + 1] for at in range(len(octets))])
    assert (whole, decoder.rest, decoder.bare, decoder.finished) == (
        pieces,
        other.rest,
        other.bare,
        other.finished,
    )


@settings(max_examples=200)
@given(st.lists(st.sampled_from([b"", b".", b"..", b"hello", b".x", b"x."]), max_size=12))
def test_what_is_stuffed_comes_back(lines: list[bytes]) -> None:
    content = b"".join(line + b"\r\n" for line in lines)
    decoded, decoder = decode([stuff(content) + b".\r\nQUIT\r\n"])
    assert decoded == content
    assert decoder.rest == b"QUIT\r\n"
    assert not decoder.bare


def test_the_empty_message() -> None:
    content, decoder = decode([b".\r\n"])
    assert content == b""
    assert decoder.finished


# What has been tried to end a message early: everything but CRLF . CRLF.
SMUGGLING = [
    b"\n.\n",
    b"\n.\r\n",
    b"\r.\r",
    b"\r.\r\n",
    b"\r\n.\n",
    b"\r\n.\r",
    b"\n.\r",
    b"\r.\n",
    b"\r\n\r.\r\n",
    b"\r\n.\r\r\n",
    b"\r\n.\n\r\n",
    b"\r\r\n.\n",
    b"\n\r\n.\r\r",
    b"\r\n.\0\r\n",
    b"\0\n.\r\n",
    b"\r\n \r.\n",
]


@pytest.mark.parametrize("sequence", SMUGGLING)
def test_only_crlf_dot_crlf_ends_data(sequence: bytes) -> None:
    octets = b"Subject: a\r\n\r\nbody" + sequence + b"MAIL FROM:<evil@x>\r\n"
    content, decoder = decode([octets, b".\r\nQUIT\r\n"])
    assert decoder.finished
    assert decoder.rest == b"QUIT\r\n"
    assert b"MAIL FROM:<evil@x>" in content
    assert decoder.bare == (sequence != b"\r\n.\0\r\n")


def test_too_large_is_counted_and_the_end_still_found() -> None:
    decoder = DataDecoder(max_size=10)
    assert decoder.feed(b"12345678\r\n") == b"12345678"  # the last CRLF may begin the end
    assert not decoder.too_large
    assert decoder.feed(b"9\r\n") == b""
    assert decoder.too_large
    assert decoder.feed(b"x" * 100_000 + b"\r\n.\r\nRSET\r\n") == b""
    assert decoder.finished
    assert decoder.rest == b"RSET\r\n"


def test_exactly_the_limit_is_not_too_large_and_stuffed_dots_do_not_count() -> None:
    decoder = DataDecoder(max_size=10)
    content = decoder.feed(b"..234567\r\n.\r\n")
    assert content == b".234567\r\n"
    decoder = DataDecoder(max_size=10)
    assert decoder.feed(b"..2345678\r\n.\r\n") == b".2345678\r\n"
    assert decoder.finished
    assert not decoder.too_large


def test_long_input_in_one_pass() -> None:
    source = random.Random(5)
    content = b"".join(source.choice([b".dot", b"plain", b"", b"x" * 998]) + b"\r\n" for _ in range(20_000))
    octets = stuff(content) + b".\r\n"
    chunks = [octets[at : at + 65536] for at in range(0, len(octets), 65536)]
    assert decode(chunks)[0] == content
