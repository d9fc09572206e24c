"""Transfer encodings, undone piece by piece."""

import base64
import binascii
import quopri
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.wire.mime import scan
from mailplat.wire.mime.decoding import (
    MAX_HELD,
    Base64,
    Decoder,
    Identity,
    QuotedPrintable,
    decode,
    decoder_of,
    window,
)


def whole(decoder: Decoder, *pieces: bytes) -> bytes:
    return b"".join(decode(pieces, decoder))


def cut(octets: bytes, places: list[int]) -> list[bytes]:
    ends = sorted(place % (len(octets) + 1) for place in places)
    return [octets[a:b] for a, b in zip([0, *ends], [*ends, len(octets)], strict=True)]


@given(st.binary(), st.lists(st.integers(0, 10_000), max_size=8))
def test_base64_is_what_was_encoded_however_it_is_cut(content: bytes, places: list[int]) -> None:
    encoded = base64.encodebytes(content).replace(b"\n", b"\r\n")
    assert whole(Base64(), *cut(encoded, places)) == content


@given(st.binary(), st.lists(st.integers(0, 10_000), max_size=8))
def test_quoted_printable_is_what_was_encoded_however_it_is_cut(content: bytes, places: list[int]) -> None:
    encoded = quopri.encodestring(content.replace(b"\n", b"\r\n"))
    assert whole(QuotedPrintable(), *cut(encoded, places)) == whole(QuotedPrintable(), encoded)
    text = content.replace(b"\r", b"").replace(b"\n", b"")
    encoded = binascii.b2a_qp(text, istext=False)
    assert whole(QuotedPrintable(), *cut(encoded, places)) == text


@given(st.sampled_from([Base64, QuotedPrintable]), st.binary(), st.lists(st.integers(0, 10_000), max_size=8))
def test_any_octets_decode_the_same_however_they_are_cut(
    kind: type[Base64] | type[QuotedPrintable], octets: bytes, places: list[int]
) -> None:
    content = whole(kind(), octets)
    assert whole(kind(), *cut(octets, places)) == content
    assert len(content) <= len(octets)


@pytest.mark.parametrize(
    ("encoded", "content"),
    [
        (b"aGVsbG8=", b"hello"),
        (b"aGVsbG8", b"hello"),
        (b"aG!Vs\r\n bG8=\r\n", b"hello"),
        (b"aGVsbG8=aGVsbG8=", b"hello"),
        (b"=aGVsbG8=", b"hello"),
        (b"aGVsbG8hh", b"hello!"),
        (b"", b""),
        (b"====", b""),
        (b"a", b""),
    ],
)
def test_broken_base64(encoded: bytes, content: bytes) -> None:
    assert whole(Base64(), encoded) == content
    assert whole(Base64(), *(encoded[n : n + 1] for n in range(len(encoded)))) == content


@pytest.mark.parametrize(
    ("encoded", "content"),
    [
        (b"a=3Db=\r\nc", b"a=bc"),
        (b"space  \t\r\nkept =\t \r\nhere  ", b"space\r\nkept here"),
        (b"=zz=3", b"=zz=3"),
        (b"=C3=BC", "ü".encode()),
        (b"=c3=bc", "ü".encode()),
        (b"=00", b"\0"),
    ],
)
def test_quoted_printable(encoded: bytes, content: bytes) -> None:
    assert whole(QuotedPrintable(), encoded) == content
    assert whole(QuotedPrintable(), *(encoded[n : n + 1] for n in range(len(encoded)))) == content


@pytest.mark.parametrize("content", [b" ", b"=", b"=3D", b"x", b"\r", b"=\r"])
@pytest.mark.parametrize("kind", [Base64, QuotedPrintable])
def test_no_line_end_is_no_memory(kind: type[Base64] | type[QuotedPrintable], content: bytes) -> None:
    """4 MB of one line, 64 KB at a time."""

    def pieces() -> Iterator[bytes]:
        piece = content * (64 * 1024 // len(content))
        for _ in range(64):
            yield piece

    tracemalloc.start()
    try:
        for decoded in decode(pieces(), kind()):
            assert len(decoded) <= 4 * MAX_HELD
        assert tracemalloc.get_traced_memory()[1] < 1024 * 1024
    finally:
        tracemalloc.stop()


def test_a_line_at_and_beyond_what_is_held() -> None:
    for size in (MAX_HELD - 1, MAX_HELD, MAX_HELD + 1, 3 * MAX_HELD):
        line = b"=3D" * (size // 3)
        pieces = [line[at : at + 1000] for at in range(0, len(line), 1000)]
        assert whole(QuotedPrintable(), *pieces) == b"=" * (size // 3)


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        (b"", Identity),
        (b"Content-Transfer-Encoding: BASE64 (really)\r\n", Base64),
        (b"Content-Transfer-Encoding: Quoted-Printable;\r\n", QuotedPrintable),
        (b"Content-Transfer-Encoding: binary\r\n", Identity),
        (b"Content-Transfer-Encoding: x-uuencode\r\n", type(None)),
        (
            b"Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: base64\r\n",
            Identity,
        ),
    ],
)
def test_which_decoder(header: bytes, kind: type[object]) -> None:
    assert type(decoder_of(scan(header + b"\r\n--b\r\n\r\ntext\r\n--b--\r\n"))) is kind


@given(st.lists(st.binary()), st.integers(0, 50), st.none() | st.integers(1, 50))
def test_window(pieces: list[bytes], offset: int, length: int | None) -> None:
    end = None if length is None else offset + length
    assert b"".join(window(pieces, offset, length)) == b"".join(pieces)[offset:end]


@given(
    st.lists(st.sampled_from([b"A", b"B", b"C", b"=", b"==", b"\r\n"]), max_size=30),
    st.lists(st.integers(0, 30)),
)
def test_padding_ends_where_it_can_be_padding(letters: list[bytes], places: list[int]) -> None:
    """Before the third letter of a group "=" is none (RFC 2045 6.8)."""
    kept, count = b"", 0
    for letter in b"".join(letters).replace(b"\r\n", b""):
        if letter == ord("="):
            if count % 4 >= 2:
                break
        else:
            kept, count = kept + bytes([letter]), count + 1
    kept = kept[:-1] if count % 4 == 1 else kept
    expected = binascii.a2b_base64(kept + b"=" * (-len(kept) % 4))
    assert whole(Base64(), *cut(b"".join(letters), places)) == expected
