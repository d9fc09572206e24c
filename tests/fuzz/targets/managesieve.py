"""ManageSieve: lines with literals in any pieces, their values, what a server answers."""

import contextlib
from collections.abc import Iterable

from mailplat.wire.managesieve import (
    BadLine,
    Lines,
    capabilities,
    completion,
    listed,
    parse,
    string,
)
from tests.fuzz.targets.framer import bytewise, cut

MODULES = (
    "mailplat/wire/managesieve/lines.py",
    "mailplat/wire/managesieve/responses.py",
    "mailplat/wire/managesieve/rendering.py",
)
LONGEST = 1600
LINE, LITERAL, LITERALS = 80, 40, 60

WORDS = (
    b"\r\n",
    b"\n",
    b"OK",
    b"NO (",
    b"BYE ",
    b') "',
    b'"a" ACTIVE\r\n',
    b"{3}\r\nabc",
    b"{3+}\r\n",
    b"{0}\r\n",
    b"{41}\r\n",
    b"((((",
    b'\\"',
    b"\xff",
    b"x" * 80,
)
SEEDS = (
    b'\x00"SASL" "PLAIN"\r\n"STARTTLS"\r\nOK (TAG {3}\r\na\r\n) "ready"\r\n',
    b'\x01{5}\r\nkeep;\r\nOK\r\n"a" ACTIVE\r\n"b"\r\n',
    b'\x02PUTSCRIPT "x\\"y" {4+}\r\n\0\r\n \r\nNO (QUOTA/MAXSIZE) {2}\r\nno\r\n',
)


def run(octets: bytes) -> None:
    choice, octets = octets[0] if octets else 0, octets[1:]
    whole = lines([octets])
    for pieces in (bytewise, lambda octets: cut(octets, choice)):
        assert lines(pieces(octets)) == whole, "other lines in other pieces"
    for line in whole:
        if line is None:
            continue
        with contextlib.suppress(BadLine):
            values = parse(line)
            for read in (completion, listed, lambda some: capabilities([some])):
                with contextlib.suppress(BadLine):
                    read(values)
    for plus in (True, False):
        reader = Lines(line=3000, literal=3000)
        reader.feed(string(octets, plus=plus) + b"\r\n")
        back = reader.next()
        assert back is not None
        assert parse(back) == (octets,)
        assert not reader.pending


def lines(pieces: Iterable[bytes]) -> list[list[bytes] | None]:
    """None behind the last one where the next is none."""
    reader = Lines(line=LINE, literal=LITERAL, literals=LITERALS)
    found: list[list[bytes] | None] = []
    for piece in pieces:
        reader.feed(piece)
        try:
            while (line := reader.next()) is not None:
                assert sum(map(len, line[1::2])) <= LITERALS
                assert sum(map(len, line[::2])) <= LINE
                found.append(line)
        except BadLine:
            return [*found, None]
    return found
