from hypothesis import given
from hypothesis import strategies as st

from mailplat.core.spool import Body
from mailplat.filtering.header import Header, split
from tests.filtering.mail import header, transaction


def test_fields_keep_their_octets_and_say_their_value() -> None:
    block = b"Subject: one\r\n\ttwo\r\nX-Empty:\r\nFrom : a@b.example\r\n\r\n"
    subject, empty, author = header(block + b"body").fields
    assert (subject.name, subject.value) == (b"subject", b"one\ttwo")
    assert subject.octets == b"Subject: one\r\n\ttwo\r\n"
    assert subject.raw_value == b" one\r\n\ttwo\r\n"
    assert (empty.name, empty.value) == (b"x-empty", b"")
    assert (author.name, author.value) == (b"from", b"a@b.example"), "RFC 5322 4.5.8: space before the colon"


def test_lines_that_are_no_field_have_no_name() -> None:
    fields = header(b"From nobody Mon Sep\r\n folded\r\nTo: x\r\n: empty\r\n\xff: y\r\n\r\n").fields
    assert [field.name for field in fields] == [b"", b"to", b"", b""]


def test_the_block_ends_with_its_empty_line() -> None:
    assert header(b"A: 1\r\n\r\nB: 2\r\n\r\n").block == b"A: 1\r\n\r\n"
    assert header(b"\r\nno header").block == b"\r\n"
    assert header(b"\r\nno header").fields == ()
    assert header(b"A: 1\r\n").block == b"A: 1\r\n", "without an empty line all is header"


def test_a_block_that_was_not_read_to_its_end_says_so() -> None:
    assert not Header.of(b"A: 1\r\nB: 2", whole=False).complete
    assert Header.of(b"A: 1\r\n\r\nrest", whole=False).complete


def test_a_header_block_beyond_the_first_read_is_found() -> None:
    block = b"".join(b"X-%d: %s\r\n" % (number, b"a" * 900) for number in range(100)) + b"\r\n"
    seen = transaction(Body.of(block + b"body")).header
    assert seen.complete
    assert seen.block == block
    assert len(seen.fields) == 100


def test_a_header_block_without_end_is_incomplete() -> None:
    seen = transaction(Body.of(b"X: a\r\n" * 200_000 + b"\r\n")).header
    assert not seen.complete


@given(
    st.lists(
        st.sampled_from([b"A", b":", b" ", b"\t", b"\r\n", b"\r", b"\n", b"\0", b"\xff", b"x"]), max_size=40
    )
)
def test_no_octet_is_lost(pieces: list[bytes]) -> None:
    block = header(b"".join(pieces)).block
    joined = b"".join(field.octets for field in split(block))
    assert block in (joined, joined + b"\r\n")
