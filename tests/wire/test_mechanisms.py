"""LOGIN, OAUTHBEARER (RFC 7628) and XOAUTH2, byte by byte."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.core.errors import InvalidInput
from mailplat.wire.sasl import (
    MAX_PART,
    Challenge,
    CheckToken,
    Exchange,
    Plain,
    Proven,
    Rejected,
    login,
    oauthbearer,
    xoauth2,
)
from mailplat.wire.sasl.oauth import MAX_TOKEN

_parts = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=50)


def end(exchange: Exchange, answer: object) -> Any:
    with pytest.raises(StopIteration) as stopped:
        exchange.send(answer)
    return stopped.value.value


@given(name=_parts.filter(bool), password=_parts)
def test_login(name: str, password: str) -> None:
    exchange = login()
    assert next(exchange) == Challenge(b"Username:")
    assert exchange.send(name.encode()) == Challenge(b"Password:")
    assert end(exchange, password.encode()) == Plain("", name, password)


@pytest.mark.parametrize(
    ("name", "password"),
    [
        (b"", b"x"),
        (b"a\0b", b"x"),
        (b"a", b"\0"),
        (b"\xff", b"x"),
        (b"a", b"\xff"),
        (b"a" * (MAX_PART + 1), b"x"),
    ],
)
def test_what_is_no_login(name: bytes, password: bytes) -> None:
    exchange = login()
    next(exchange)
    exchange.send(name)
    with pytest.raises(InvalidInput):
        exchange.send(password)


def test_the_example_of_rfc_7628() -> None:
    exchange = oauthbearer()
    assert next(exchange) == Challenge()
    first = (
        b"n,a=user@example.com,\x01host=server.example.com\x01port=143\x01"
        b"auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01"
    )
    assert exchange.send(first) == CheckToken("vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==")
    assert end(exchange, "user@example.com") == Proven("user@example.com")


def test_xoauth2() -> None:
    exchange = xoauth2()
    next(exchange)
    assert exchange.send(b"user=a=2C@example.com\x01auth=Bearer ya29.x\x01\x01") == CheckToken("ya29.x")
    assert end(exchange, "A=2C@example.com") == Proven("A=2C@example.com")


@pytest.mark.parametrize("owner", [None, "other@example.com"])
@pytest.mark.parametrize(
    ("mechanism", "first", "told"),
    [
        (oauthbearer, b"n,a=user@example.com,\x01auth=Bearer x\x01\x01", b'{"status":"invalid_token"}'),
        (xoauth2, b"user=user@example.com\x01auth=Bearer x\x01\x01", b'{"status":"401","schemes":"bearer"}'),
    ],
)
def test_a_token_that_opens_nothing(
    mechanism: Callable[[], Exchange], first: bytes, told: bytes, owner: str | None
) -> None:
    exchange = mechanism()
    next(exchange)
    exchange.send(first)
    assert exchange.send(owner) == Challenge(told)
    with pytest.raises(Rejected) as rejected:
        exchange.send(b"\x01")
    assert rejected.value.name == "user@example.com"


def test_a_client_that_names_nobody_is_the_owner_of_its_token() -> None:
    exchange = oauthbearer()
    next(exchange)
    exchange.send(b"n,,\x01auth=Bearer x\x01\x01")
    assert end(exchange, "anna@example.test") == Proven("anna@example.test")


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"\x01",
        b"n,,\x01\x01",
        b"n,,\x01host=x\x01\x01",
        b"n,,\x01auth=Basic x\x01\x01",
        b"n,,\x01auth=Bearer \x01\x01",
        b"n,,\x01auth=Bearer a b\x01\x01",
        b"n,,\x01auth=Bearer x\x01",
        b"p=x,,\x01auth=Bearer x\x01\x01",
        b"n,a=\xff,\x01auth=Bearer x\x01\x01",
        b"n,,\x01auth=Bearer " + b"x" * (MAX_TOKEN + 1) + b"\x01\x01",
        b"user=\x01auth=Bearer x\x01\x01",
        b"user=a\x01auth=Bearer x\x01",
    ],
)
def test_what_is_no_bearer_token(first: bytes) -> None:
    for mechanism in (oauthbearer, xoauth2):
        exchange = mechanism()
        next(exchange)
        with pytest.raises(InvalidInput):
            exchange.send(first)


def test_the_longest_token() -> None:
    exchange = oauthbearer()
    next(exchange)
    assert exchange.send(b"n,,\x01auth=Bearer " + b"x" * MAX_TOKEN + b"\x01\x01") == CheckToken(
        "x" * MAX_TOKEN
    )


def test_a_token_is_in_no_repr() -> None:
    assert "geheim" not in repr(CheckToken("geheim"))
