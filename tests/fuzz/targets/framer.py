"""IMAP's framer: the same events however the octets are cut; nothing kept beyond the limits."""

import random
from collections.abc import Iterable

from mailplat.wire.imap.events import Append, Command, Event, LiteralChunk, Refused
from mailplat.wire.imap.framer import Framer, Limits

MODULES = ("mailplat/wire/imap/framer.py",)
LONGEST = 1600
LIMITS = Limits(line=120, literal=60, command=300, append=500, swallow=1500)

WORDS = (
    b"a ",
    b"APPEND ",
    b"NOOP",
    b"UID ",
    b"UID FETCH ",
    b"REPLACE ",
    b"UID REPLACE ",
    b" UTF8 (~",
    b")",
    b"box ",
    b"{3}\r\n",
    b"{3+}\r\n",
    b"{30+}\r\n",
    b"{0}\r\n",
    b"{0+}\r\n",
    b"\r\n",
    b"\n",
    b"~{2+}\r\n",
    b"{501+}\r\n",
    b"{61+}\r\n",
    b"{99999999999999999999999+}\r\n",
    b"AUTHENTICATE PLAIN\r\n",
    b"IDLE\r\n",
    b"DONE\r\n",
    b"*",
    b"+",
    b'"',
    b"\0",
    b"x" * 60,
)
SEEDS = (
    b"\x00a NOOP\r\nb uid fetch 1:* (flags)\r\nc LOGOUT\n",
    b"\x01a APPEND box {3+}\r\nabc {2+}\r\nde\r\nb NOOP\r\n",
    b"\x03a APPEND {3+}\r\nbox (\\Seen) {4}\r\nabcd\r\nz NOOP\r\n",
    b"\x05a LOGIN {3+}\r\nfoo {3}\r\nbar\r\nz NOOP\r\n",
    b"\x02a APPEND box UTF8 (~{5+}\r\nabcde)\r\nz NOOP\r\n",
    b"\x07a UID REPLACE 4 box {3+}\r\nabc\r\nz NOOP\r\n",
    b"\x09a IDLE\r\nDONE\r\nb AUTHENTICATE PLAIN\r\nabcd\r\n",
    b"\x00a SELECT {600+}\r\n" + b"x" * 600 + b"\r\nz NOOP\r\n",
)


def run(octets: bytes) -> None:
    choice, octets = octets[0] if octets else 0, octets[1:]
    whole = events([octets], choice)
    for pieces in (bytewise(octets), cut(octets, choice)):
        assert events(pieces, choice) == whole, "other events of the same octets in other pieces"


def bytewise(octets: bytes) -> Iterable[bytes]:
    """Of long inputs the first few hundred only: the rest says the same more slowly."""
    yield from (octets[at : at + 1] for at in range(len(octets[:300])))
    if len(octets) > 300:
        yield octets[300:]


def cut(octets: bytes, seed: int) -> Iterable[bytes]:
    chance = random.Random(seed)
    at = 0
    while at < len(octets):
        size = chance.choice((1, 2, 3, 7, 30, 200))
        yield octets[at : at + size]
        at += size


def events(pieces: Iterable[bytes], choice: int) -> list[Event]:
    """`choice`: which messages are taken, and which commands are followed by a line."""
    framer = Framer(LIMITS)
    found: list[Event] = []
    for piece in pieces:
        framer.feed(piece)
        while (event := framer.next()) is not None:
            _look(framer, event, choice)
            last = found[-1] if found else None
            if isinstance(event, LiteralChunk) and isinstance(last, LiteralChunk):
                found[-1] = LiteralChunk(last.octets + event.octets)
            else:
                found.append(event)
        assert framer.buffered <= LIMITS.line + len(piece) + 1
    return found


def _look(framer: Framer, event: Event, choice: int) -> None:
    match event:
        case Append():
            assert 0 <= event.size <= LIMITS.append
            if (choice >> (event.index & 7)) & 1:
                framer.accept()
            else:
                framer.refuse()
        case Command():
            assert len(event.octets) <= LIMITS.command + LIMITS.line
            assert event.start <= len(event.octets)
            if event.name in ("IDLE", "AUTHENTICATE"):
                framer.expect_line(event.tag)
        case Refused():
            assert event.reply.count(b"\r\n") == 1
            assert event.reply.isascii()
