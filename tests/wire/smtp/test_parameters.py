"""wire/smtp/parameters.py: what follows a path."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.core.errors import InvalidInput
from mailplat.wire.smtp.parameters import UnknownParameter, parse_parameters, parse_size

KNOWN = {"SIZE", "BODY", "ENVID", "MT-PRIORITY", "SMTPUTF8"}


def test_keywords_in_upper_case_values_as_given() -> None:
    assert parse_parameters(b"", KNOWN) == {}
    assert parse_parameters(b" size=12  Body=8BitMime SMTPUTF8 ", KNOWN) == {
        "SIZE": "12",
        "BODY": "8BitMime",
        "SMTPUTF8": None,
    }
    assert parse_parameters(b" ENVID=QqQ314159", KNOWN) == {"ENVID": "QqQ314159"}


def test_a_keyword_may_have_a_hyphen() -> None:
    assert parse_parameters(b" mt-priority=4", KNOWN) == {"MT-PRIORITY": "4"}


@pytest.mark.parametrize("text", [b" AUTH=<>", b" X", b" NOTIFY=NEVER", b" a-b=c"])
def test_unknown(text: bytes) -> None:
    with pytest.raises(UnknownParameter):
        parse_parameters(text, KNOWN)


@pytest.mark.parametrize(
    "text",
    [
        b" SIZE=1 SIZE=1",
        b" SIZE=1 size=2",
        b" SIZE=",
        b" =1",
        b" -SIZE=1",
        b" SIZE=1=2",
        b" SIZE=\x01",
        b" SI_ZE=1",
        b" SIZE\t=1",
        b" ENVID=\xff",
        b" SIZE=1\0",
    ],
)
def test_malformed(text: bytes) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_parameters(text, KNOWN)
    assert not isinstance(caught.value, UnknownParameter)


def test_utf8_values() -> None:
    assert parse_parameters(" ENVID=ü".encode(), KNOWN) == {"ENVID": "ü"}


def test_sizes() -> None:
    assert parse_size("0") == 0
    assert parse_size("99999999999999999999") == 99999999999999999999
    for value in (None, "", "-1", "+1", "1.5", "0x10", "1" * 21, "١"):
        with pytest.raises(InvalidInput):
            parse_size(value)


@given(st.binary(max_size=200))
def test_only_invalid_input_is_raised(octets: bytes) -> None:
    try:
        given_ = parse_parameters(octets, KNOWN)
    except InvalidInput:
        return
    assert set(given_) <= KNOWN
