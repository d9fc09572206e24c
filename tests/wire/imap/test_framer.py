"""Every conversation is fed whole, octet by octet and cut at random: the events must be the same."""

from collections.abc import Callable, Iterable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailplat.wire.imap.events import Append, AppendEnd, Command, Continue, Event, Line, LiteralChunk, Refused
from mailplat.wire.imap.framer import Framer, Limits

SMALL = Limits(line=100, literal=20, command=150, append=50, swallow=200)


def run(
    pieces: Iterable[bytes], limits: Limits = SMALL, accept: Callable[[Append], bool] = lambda append: True
) -> list[Event]:
    """All events of a conversation; neighbouring chunks of one message are joined, for they depend on the cuts."""
    framer = Framer(limits)
    events: list[Event] = []
    for piece in pieces:
        framer.feed(piece)
        while (event := framer.next()) is not None:
            if isinstance(event, Append):
                (framer.accept if accept(event) else framer.refuse)()
            if isinstance(event, LiteralChunk) and events and isinstance(events[-1], LiteralChunk):
                event = LiteralChunk(events.pop().octets + event.octets)  # type: ignore[union-attr]
            events.append(event)
    return events


def cuts(octets: bytes) -> Iterator[list[bytes]]:
    yield [octets]
    yield [octets[at : at + 1] for at in range(len(octets))]
    for step in (2, 3, 7, 31):
        yield [octets[at : at + step] for at in range(0, len(octets), step)]


def events_of(
    octets: bytes, limits: Limits = SMALL, accept: Callable[[Append], bool] = lambda append: True
) -> list[Event]:
    [first, *others] = [run(pieces, limits, accept) for pieces in cuts(octets)]
    for other in others:
        assert other == first
    return first


def names(events: Iterable[Event]) -> list[str]:
    return [
        f"{event.tag} {event.name}" if isinstance(event, Command) else type(event).__name__
        for event in events
    ]


AFTER = b"z NOOP\r\n"  # what comes behind must be read as a command again
NOOP = Command("z", "NOOP", b"z NOOP", 6)


def test_plain_commands() -> None:
    events = events_of(b"a NOOP\r\nb uid fetch 1:* (flags)\r\nc LOGOUT\n")
    assert names(events) == ["a NOOP", "b UID FETCH", "c LOGOUT"]
    command = events[1]
    assert isinstance(command, Command)
    assert command.octets[command.start :] == b" 1:* (flags)"


def test_an_unfinished_command_is_no_event() -> None:
    framer = Framer()
    assert not framer.midway
    framer.feed(b"a NOOP")
    assert framer.next() is None
    assert framer.midway
    framer.feed(b"\r\n")
    assert framer.next() == Command("a", "NOOP", b"a NOOP", 6)
    assert not framer.midway


def test_literals() -> None:
    events = events_of(b'a LOGIN {3}\r\nj\r\n "p w"\r\nb LOGIN {1+}\r\nx {0+}\r\n\r\n' + AFTER)
    assert names(events) == ["Continue", "a LOGIN", "b LOGIN", "z NOOP"]
    command = events[1]
    assert isinstance(command, Command)
    arguments = command.arguments()
    arguments.space()
    assert arguments.astring() == b"j\r\n"
    arguments.space()
    assert arguments.astring() == b"p w"
    arguments.end()


def test_an_unfinished_literal_waits() -> None:
    assert events_of(b"a LOGIN {10}\r\nabc") == [Continue()]
    assert events_of(b"a APPEND x {10+}\r\nabc")[1:] == [LiteralChunk(b"abc")]


def test_a_password_is_not_in_the_repr() -> None:
    [command] = events_of(b"a LOGIN me secret\r\n")
    assert "secret" not in repr(command)
    assert "secret" not in repr(Line(b"secret"))


