"""POP3 on the wire: lines, commands, byte-stuffing, TOP; whole, and cut anywhere."""

import itertools
import poplib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.wire import pop3

# Mail with much of what matters: dots, line ends whole and broken.
_mail = st.lists(st.sampled_from([b".", b"\r\n", b"\n", b"\r", b"a", b"..", b"\0", b"\xe9"])).map(b"".join)
_cuts = st.lists(st.integers(0, 60), max_size=6)


def pieces(octets: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({min(cut, len(octets)) for cut in cuts} | {0, len(octets)})
    return [octets[start:end] for start, end in itertools.pairwise(places)]


def drain(lines: pop3.Lines) -> list[bytes | pop3.Overlong]:
    found = []
    while (line := lines.next()) is not None:
        found.append(line)
    return found


@given(octets=st.lists(st.sampled_from([b"NOOP", b"\r\n", b"\n", b" ", b"x" * 30])).map(b"".join), cuts=_cuts)
def test_lines_do_not_depend_on_how_octets_arrive(octets: bytes, cuts: list[int]) -> None:
    whole, cut = pop3.Lines(), pop3.Lines()
    whole.limit = cut.limit = 40
    whole.feed(octets)
    expected = drain(whole)
    found = []
    for piece in pieces(octets, cuts):
        cut.feed(piece)
        found += drain(cut)
    assert found == expected


def test_a_line_at_the_limit_and_one_beyond() -> None:
    lines = pop3.Lines()
    longest = b"x" * (pop3.MAX_LINE - 2)
    lines.feed(longest + b"\r\n" + longest + b"y\r\n" + b"NOOP\r\n")
    assert drain(lines) == [longest, pop3.OVERLONG, b"NOOP"]


def test_a_line_without_end_costs_no_memory() -> None:
    lines = pop3.Lines()
    for _ in range(1000):
        lines.feed(b"x" * 1000)
        assert lines.next() is None
        assert len(lines.release()) <= pop3.MAX_LINE
    lines.feed(b"tail\r\nQUIT\r\n")
    assert drain(lines) == [pop3.OVERLONG, b"QUIT"]


def test_release_gives_what_was_not_asked_for() -> None:
    lines = pop3.Lines()
    lines.feed(b"PASS x\r\nSTAT\r\nLI")
    assert lines.next() == b"PASS x"
    assert lines.release() == b"STAT\r\nLI"
    assert lines.next() is None


@pytest.mark.parametrize(
    ("line", "keyword", "rest"),
    [
        (b"QUIT", "QUIT", b""),
        (b"retr 1", "RETR", b"1"),
        (b"UTF8", "UTF8", b""),
        (b"PASS  two  spaces ", "PASS", b" two  spaces "),
        ("PASS Zoë".encode(), "PASS", "Zoë".encode()),
        (b"TOP 1 2", "TOP", b"1 2"),
    ],
)
def test_commands(line: bytes, keyword: str, rest: bytes) -> None:
    command = pop3.parse_command(line)
    assert command is not None
    assert (command.keyword, command.rest) == (keyword, rest)


@pytest.mark.parametrize(
    "line", [b"", b" ", b" QUIT", b"QU\0IT", b"PASS a\0b", b"PASS a\rb", b"\xff\xfe", b"GET/ x"]
)
def test_what_is_no_command(line: bytes) -> None:
    assert pop3.parse_command(line) is None


def test_a_password_is_in_no_repr() -> None:
    assert "geheim" not in repr(pop3.parse_command(b"PASS geheim"))


@pytest.mark.parametrize(("text", "number"), [(b"1", 1), (b"007", 7), (b"0", 0), (b"9" * 10, 9999999999)])
def test_numbers(text: bytes, number: int) -> None:
    assert pop3.parse_number(text) == number


@pytest.mark.parametrize(
    "text", [b"", b"-1", b"+1", b"1.0", b" 1", b"1 ", b"1\n", b"9" * 11, "１".encode(), b"0x1"]
)
def test_what_is_no_number(text: bytes) -> None:
    assert pop3.parse_number(text) is None


def test_replies() -> None:
    assert pop3.ok() == b"+OK\r\n"
    assert pop3.ok("Zoë\r\n-ERR") == b"+OK Zo???-ERR\r\n"
    assert pop3.err("no", "SYS/TEMP") == b"-ERR [SYS/TEMP] no\r\n"
    assert pop3.err("no") == b"-ERR no\r\n"


def unstuff(octets: bytes) -> bytes:
    """What a client makes of a multi-line reply (RFC 1939 3); fails where it would see the end too early."""
    assert octets.endswith(b".\r\n")
    body = octets[:-3]
    assert body == b"" or body.endswith(b"\r\n")
    lines = body.split(b"\r\n")
    assert b"." not in lines
    return b"\r\n".join(line[1:] if line.startswith(b".") else line for line in lines)


@given(mail=_mail, cuts=_cuts)
def test_stuffing_is_undone_by_a_client_and_has_no_early_end(mail: bytes, cuts: list[int]) -> None:
    stuffer = pop3.Stuffer()
    sent = b"".join(stuffer.feed(piece) for piece in pieces(mail, cuts)) + stuffer.finish()
    whole = mail if mail.endswith(b"\r\n") or not mail else mail + b"\r\n"
    if b"\n." not in mail.replace(b"\r\n.", b""):  # a dot behind a bare LF is doubled too
        assert unstuff(sent) == whole
    # a client that ends lines at LF, as Python's does
    received = []
    for line in sent.split(b"\n"):
        if line in (b".\r", b"."):
            break
        received.append(line[1:] if line.startswith(b"..") else line)
    assert b"\n".join(received) + (b"\n" if received else b"") == whole


@given(mail=_mail)
def test_a_message_that_is_held_whole_is_sent_as_one_in_pieces(mail: bytes) -> None:
    stuffer = pop3.Stuffer()
    assert pop3.multiline(12, mail) == b"+OK 12 octets\r\n" + stuffer.feed(mail) + stuffer.finish()


def test_stuffing_is_what_poplib_undoes() -> None:
    assert poplib.CRLF == b"\r\n"
    stuffer = pop3.Stuffer()
    assert stuffer.feed(b".a\r\n..b\r\nc.\r\n.") + stuffer.finish() == b"..a\r\n...b\r\nc.\r\n..\r\n.\r\n"


def top(octets: bytes, lines: int) -> bytes:
    """The plain definition: all up to the empty line, then so many lines."""
    out, header, left = [], True, lines
    for line in _split(octets):
        if not header and left <= 0:
            break
        out.append(line)
        if not header:
            left -= 1
        elif line in (b"\r\n", b"\n"):
            header = False
    return b"".join(out)


def _split(octets: bytes) -> list[bytes]:
    parts = octets.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


@given(mail=_mail, lines=st.integers(0, 5), cuts=_cuts)
def test_top_is_the_head_and_so_many_lines(mail: bytes, lines: int, cuts: list[int]) -> None:
    limiter = pop3.Top(lines)
    out = b""
    for piece in pieces(mail, cuts):
        if limiter.done:
            break
        out += limiter.feed(piece)
    assert out == top(mail, lines)


def test_top_stops_early() -> None:
    limiter = pop3.Top(1)
    assert limiter.feed(b"Subject: x\r\n\r\none\r\ntwo\r\n") == b"Subject: x\r\n\r\none\r\n"
    assert limiter.done
