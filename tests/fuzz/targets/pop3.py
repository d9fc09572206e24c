"""POP3: lines, commands, byte-stuffing and TOP, in any pieces."""

from collections.abc import Iterable

from mailplat.wire import pop3
from tests.fuzz.targets.framer import bytewise, cut

MODULES = ("mailplat/wire/pop3.py",)
LONGEST = 1600
LIMIT = 60

WORDS = (
    b"\r\n",
    b"\n",
    b"\r",
    b".",
    b"\r\n.\r\n",
    b"\n.",
    b"USER ",
    b"PASS x y",
    b"TOP 1 2",
    b"\0",
    b"x" * 60,
    b"\r\n\r\n",
)
SEEDS = (
    b"\x00USER x\r\nPASS y z\r\nRETR 1\nTOP 1 12345678901\r\n\r\n\0\r\n",
    b"\x01a: b\r\n\r\n.one\r\n..two\n.three\r\nlast",
    b"\x02" + b"x" * 70 + b"\r\nNOOP\r\n",
)


def run(octets: bytes) -> None:
    choice, octets = octets[0] if octets else 0, octets[1:]
    whole = lines([octets])
    stuffed = stuff([octets])
    top = first_lines([octets], choice & 3)
    for pieces in (bytewise, lambda octets: cut(octets, choice)):
        assert lines(pieces(octets)) == whole, "other lines in other pieces"
        assert stuff(pieces(octets)) == stuffed, "another reply in other pieces"
        assert first_lines(pieces(octets), choice & 3) == top, "another TOP in other pieces"
    assert octets.startswith(top)
    _read_back(octets, stuffed)
    for line in whole:
        if isinstance(line, bytes):
            command = pop3.parse_command(line)
            for argument in command.arguments if command else ():
                pop3.parse_number(argument)


def lines(pieces: Iterable[bytes]) -> list[bytes | None]:
    """None in the place of a line that is too long."""
    reader = pop3.Lines()
    reader.limit = LIMIT
    found: list[bytes | None] = []
    for piece in pieces:
        reader.feed(piece)
        while (line := reader.next()) is not None:
            found.append(None if isinstance(line, pop3.Overlong) else line)
    assert len(reader.release()) <= LIMIT
    return found


def stuff(pieces: Iterable[bytes]) -> bytes:
    stuffer = pop3.Stuffer()
    return b"".join([stuffer.feed(piece) for piece in pieces]) + stuffer.finish()


def first_lines(pieces: Iterable[bytes], count: int) -> bytes:
    top = pop3.Top(count)
    found = []
    for piece in pieces:
        if top.done:
            break
        found.append(top.feed(piece))
    return b"".join(found)


def _read_back(octets: bytes, stuffed: bytes) -> None:
    """A client finds the end where it is, and the message before it."""
    assert stuffed.endswith(b"\r\n.\r\n") or stuffed == b".\r\n"
    content = stuffed[:-3]
    assert b"\n.\r\n" not in content
    assert b"\n.\n" not in content
    assert not content.startswith((b".\r\n", b".\n"))
    undone = content.replace(b"\n..", b"\n.")
    undone = undone[1:] if undone.startswith(b"..") else undone
    assert undone in (octets, octets + b"\r\n")