@pytest.mark.parametrize(
    ("line", "tag"),
    [
        (b"", "*"), (b" NOOP", "*"), (b"a", "*"), (b"a ", "a"), (b"+ NOOP", "*"), (b"a(b NOOP", "*"),
        (b"\xff NOOP", "*"), (b"a\0b NOOP", "*"), (b"a \0", "a"), (b"a NOOP\0", "a"),
        (b"a 12", "a"), (b"a NO*OP", "a"), (b"a " + b"X" * 33, "a"),
        (b"\0" * 50, "*"),
    ],
)  # fmt: skip
def test_lines_that_are_no_commands(line: bytes, tag: str) -> None:
    [refused, after] = events_of(line + b"\r\n" + AFTER)
    assert isinstance(refused, Refused)
    assert (refused.tag, refused.status, refused.fatal) == (tag, "BAD", False)
    assert refused.reply.startswith(tag.encode() + b" BAD ")
    assert refused.reply.endswith(b"\r\n")
    assert after == NOOP


def test_a_tag_that_is_too_long() -> None:
    [refused, _] = events_of(b"t" * 200 + b" NOOP\r\n" + AFTER, Limits())
    assert isinstance(refused, Refused)
    assert refused.tag == "*"


# Too long.


@pytest.mark.parametrize("length", [100, 101, 500, 1000])
def test_line_limit(length: int) -> None:
    limits = Limits(line=100, append=50, swallow=10_000)
    line = b"a NOOP ".ljust(length, b"x") + b"\r\n"
    events = events_of(line + AFTER, limits)
    if length < 100:
        assert names(events) == ["a NOOP", "z NOOP"]
    else:  # the CR counts
        assert events == [Refused("a", "BAD", "a line of more than 100 octets"), NOOP]


def test_a_line_of_one_megabyte_is_swallowed() -> None:
    framer = Framer()
    framer.feed(b"a NOOP ")
    events = []
    for _ in range(1024):
        framer.feed(b"x" * 1024)
        while (event := framer.next()) is not None:
            events.append(event)
        assert framer.buffered <= framer.limits.line + 1024
    framer.feed(b"\r\n" + AFTER)
    assert events == [Refused("a", "BAD", "a line of more than 65536 octets")]
    assert framer.next() == NOOP


def test_a_long_line_may_end_in_a_literal() -> None:
    """Its octets are no commands: a client that sends {n+} sends them whatever we say."""
    octets = b"a SEARCH " + b"x" * 120 + b" {11+}\r\nevil NOOP\r\n and {2+}\r\n\r\n more\r\n" + AFTER
    assert events_of(octets) == [Refused("a", "BAD", "a line of more than 100 octets"), NOOP]


def test_a_long_line_that_ends_in_a_synchronising_literal() -> None:
    octets = b"a SEARCH " + b"x" * 120 + b" {11}\r\n" + AFTER
    assert events_of(octets) == [Refused("a", "BAD", "a line of more than 100 octets"), NOOP]


def test_a_refused_synchronising_literal_is_not_sent() -> None:
    """RFC 9051 7.6: the client waits for "+"; answered NO or BAD, it goes on with another command."""
    [refused, after] = events_of(b"a LOGIN {21}\r\n" + AFTER)
    assert refused == Refused("a", "BAD", "a literal of more than 20 octets", "TOOBIG")
    assert refused.reply == b"a BAD [TOOBIG] a literal of more than 20 octets\r\n"
    assert after == NOOP


def test_a_refused_non_synchronising_literal_is_swallowed() -> None:
    octets = b"a LOGIN {21+}\r\nevil NOOP\r\nevil NOOP\r {9+}\r\ny NOOP\r\n\r {3}\r\n" + AFTER
    assert events_of(octets) == [Refused("a", "BAD", "a literal of more than 20 octets", "TOOBIG"), NOOP]


def test_a_literal_behind_a_line_that_is_no_command_is_swallowed() -> None:
    [refused, after] = events_of(b"? {9+}\r\ne NOOP\r\nx\r\n" + AFTER)
    assert isinstance(refused, Refused)
    assert after == NOOP


def test_four_gigabytes_synchronising() -> None:
    assert events_of(b"a LOGIN {4294967296}\r\n" + AFTER, Limits()) == [
        Refused("a", "BAD", "a literal of more than 65536 octets", "TOOBIG"),
        NOOP,
    ]
    assert events_of(b"a APPEND x {4294967296}\r\n" + AFTER, Limits()) == [
        Refused("a", "NO", f"a message of more than {64 * 1024 * 1024} octets", "TOOBIG"),
        NOOP,
    ]


