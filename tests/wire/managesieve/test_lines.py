"""Octets to lines to values, however they are cut (RFC 5804 4)."""

import pytest

from mailplat.core.errors import InvalidInput, LimitReached
from mailplat.wire.managesieve import (
    Atom,
    BadLine,
    Completion,
    Lines,
    capabilities,
    check_name,
    command,
    completion,
    listed,
    parse,
    string,
)

GREETING = (
    b'"IMPLEMENTATION" "Dovecot Pigeonhole"\r\n'
    b'"SASL" "PLAIN LOGIN"\r\n'
    b'"STARTTLS"\r\n'
    b'OK (TAG {8}\r\n\r\nq"q\\\r\n "x") "say \\"hello\\" \\\\"\r\n'
)


def read(octets: bytes, size: int, **limits: int) -> list[list[bytes]]:
    lines = Lines(**{"line": 200, "literal": 100, **limits})
    found = []
    for at in range(0, len(octets), size):
        lines.feed(octets[at : at + size])
        while (line := lines.next()) is not None:
            found.append(line)
    assert not lines.pending
    return found


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_a_greeting_however_it_is_cut(size: int) -> None:
    values = [parse(line) for line in read(GREETING, size)]
    assert [completion(each) for each in values[:3]] == [None, None, None]
    assert capabilities(values[:3]) == {
        "IMPLEMENTATION": "Dovecot Pigeonhole",
        "SASL": "PLAIN LOGIN",
        "STARTTLS": "",
    }
    done = completion(values[3])
    assert done == Completion("OK", "TAG", (b'\r\nq"q\\\r\n', b"x"), 'say "hello" \\')


def test_trailing_octets_are_the_next_lines() -> None:
    lines = Lines(line=100, literal=100)
    lines.feed(b'OK\r\n"a" ACT')
    assert completion(parse(lines.next() or [])) == Completion("OK", "", (), "")
    assert lines.next() is None
    assert lines.pending
    lines.feed(b"IVE\r\n")
    assert listed(parse(lines.next() or [])) == ("a", True)


@pytest.mark.parametrize(
    "octets",
    [
        b'"a"\n',  # LF alone
        b"x" * 201,
        b"{101}\r\n",
        b"{60}\r\n" + b"x" * 60 + b" {60}\r\n",  # together too many
        b'"' + b"x" * 150 + b'" {3}\r\nabc' + b" y" * 40 + b"\r\n",
    ],
)
def test_what_is_too_much_or_no_line(octets: bytes) -> None:
    with pytest.raises(BadLine):
        read(octets, 50)


@pytest.mark.parametrize(
    "line",
    [b'"open', b'"a\\b"', b"(", b")", b"((((((a))))))", b'"a\0"', b"a\x80", b"{x}", b'"\r"', b"{3}x"],
)
def test_what_no_line_is(line: bytes) -> None:
    with pytest.raises(BadLine):
        parse([line])


def test_values() -> None:
    assert parse([b'a 1 "" (B (c "d"))']) == (Atom("a"), Atom("1"), b"", (Atom("B"), (Atom("c"), b"d")))
    assert parse([b"x {3}", b"\0\r\n", b" {0}", b"", b" y"]) == (Atom("x"), b"\0\r\n", b"", Atom("y"))


@pytest.mark.parametrize("line", [b'OK "a" "b"', b"NO ()", b'NO ("x")', b"BYE x", b'OK "a" (X)'])
def test_no_completion(line: bytes) -> None:
    with pytest.raises(BadLine):
        completion(parse([line]))


@pytest.mark.parametrize("line", [b"a", b'"a" PASSIVE', b'"a" ACTIVE x', b'"\xff"', b""])
def test_no_script(line: bytes) -> None:
    with pytest.raises(BadLine):
        listed(parse([line]))


@pytest.mark.parametrize(
    "value", [b"", b"plain", b'q"u\\o', b"line\r\nline", b"n\0ul", "Grüße".encode(), b"x" * 1025, b'"' * 600]
)
@pytest.mark.parametrize("plus", [True, False])
def test_strings_come_back(value: bytes, plus: bool) -> None:
    octets = string(value, plus=plus) + b"\r\n"
    (line,) = read(octets, 100, line=2000, literal=2000)
    assert parse(line) == (value,)
    if value == b"line\r\nline":
        assert octets.startswith(b"{10+}\r\n" if plus else b"{10}\r\n")


def test_a_command() -> None:
    assert command("PUTSCRIPT", b"my", b"keep;\r\n") == b'PUTSCRIPT "my" {7+}\r\nkeep;\r\n\r\n'
    assert command("LOGOUT") == b"LOGOUT\r\n"


def test_names_of_scripts() -> None:
    check_name("Urlaub – ä/1", 128)
    check_name("x" * 128, 128)
    for bad in ("", "a\nb", "a\x7f", "a\x9f", "a\u2028", "a\u2029", "\0", "\ud800"):
        with pytest.raises(InvalidInput):
            check_name(bad, 128)
    with pytest.raises(LimitReached):
        check_name("x" * 129, 128)
