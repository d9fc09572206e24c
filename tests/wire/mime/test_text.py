import base64
import codecs
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.wire.mime import field_texts, fold, scan, searchable_text
from mailplat.wire.mime.text import _MARKS, decode_base64
from mailplat.wire.mime.words import decode_charset, decode_words, known_charset
from tests.wire.mime.samples import corpus, vectors


def text(octets: bytes, *, headers: bool = False) -> str:
    return "\n".join(searchable_text(octets, scan(octets), headers=headers))


@pytest.mark.parametrize(
    ("encoding", "charset", "body"),
    [
        (b"8bit", b"utf-8", "GRÜSSE".encode()),
        (b"quoted-printable", b"ISO-8859-1", b"GR=DCSS=\r\nE"),
        (b"Base64 (comment)", b"windows-1252", base64.b64encode("GRÜSSE".encode("cp1252"))),
        (b"base64", b"utf-8", base64.b64encode("GRÜSSE".encode()).rstrip(b"=") + b"\r\n!"),
        (b"8bit", b"x-unknown", "GRÜSSE".encode()),
        (b"8bit", b"x-unknown", "GRÜSSE".encode("latin-1")),
    ],
)
def test_body_is_decoded_and_folded(encoding: bytes, charset: bytes, body: bytes) -> None:
    octets = b"Content-Type: text/plain; charset=%b\r\nContent-Transfer-Encoding: %b\r\n\r\n%b" % (
        charset,
        encoding,
        body,
    )
    assert fold("grüsse") in text(octets)


def test_what_is_searched() -> None:
    octets = (
        b"Subject: =?utf-8?q?the_t=C3=B6p?=\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\npreamble\r\n"
        b"--x\r\n\r\nthe text\r\n--x\r\nContent-Type: image/png\r\nContent-Description: a picture\r\n\r\nbinary\r\n"
        b"--x\r\nContent-Type: message/rfc822\r\n\r\nSubject: within\r\n\r\nmore text\r\n--x--\r\n"
    )
    body, everything = text(octets), text(octets, headers=True)
    assert "töp" not in body
    assert "töp" in everything
    for found in ("the text", "a picture", "within", "more text"):
        assert found in body
        assert found in everything
    assert "binary" not in everything


def test_search_is_bounded() -> None:
    octets = b"\r\n" + b"a" * 10_000
    assert len("".join(searchable_text(octets, scan(octets), headers=False, limit=1000))) == 1000


def test_field_texts() -> None:
    octets = b"X-Spam: =?utf-8?b?w5w=?=\r\nx-spam: second\r\n\r\n"
    assert field_texts(octets, scan(octets), "X-SPAM") == ["ü", "second"]
    assert field_texts(octets, scan(octets), "other") == []


def test_all_samples() -> None:
    for octets in corpus()[::7]:
        assert text(octets, headers=True)
    for _, octets in vectors():
        text(octets, headers=True)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"plain", "plain"),
        (b"=?utf-8?q?a_b=C3=BC?=", "a bü"),
        (b"=?UTF-8*en?B?w7w=?= tail", "ü tail"),
        (b"=?utf-8?q?a?= =?utf-8?q?b?=", "ab"),  # RFC 2047 6.2
        (b"=?utf-8?q?=C3?= =?utf-8?q?=BC?=", "ü"),  # a character cut in two
        (b"=?x-unknown?q?abc?=", "abc"),
        (b"=?utf-8?b?!?=", ""),
        (b"=?utf-8?x?abc?=", "=?utf-8?x?abc?="),
        (b"=?utf-8?q?unfinished", "=?utf-8?q?unfinished"),
        (b"gr\xfcn", "grün"),
        ("grün".encode(), "grün"),
        (b"a\t \r\n b", "a b"),
    ],
)
def test_encoded_words(value: bytes, expected: str) -> None:
    assert decode_words(value) == expected


def test_decoded_length_is_bounded() -> None:
    assert len(decode_words(b"a" * 100_000)) == 1000
    assert len(decode_words(b"=?utf-8?q?" + b"a" * 100_000 + b"?=")) <= 1000


@pytest.mark.parametrize(
    "name", [b"base64", b"rot13", b"zip", b"punycode", b"unicode-escape", b"idna", b"", b"\0"]
)
def test_codecs_that_are_no_charsets(name: bytes) -> None:
    assert known_charset(name) is None


def test_charsets_of_real_mail() -> None:
    for name in (
        b"US-ASCII",
        b"iso-8859-15",
        b"KOI8-R",
        b"gb2312",
        b"big5",
        b"iso-2022-jp",
        b"ks_c_5601-1987",
    ):
        found = known_charset(name)
        assert found is not None
        assert codecs.lookup(found)


@given(
    st.binary(max_size=200), st.one_of(st.binary(max_size=12), st.sampled_from([b"utf-7", b"utf-16", b"hz"]))
)
def test_decoding_never_fails(octets: bytes, charset: bytes) -> None:
    decode_charset(octets, charset)
    decode_words(octets)
    decode_words(b"=?" + charset + b"?q?" + octets + b"?=")
    decode_base64(octets)


@given(st.binary(max_size=100))
def test_base64_round_trip(octets: bytes) -> None:
    assert decode_base64(base64.encodebytes(octets)) == octets


def test_every_combining_mark_is_known_as_one() -> None:
    for point in range(0x110000):
        character = chr(point)
        if unicodedata.combining(unicodedata.normalize("NFKD", character)[0]):
            assert _MARKS.fullmatch(character * 31), hex(point)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("marks", ["\u0315\u0300", "\u0301\uff9e", "\u0f73", "\u0301" * 500 + "\u0316" * 500])
def test_hostile_runs_of_marks_end(marks: str) -> None:
    """Sorting them (canonical order) is quadratic in the library."""
    assert fold("e" + marks * (1_000_000 // len(marks)))


def test_folding() -> None:
    assert fold("Re\u0301sume\u0301 STRASSE") == fold("RÉSUMÉ straße")
    assert fold("ﬁ") == "fi"
    assert fold("—" * 60) == "—" * 60


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "value", [b"=?" * 500_000, b"=?a?q?" * 150_000, b"=?a?q?b?= " * 100_000, b"=" * 1_000_000]
)
def test_hostile_words_end(value: bytes) -> None:
    assert isinstance(decode_words(value, 1_000_000), str)