@pytest.mark.parametrize("size", [b"4294967296", b"9" * 30, b"9" * 60])
def test_more_than_we_swallow_ends_the_connection(size: bytes) -> None:
    for line in (b"a LOGIN {%b+}\r\n", b"a APPEND x {%b+}\r\n", b"a NOOP " + b"y" * 100 + b"{%b+}\r\n"):
        framer = Framer(SMALL)
        framer.feed(line % size + AFTER)
        first, second = framer.next(), framer.next()
        assert isinstance(first, Refused)
        assert isinstance(second, Refused)
        assert first.tag == "a"
        assert second.fatal
        assert second.reply.startswith(b"* BYE [TOOBIG] ")
        framer.feed(AFTER)
        assert framer.next() is None
        assert framer.buffered == 0


def test_an_endless_refused_line_ends_the_connection() -> None:
    events = events_of(b"a NOOP " + b"x" * 1000)
    assert [isinstance(event, Refused) and event.fatal for event in events] == [False, True]


def test_command_limit_counts_lines_and_literals() -> None:
    octets = b"a LOGIN" + b" {20+}\r\n" + b"x" * 20
    events = events_of(octets + (b" {20+}\r\n" + b"x" * 20) * 5 + b"\r\n" + AFTER)
    assert isinstance(events[0], Refused)
    assert events[0].code == "TOOBIG"
    assert events[1:] == [NOOP]


@pytest.mark.timeout(20)
def test_many_literals_cost_what_their_octets_cost() -> None:
    framer = Framer()
    framer.feed(b"a SEARCH" + b" {0+}\r\n" * 36_000 + b"\r\n")
    assert isinstance(framer.next(), Command)


# APPEND.


def test_append_is_streamed() -> None:
    octets = b"a APPEND box (\\Seen) {11}\r\nhello\r\nbody\r\n" + AFTER
    events = events_of(octets)
    assert events == [
        Append("a", 11, True, 0, b"a APPEND box (\\Seen)", 8),
        LiteralChunk(b"hello\r\nbody"),
        AppendEnd("a"),
        NOOP,
    ]


def test_append_with_the_mailbox_as_a_literal() -> None:
    events = events_of(b"a APPEND {3}\r\nbox {2+}\r\nhi\r\n" + AFTER)
    assert names(events) == ["Continue", "Append", "LiteralChunk", "AppendEnd", "z NOOP"]
    append = events[1]
    assert isinstance(append, Append)
    arguments = append.arguments()
    arguments.space()
    assert arguments.mailbox() == "box"
    arguments.end()


def test_append_without_a_message_is_a_command() -> None:
    assert names(events_of(b"a APPEND box\r\nb APPEND {3+}\r\nbox\r\n")) == ["a APPEND", "b APPEND"]


def test_append_of_several_messages() -> None:
    events = events_of(b"a APPEND box {2+}\r\nhi (\\Seen) {3+}\r\nyou {0+}\r\n\r\n" + AFTER)
    assert names(events) == [
        "Append",
        "LiteralChunk",
        "Append",
        "LiteralChunk",
        "Append",
        "AppendEnd",
        "z NOOP",
    ]
    second = events[2]
    assert isinstance(second, Append)
    assert (second.index, second.octets, second.start) == (1, b" (\\Seen)", 0)


@pytest.mark.parametrize("plus", [b"", b"+"])
def test_a_refused_append(plus: bytes) -> None:
    content = b"e NOOP\r\nx\r\n" if plus else b""
    events = events_of(b"a APPEND box {9%b}\r\n%b" % (plus, content) + AFTER, accept=lambda append: False)
    assert names(events) == ["Append", "z NOOP"]


def test_the_second_message_refused() -> None:
    octets = b"a APPEND box {2+}\r\nhi {9+}\r\ne NOOP\r\nx {2+}\r\n\r\n\r\n" + AFTER
    events = events_of(octets, accept=lambda append: append.index == 0)
    assert names(events) == ["Append", "LiteralChunk", "Append", "z NOOP"]


def test_a_message_beyond_the_limit() -> None:
    events = events_of(b"a APPEND box {51+}\r\n" + b"e NOOP\r\n" * 6 + b"xyz\r\n" + AFTER)
    assert events == [Refused("a", "NO", "a message of more than 50 octets", "TOOBIG"), NOOP]


