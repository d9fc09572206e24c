import pytest
from hypothesis import given
from hypothesis import strategies as st
from imapclient import imap_utf7

from mailplat.wire.imap.errors import BadSyntax
from mailplat.wire.imap.mutf7 import decode, encode

NAMES = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)


@pytest.mark.parametrize(
    ("name", "octets"),
    [
        ("", b""),
        ("INBOX", b"INBOX"),
        ("Tom & Jerry", b"Tom &- Jerry"),
        ("~peter/mail/台北/日本語", b"~peter/mail/&U,BTFw-/&ZeVnLIqe-"),  # RFC 3501 5.1.3
        ("Entwürfe", b"Entw&APw-rfe"),
        ("\U0001f4e7", b"&2D3c5w-"),
    ],
)
def test_names(name: str, octets: bytes) -> None:
    assert encode(name) == octets
    assert decode(octets) == name


@pytest.mark.parametrize(
    "octets",
    [
        b"&", b"a&b", b"&AGE-", b"&U,BTFw-&ZeVnLIqe-",  # RFC 3501 5.1.3 forbids the last two
        b"&U/BTFw-", b"&APw=-", b"&APx-", b"&A-", b"&AP-", b"&2D0-", b"&3Oc-", b"\xff", b"a\x01",
        b"gr\xc3\xbcn", b"&!!!-",
        b"&" + b"A" * 100_001 + b"-",
    ],
)  # fmt: skip
def test_what_does_not_decode(octets: bytes) -> None:
    with pytest.raises(BadSyntax):
        decode(octets)


def test_half_a_surrogate_pair_is_no_name() -> None:
    with pytest.raises(BadSyntax):
        encode("\ud83d")


@given(NAMES)
def test_round_trip(name: str) -> None:
    assert decode(encode(name)) == name
    assert encode(name).isascii()


@given(NAMES.filter(lambda name: name.isprintable()))
def test_what_imapclient_writes(name: str) -> None:
    assert encode(name) == imap_utf7.encode(name)


@given(st.binary(max_size=30))
def test_one_spelling_only(octets: bytes) -> None:
    try:
        name = decode(octets)
    except BadSyntax:
        return
    assert encode(name) == octets
