"""POP3 without I/O (RFC 1939, 2449): command lines, replies, byte-stuffing, the first lines of a message."""

import re
from dataclasses import dataclass, field

# Octets of a line where nothing else is said, of a command and within AUTH. The reasons: core/limits/pop3.py.
MAX_LINE = 512
MAX_SASL_LINE = 12_288

# A number longer than this is none of ours: no maildrop has so many messages, no message so many lines.
MAX_DIGITS = 10

_NUMBER = re.compile(rb"[0-9]{1,%d}" % MAX_DIGITS)
# What stands in a line of text to a client: printable ASCII.
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")


@dataclass(frozen=True, slots=True)
class Command:
    """A command line. `rest` is all that stands behind the keyword and one space: a password may have spaces."""

    keyword: str  # upper case
    rest: bytes = field(repr=False)

    @property
    def arguments(self) -> list[bytes]:
        return self.rest.split()


class Overlong:
    """In the place of a line that was longer than the limit."""


OVERLONG = Overlong()


class Lines:
    """Octets to lines. What is too long is thrown away as it comes, and reported once."""

    __slots__ = ("_at", "_buffer", "_dropping", "limit")

    def __init__(self) -> None:
        self.limit = MAX_LINE
        self._buffer = bytearray()
        self._at = 0  # start of the next line in the buffer
        self._dropping = False

    def feed(self, octets: bytes) -> None:
        if self._at:
            del self._buffer[: self._at]
            self._at = 0
        self._buffer += octets

    def next(self) -> bytes | Overlong | None:
        """The next line without its end (CRLF, or LF alone as some clients send it); None: feed more."""
        end = self._buffer.find(b"\n", self._at)
        if end < 0:
            if len(self._buffer) - self._at >= self.limit:
                self._dropping = True
                self._buffer.clear()
                self._at = 0
            return None
        line = bytes(self._buffer[self._at : end])
        self._at = end + 1
        if self._dropping or len(line) >= self.limit:
            self._dropping = False
            return OVERLONG
        return line.removesuffix(b"\r")

    def release(self) -> bytes:
        """What was fed and is no line yet or has not been asked for."""
        rest = bytes(self._buffer[self._at :])
        self._buffer.clear()
        self._at = 0
        return rest


def parse_command(line: bytes) -> Command | None:
    """None for what is no command: an empty line, a keyword not of letters and digits, a NUL or CR anywhere."""
    keyword, _, rest = line.partition(b" ")
    if not keyword.isalnum() or b"\0" in rest or b"\r" in rest:
        return None
    return Command(keyword.decode("ascii").upper(), rest)


def parse_number(argument: bytes) -> int | None:
    """A message number or a count of lines; None for anything else."""
    return int(argument) if _NUMBER.fullmatch(argument) else None


def ok(text: str = "") -> bytes:
    return b"+OK %b\r\n" % _text(text) if text else b"+OK\r\n"


def err(text: str, code: str = "") -> bytes:
    """`code` is a response code without its brackets (RFC 2449 8, RFC 3206): AUTH, SYS/TEMP, IN-USE."""
    return b"-ERR [%b] %b\r\n" % (code.encode("ascii"), _text(text)) if code else b"-ERR %b\r\n" % _text(text)


def _text(text: str) -> bytes:
    return _UNPRINTABLE.sub("?", text).encode("ascii")


def multiline(size: int, octets: bytes) -> bytes:
    """The whole reply of RETR with a message of `size` that is held whole; `Stuffer` makes the same of pieces."""
    # looking first: most messages have none, and a search costs a quarter of what `replace` does
    stuffed = octets.replace(b"\n.", b"\n..") if b"\n." in octets else octets
    dot = b"." if octets.startswith(b".") else b""
    end = b".\r\n" if octets.endswith(b"\r\n") or not octets else b"\r\n.\r\n"
    return b"+OK %d octets\r\n%b%b%b" % (size, dot, stuffed, end)


class Stuffer:
    """Byte-stuffing of a multi-line reply (RFC 1939 3), in pieces. A dot is doubled behind a bare LF too: clients
    that end lines there must not see an end of the message in its middle."""

    __slots__ = ("_tail",)

    def __init__(self) -> None:
        self._tail = b"\r\n"  # the last octets that went out; a message begins at the start of a line

    def feed(self, chunk: bytes) -> bytes:
        if not chunk:
            return b""
        starts_line = self._tail.endswith(b"\n")
        self._tail = (self._tail + chunk[-2:])[-2:]
        stuffed = chunk.replace(b"\n.", b"\n..") if b"\n." in chunk else chunk
        return b"." + stuffed if starts_line and chunk.startswith(b".") else stuffed

    def finish(self) -> bytes:
        """What ends the reply; a message that does not end in CRLF gets one."""
        return b".\r\n" if self._tail == b"\r\n" else b"\r\n.\r\n"


class Top:
    """The header block, the empty line, and the first `lines` lines behind it (TOP, RFC 1939 7), in pieces."""

    __slots__ = ("_header", "_left", "_line", "done")

    def __init__(self, lines: int) -> None:
        self._left = lines
        self._header = True
        self._line = b""  # the first octets of the line that is not complete yet
        self.done = False  # nothing more will come out

    def feed(self, chunk: bytes) -> bytes:
        at = 0
        while not self.done:
            end = chunk.find(b"\n", at)
            if end < 0:
                self._line = (self._line + chunk[at : at + 2])[:2]
                return chunk
            empty = (self._line + chunk[at : min(end, at + 2)])[:2] in (b"", b"\r")
            self._line = b""
            at = end + 1
            if not self._header:
                self._left -= 1
            elif empty:
                self._header = False
            self.done = not self._header and self._left <= 0
        return chunk[:at]
