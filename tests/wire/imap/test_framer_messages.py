"""Messages in other forms than a plain APPEND: UTF8 (RFC 6855 4), REPLACE (RFC 8508 5)."""

import pytest

from mailplat.wire.imap.events import Append, AppendEnd, Command, LiteralChunk, Refused
from tests.wire.imap.test_framer import AFTER, events_of, names


def test_utf8() -> None:
    events = events_of(b"a APPEND box (\\Seen) UTF8 (~{2+}\r\nhi) utf8 (~{3}\r\nyou) {1+}\r\nx\r\n" + AFTER)
    appends = [event for event in events if isinstance(event, Append)]
    assert [(each.utf8, each.octets, each.synchronising) for each in appends] == [
        (True, b"a APPEND box (\\Seen)", False),
        (True, b"", True),
        (False, b"", False),
    ]
    assert [event.octets for event in events if isinstance(event, LiteralChunk)] == [b"hi", b"you", b"x"]
    assert events[-2] == AppendEnd("a")
    assert isinstance(events[-1], Command)


@pytest.mark.parametrize("rest", [b"", b" ", b" )", b"))", b") x", b" {1+}\r\nx"])
def test_the_parenthesis_behind_it(rest: bytes) -> None:
    events = events_of(b"a APPEND box UTF8 (~{2+}\r\nhi" + rest + b"\r\n" + AFTER)
    assert [event.tag for event in events if isinstance(event, Refused)] == ["a"]
    assert names(events)[-1] == "z NOOP"


def test_a_literal8_alone_is_a_literal() -> None:
    [append, *_] = events_of(b"a APPEND box ~{2+}\r\nhi\r\n")
    assert isinstance(append, Append)
    assert not append.utf8


@pytest.mark.parametrize("name", ["REPLACE", "UID REPLACE"])
def test_replace(name: str) -> None:
    head = f"a {name} 4 ".encode()
    [append, *rest] = events_of(head + b"box {2+}\r\nhi\r\n" + AFTER)
    assert isinstance(append, Append)
    assert (append.name, append.octets) == (name, head + b"box")
    assert rest[:2] == [LiteralChunk(b"hi"), AppendEnd("a")]
    [append, *_] = events_of(head + b"{3+}\r\nbox (\\Seen) {2+}\r\nhi\r\n" + AFTER)
    assert isinstance(append, Append)
    assert append.arguments().octets.endswith(b"{3+}\r\nbox (\\Seen)")
    # Without a message it is a command; with two it is refused.
    assert isinstance(events_of(head + b"{3+}\r\nbox\r\n")[0], Command)
    events = events_of(head + b"box {2+}\r\nhi {2+}\r\nho\r\n" + AFTER)
    assert isinstance(events[-2], Refused)
    assert names(events)[-1] == "z NOOP"
