"""SCRAM-SHA-256 (RFC 5802, RFC 7677), byte by byte."""

import base64
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mailplat.core.errors import InvalidInput
from mailplat.wire.sasl import Challenge, Exchange, FindKeys, Proven, Rejected, ScramKeys, derive_keys, scram
from mailplat.wire.sasl.prep import saslprep
from mailplat.wire.sasl.scram import MAX_NONCE
from tests.wire.scram_client import ScramClient

END_POINT = "tls-server-end-point"
KEYS = derive_keys("pencil", b"0123456789abcdef", 2)


def end(exchange: Exchange, answer: object) -> Any:
    """What it returns."""
    with pytest.raises(StopIteration) as stopped:
        exchange.send(answer)
    return stopped.value.value


def converse(client: ScramClient, exchange: Exchange, keys: ScramKeys = KEYS) -> Any:
    assert next(exchange) == Challenge()
    assert isinstance(exchange.send(client.first()), FindKeys)
    challenge = exchange.send(keys)
    assert isinstance(challenge, Challenge)
    last = exchange.send(client.final(challenge.octets))
    assert isinstance(last, Challenge)
    client.check(last.octets)
    return end(exchange, b"")


def test_the_example_of_rfc_7677() -> None:
    keys = derive_keys("pencil", base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="), 4096)
    exchange = scram({}, nonce=lambda: "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")
    assert next(exchange) == Challenge(b"")
    assert exchange.send(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO") == FindKeys("user")
    assert exchange.send(keys) == Challenge(
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    )
    assert exchange.send(
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
        b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    ) == Challenge(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
    assert end(exchange, b"") == Proven("user")


_names = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1, max_size=30)


@given(_names)
@example("a=2Cb,c=")
def test_any_name_comes_over(name: str) -> None:
    assert converse(ScramClient(name, "pencil"), scram({})) == Proven(name)


@settings(max_examples=30)
@given(right=st.text("abcö", max_size=4), tried=st.text("abcö", max_size=4))
def test_the_right_password_and_no_other(right: str, tried: str) -> None:
    keys = derive_keys(right, iterations=2)
    if right == tried:
        assert converse(ScramClient("anna", tried), scram({}), keys) == Proven("anna")
    else:
        with pytest.raises(Rejected) as rejected:
            converse(ScramClient("anna", tried), scram({}), keys)
        assert rejected.value.name == "anna"


def test_the_channel_is_bound() -> None:
    bindings = {END_POINT: b"hash"}
    bound = ScramClient("anna", "pencil", flag=f"p={END_POINT}", binding=b"hash")
    assert converse(bound, scram(bindings, plus=True)) == Proven("anna")
    elsewhere = ScramClient("anna", "pencil", flag=f"p={END_POINT}", binding=b"another")
    with pytest.raises(Rejected):
        converse(elsewhere, scram(bindings, plus=True))
    assert converse(ScramClient("anna", "pencil", flag="n"), scram(bindings)) == Proven("anna")
    assert converse(ScramClient("anna", "pencil", flag="y"), scram({})) == Proven("anna")


@pytest.mark.parametrize(
    ("flag", "bindings", "plus"),
    [
        ("y", {END_POINT: b"hash"}, False),  # somebody took -PLUS out of the list (RFC 5802 6)
        ("n", {END_POINT: b"hash"}, True),
        (f"p={END_POINT}", {END_POINT: b"hash"}, False),
        ("p=tls-unique", {END_POINT: b"hash"}, True),
        ("p=tls-exporter", {END_POINT: b"hash"}, True),
    ],
)
def test_flags_that_do_not_fit(flag: str, bindings: dict[str, bytes], plus: bool) -> None:
    exchange = scram(bindings, plus=plus)
    next(exchange)
    with pytest.raises(InvalidInput):
        exchange.send(ScramClient("anna", "pencil", flag=flag).first())


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"n,,",
        b"n,,n=anna",
        b"n,,r=abc,n=anna",
        b"n,,n=,r=abc",
        b"n,,n=anna,r=",
        b"n,,n=anna,r=a\x7fb",
        b"n,,m=x,n=anna,r=abc",  # mandatory extensions: there are none
        b"n,,n=an=na,r=abc",
        b"n,,n=an=2cna,r=abc",
        b"n,,n=\xff,r=abc",
        b"x,,n=anna,r=abc",
        b"n,,n=anna,r=abc\0",
        b"n,,n=anna,r=abc,",
        b"n,,n=anna,r=" + b"x" * (MAX_NONCE + 1),
        b"n,,n=" + b"x" * 1021 + b",r=abc",
    ],
)
def test_what_is_no_first_message(first: bytes) -> None:
    exchange = scram({})
    next(exchange)
    with pytest.raises(InvalidInput):
        exchange.send(first)


def test_the_longest_nonce_and_extensions() -> None:
    exchange = scram({})
    next(exchange)
    assert exchange.send(b"n,,n=anna,r=" + b"x" * MAX_NONCE + b",z=later") == FindKeys("anna")


def test_nobody_acts_for_another() -> None:
    exchange = scram({})
    next(exchange)
    assert exchange.send(b"n,a=anna,n=anna,r=abc") == FindKeys("anna")
    exchange = scram({})
    next(exchange)
    with pytest.raises(Rejected):
        exchange.send(b"n,a=bert,n=anna,r=abc")


@pytest.mark.parametrize("what", ["nonce", "proof", "short proof", "header"])
def test_a_final_message_that_was_changed(what: str) -> None:
    client, exchange = ScramClient("anna", "pencil"), scram({})
    next(exchange)
    exchange.send(client.first())
    final = client.final(exchange.send(KEYS).octets)
    changed = {
        "nonce": final.replace(b"r=client-nonce", b"r=client-nonc3"),
        "proof": final[: final.index(b"p=")] + b"p=" + base64.b64encode(bytes(32)),
        "short proof": final[: final.index(b"p=")] + b"p=AAAA",
        "header": final.replace(b"c=biws", b"c=eSws"),  # "y,,"
    }[what]
    assert changed != final
    with pytest.raises(Rejected):
        exchange.send(changed)


@given(st.binary(max_size=80))
def test_any_final_message_is_refused(final: bytes) -> None:
    exchange = scram({})
    next(exchange)
    exchange.send(b"n,,n=anna,r=abc")
    exchange.send(KEYS)
    with pytest.raises((InvalidInput, Rejected)):
        exchange.send(final)


def test_no_key_is_in_a_repr() -> None:
    assert repr(KEYS.stored_key) not in repr(KEYS)
    assert repr(KEYS.server_key) not in repr(KEYS)


@pytest.mark.parametrize(
    ("text", "prepared"),
    [
        # RFC 4013 3
        ("I\u00adX", "IX"),
        ("user", "user"),
        ("USER", "USER"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        ("\u0007", None),
        ("\u0627\u0031", None),
        # and the rest of it
        ("a\u00a0b", "a b"),
        ("\u0627\u0628", "\u0627\u0628"),
        ("\u0627a\u0628", None),
        ("\ue000", None),
        ("\U0001f600", None),  # younger than Unicode 3.2
        ("pässword", "pässword"),
    ],
)
def test_saslprep(text: str, prepared: str | None) -> None:
    if prepared is None:
        with pytest.raises(InvalidInput):
            saslprep(text)
    else:
        assert saslprep(text) == prepared


def test_a_password_that_looks_the_same_is_the_same() -> None:
    salt = bytes(16)
    assert derive_keys("\u2168", salt, 2) == derive_keys("IX", salt, 2)
