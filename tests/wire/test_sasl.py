"""SASL responses (RFC 4616)."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.core.errors import InvalidInput
from mailplat.wire.sasl import MAX_PART, Plain, decode_base64, decode_plain

_text = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=50)


@given(authzid=_text, authcid=_text.filter(bool), password=_text)
def test_what_was_said_is_what_is_understood(authzid: str, authcid: str, password: str) -> None:
    line = base64.b64encode(f"{authzid}\0{authcid}\0{password}".encode())
    assert decode_plain(decode_base64(line)) == Plain(authzid, authcid, password)


@given(st.binary(max_size=80))
def test_anything_is_understood_or_refused(octets: bytes) -> None:
    for decode in (decode_base64, decode_plain):
        try:
            decode(octets)
        except InvalidInput:
            continue


@pytest.mark.parametrize(
    "response",
    [
        b"",
        b"a",
        b"a\0b",
        b"\0\0p",
        b"a\0b\0c\0d",
        b"\0\xff\0p",
        b"\0a\0\xc3",
        b"\0" + b"x" * (MAX_PART + 1) + b"\0p",
    ],
)
def test_what_is_no_plain_response(response: bytes) -> None:
    with pytest.raises(InvalidInput):
        decode_plain(response)


@pytest.mark.parametrize("line", [b"!", b"AA=A", b"AAA", b"AA A", b"AAAA\r", "ÄÄÄÄ".encode()])
def test_what_is_no_base64(line: bytes) -> None:
    with pytest.raises(InvalidInput):
        decode_base64(line)


def test_a_password_is_in_no_repr() -> None:
    assert "geheim" not in repr(Plain("", "anna", "geheim"))