def test_octets_behind_the_message() -> None:
    for rest in (b"junk", b" junk", b"{2+}\r\nab", b"junk" * 40):
        events = events_of(b"a APPEND box {2+}\r\nhi" + rest + b"\r\n" + AFTER)
        assert isinstance(events[2], Refused)
        assert (events[2].tag, events[2].status) == ("a", "BAD")
        assert events[3:] == [NOOP]


def test_a_decision_is_asked_once() -> None:
    framer = Framer()
    with pytest.raises(RuntimeError):
        framer.accept()
    framer.feed(b"a APPEND box {2+}\r\nhi\r\n")
    assert isinstance(framer.next(), Append)
    assert framer.next() is None  # nothing before the decision
    framer.accept()
    assert framer.next() == LiteralChunk(b"hi")
    with pytest.raises(RuntimeError):
        framer.refuse()


# Lines that are no commands.


def test_continuation_lines() -> None:
    framer = Framer()
    framer.feed(b"a IDLE\r\nDONE\r\nb AUTHENTICATE PLAIN\r\nAGEAYg==\r\nc DONE\r\n")
    assert isinstance(framer.next(), Command)
    framer.expect_line("a")
    assert framer.next() == Line(b"DONE")
    assert isinstance(framer.next(), Command)
    framer.expect_line("b")
    assert framer.next() == Line(b"AGEAYg==")
    assert framer.next() == Command("c", "DONE", b"c DONE", 6)


def test_a_continuation_line_is_not_looked_into() -> None:
    framer = Framer()
    framer.expect_line("a")
    framer.feed(b"x {5+}\r\n" + AFTER)
    assert framer.next() == Line(b"x {5+}")
    assert framer.next() == NOOP


def test_a_continuation_line_that_is_too_long() -> None:
    framer = Framer(SMALL)
    framer.expect_line("idle")
    framer.feed(b"x" * 150 + b"\r\n" + AFTER)
    assert framer.next() == Refused("idle", "BAD", "a line of more than 100 octets")
    assert framer.next() == NOOP


def test_what_was_sent_before_tls_is_dropped() -> None:
    framer = Framer()
    framer.feed(b"a STARTTLS\r\nb LOGIN evil evil\r\nc half")
    assert isinstance(framer.next(), Command)
    framer.discard()
    assert framer.buffered == 0
    framer.feed(AFTER)
    assert framer.next() == NOOP


def test_the_rest_goes_to_who_takes_over() -> None:
    framer = Framer()
    framer.feed(b"a LOGIN x y\r\nb SELECT INBOX\r\nc no")
    assert isinstance(framer.next(), Command)
    assert framer.release() == b"b SELECT INBOX\r\nc no"
    assert framer.next() is None


def test_limits_that_contradict_each_other() -> None:
    with pytest.raises(ValueError):
        Limits(append=100, swallow=99)


PIECES = st.sampled_from(
    [b"a ", b"APPEND ", b"NOOP", b"UID ", b"REPLACE ", b"UTF8 (~", b")", b"box ", b"{3}", b"{3+}", b"{30+}",
     b"{0+}", b"\r\n", b"\n", b"abc", b" ",
     b"x" * 110, b"~{2+}", b"{99999999999999999999999+}", b"\0", b"\xff", b"(", b'"']
)  # fmt: skip


def test_a_tag_that_ends_behind_the_limit_of_a_line() -> None:
    [refused] = events_of(b"x" * 101 + b" ")
    assert isinstance(refused, Refused)
    assert refused.tag == "*"
    [refused] = events_of(b"x" * 100 + b" ")
    assert isinstance(refused, Refused)
    assert refused.tag == "x" * 100


@given(st.lists(st.one_of(PIECES, st.binary(max_size=4)), max_size=30).map(b"".join), st.booleans())
@settings(deadline=None)
def test_events_do_not_depend_on_the_cuts(octets: bytes, accept: bool) -> None:
    events = events_of(octets, accept=lambda append: accept)
    for event in events:
        if isinstance(event, Refused):
            assert event.reply.count(b"\r\n") == 1
