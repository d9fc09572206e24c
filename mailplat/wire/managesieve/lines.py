"""Octets to lines, lines to values (RFC 5804 4).

text     quoted strings, literals {N} and {N+}: bytes
word     atoms and numbers: Atom
(...)    tuple
"""

import re
from collections.abc import Sequence

from mailplat.core.errors import InvalidInput

# A parenthesis in another one is in no response that there is; more is an attack on our stack.
MAX_DEPTH = 4

_LITERAL = re.compile(rb"\{(\d{1,10})(\+?)\}\Z")
_TOKEN = re.compile(
    rb'(?P<open>\()|(?P<close>\))|"(?P<quoted>(?:[^"\\\r\n\0]|\\["\\])*)"|(?P<literal>\{\d{1,10}\+?\}\Z)'
    rb"|(?P<atom>[^\x00-\x20\x7f-\xff(){}\"\\]+)"
)
_ESCAPED = re.compile(rb'\\(["\\])')


class BadLine(InvalidInput):
    """What no ManageSieve peer may send. The connection is of no use any more."""


class Atom(str):
    """A word that is no string: a keyword, a number."""

    __slots__ = ()


Value = Atom | bytes | tuple["Value", ...]


class Lines:
    """`line` and `literal` are the most octets of one line without its literals, and of one literal; `literals` the
    most of all literals of one line together."""

    def __init__(self, *, line: int, literal: int, literals: int | None = None) -> None:
        self._line, self._literal = line, literal
        self._literals = literal if literals is None else literals
        self._buffer = bytearray()
        self._pieces: list[bytes] = []  # text, literal, text of the line that is not complete
        self._length = 0  # of its texts
        self._missing: int | None = None  # octets of a literal that has begun
        self._held = 0  # octets of its literals

    def feed(self, octets: bytes) -> None:
        self._buffer += octets

    @property
    def pending(self) -> bool:
        """Whether octets are here that belong to no line that was taken."""
        return bool(self._buffer or self._pieces)

    def next(self) -> list[bytes] | None:
        """The next line: text, literal, text and so on in turn, without its end; None: feed more. Raises BadLine."""
        while True:
            if self._missing is not None:
                if len(self._buffer) < self._missing:
                    return None
                self._pieces.append(bytes(self._buffer[: self._missing]))
                del self._buffer[: self._missing]
                self._missing = None
            end = self._buffer.find(b"\n")
            if self._length + (len(self._buffer) if end < 0 else end) > self._line:
                raise BadLine(f"a line of more than {self._line} octets")
            if end < 0:
                return None
            text = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            if not text.endswith(b"\r"):
                raise BadLine("a line that ends with LF alone")  # RFC 5804 4: CRLF
            text = text[:-1]
            self._length += len(text)
            self._pieces.append(text)
            announced = _LITERAL.search(text)
            if announced is None:
                pieces, self._pieces = self._pieces, []
                self._length = self._held = 0
                return pieces
            self._announce(int(announced[1]))

    def _announce(self, size: int) -> None:
        self._held += size
        if size > self._literal or self._held > self._literals:
            raise BadLine(f"a literal of {size} octets; {self._literal} at most")
        self._missing = size


def parse(pieces: Sequence[bytes]) -> tuple[Value, ...]:
    """The values of a line as Lines gives it. Raises BadLine."""
    stack: list[list[Value]] = [[]]
    for number, piece in enumerate(pieces):
        if number % 2:
            stack[-1].append(piece)
            continue
        _take(piece, stack, last=number == len(pieces) - 1)
    if len(stack) > 1:
        raise BadLine("a parenthesis that is not closed")
    return tuple(stack[0])


def _take(text: bytes, stack: list[list[Value]], *, last: bool) -> None:
    at = 0
    while at < len(text):
        if text[at : at + 1] == b" ":
            at += 1
            continue
        found = _TOKEN.match(text, at)
        if found is None:
            raise BadLine(f"unreadable: {text[at : at + 40]!r}")
        at, kind = found.end(), found.lastgroup
        if kind == "open":
            if len(stack) > MAX_DEPTH:
                raise BadLine("parentheses too deep")
            stack.append([])
        elif kind == "close":
            if len(stack) == 1:
                raise BadLine("a parenthesis too many")
            inner = stack.pop()
            stack[-1].append(tuple(inner))
        elif kind == "quoted":
            stack[-1].append(_ESCAPED.sub(rb"\1", found["quoted"]))
        elif kind == "atom":
            stack[-1].append(Atom(found["atom"].decode("ascii")))
        elif last:  # pragma: no cover - Lines never ends a line there
            raise BadLine("a literal without its octets")
