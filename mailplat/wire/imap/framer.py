r"""Octets to events: where commands end, what is a literal, what is refused and how much of it to swallow.

A line that ends in `{n}` or `{n+}` is followed by n octets and the rest of the command. The whole art is in
refusing: after `{n}` a client that is answered NO or BAD sends nothing more of the command; after `{n+}` (RFC
7888) the octets come whatever we say, and reading them as commands would let a mail's content speak for its
reader. So what is refused is followed to its end and thrown away, up to Limits.swallow.

Lines may end in LF alone, for people at a terminal.
"""

import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from mailplat.wire.imap.events import (
    Append,
    AppendEnd,
    Command,
    Continue,
    Event,
    Line,
    LiteralChunk,
    Refused,
)

# RFC 3501 sets no limit for tags. Clients use some ten octets.
_LONGEST_TAG = 128

# Commands with a message, and how many arguments come before it: a literal before is one of these.
_WITH_MESSAGE = {"APPEND": 1, "REPLACE": 2, "UID REPLACE": 2}

# `{` 20 digits `+}` CR, and more than enough: the end of a line that is swallowed.
_TAIL = 64


@dataclass(frozen=True, slots=True)
class Limits:
    """In octets. Before login a session should use less: `Limits(line=8192, literal=4096, command=16384)`."""

    line: int = 64 * 1024  # RFC 7162 4 asks for 8192 at least; clients list thousands of UIDs
    literal: int = 64 * 1024  # one literal in any command but APPEND: names, passwords, search texts
    command: int = 256 * 1024  # all lines and literals of one command, APPEND's message not counted
    append: int = 64 * 1024 * 1024  # one message
    swallow: int = (
        256 * 1024 * 1024
    )  # refused octets that are read to stay in step; beyond, the connection ends

    def __post_init__(self) -> None:
        if not 0 < self.append <= self.swallow:
            raise ValueError("Limits.swallow must not be less than Limits.append")


class _State(Enum):
    LINE = auto()  # a line of a command
    LITERAL = auto()  # octets of a literal that becomes part of the command
    DECISION = auto()  # Append was given out
    MESSAGE = auto()  # octets of a message
    BEHIND_MESSAGE = auto()  # the rest of the APPEND line
    SWALLOW_LITERAL = auto()
    SWALLOW_LINE = auto()
    CLOSED = auto()  # after a fatal refusal


_HEAD = re.compile(
    rb'([^\x00-\x20\x7f-\xff(){%%*"\\+]{1,%d}) +([A-Za-z][A-Za-z0-9.-]{0,31})(?= |$)' % _LONGEST_TAG
)
_TAG = re.compile(rb'([^\x00-\x20\x7f-\xff(){%%*"\\+]{1,%d}) ' % _LONGEST_TAG)
_UID_NAME = re.compile(rb" +([A-Za-z]{1,32})(?= |$)")
_LITERAL = re.compile(rb"~?\{(\d+)(\+?)\}$")
_UTF8 = re.compile(rb" UTF8 \($", re.IGNORECASE)  # RFC 6855 4: UTF8 (~{5} ... )
_SWALLOWED_LITERAL = re.compile(rb"(\{?)(\d+)\+\}\r?$")


class Framer:
    """One per connection. Feed octets, then take events until next() gives None."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._in = bytearray()
        self._searched = 0  # no LF in _in before this
        self._state = _State.LINE
        self._events: deque[Event] = deque()
        self._expecting: str | None = None
        self._need = 0  # octets of the literal that are still to come
        self._swallowed = 0
        self._tail = b""
        self._append: Append | None = None
        self._begin()
        self._steps: dict[_State, Callable[[], bool]] = {
            _State.LINE: self._line,
            _State.LITERAL: self._literal,
            _State.MESSAGE: self._message,
            _State.BEHIND_MESSAGE: self._behind_message,
            _State.SWALLOW_LITERAL: self._swallow_literal,
            _State.SWALLOW_LINE: self._swallow_line,
        }

    def feed(self, octets: bytes) -> None:
        if self._state is not _State.CLOSED:
            self._in += octets

    def next(self) -> Event | None:
        """The next event, or None: more octets are needed, or a decision about an Append."""
        while not self._events:
            step = self._steps.get(self._state)
            if step is None or not step():
                return None
        return self._events.popleft()

    @property
    def buffered(self) -> int:
        """Octets that are fed and not yet given out."""
        return len(self._in)

    @property
    def midway(self) -> bool:
        """True inside a command: the client owes us the rest of it."""
        return self._state is not _State.LINE or bool(self._in) or bool(self._command)

    def expect_line(self, tag: str) -> None:
        """The next line is no command but a continuation of the command `tag` (a SASL response, IDLE's DONE)."""
        self._expecting = tag

    def discard(self) -> None:
        """Drop what is buffered, at STARTTLS: octets sent before TLS may be somebody else's (RFC 9051 6.2.1)."""
        self._in.clear()
        self._searched = 0
        self._expecting = None
        self._begin()

    def release(self) -> bytes:
        """Give out what is buffered, for who takes over the connection (a proxy, after login)."""
        rest = bytes(self._in)
        self.discard()
        return rest

    def accept(self) -> None:
        """The message announced by Append is wanted: LiteralChunk events follow."""
        append = self._decide()
        self._need = append.size
        self._state = _State.MESSAGE

    def refuse(self) -> None:
        """The message announced by Append is not wanted; the caller answers the command. What the client
        sends of it all the same is swallowed."""
        append = self._decide()
        if append.synchronising:
            self._begin()
        else:
            self._swallow(append.size)

    def _decide(self) -> Append:
        if self._state is not _State.DECISION or self._append is None:
            raise RuntimeError("no APPEND waits for a decision")
        return self._append

    def _begin(self) -> None:
        """Ready for the first line of a command."""
        self._state = _State.LINE
        self._command = bytearray()  # lines and literals so far
        self._tag = "*"
        self._name = ""
        self._start = 0
        self._messages = 0
        self._swallowed = 0

    # Lines.

    def _take_line(self) -> bytes | None:
        """The next line without its end. None: it is not complete, or was too long (and is refused)."""
        limit = self.limits.line
        end = self._in.find(b"\n", self._searched)
        if end < 0 and len(self._in) <= limit:
            self._searched = len(self._in)
            return None
        if end < 0 or end > limit:
            if self._expecting is not None:
                self._tag, self._expecting = self._expecting, None
            elif self._tag == "*" and (head := _TAG.match(self._in, 0, limit + 1)):
                self._tag = head[1].decode("ascii")
            self._refuse("BAD", f"a line of more than {limit} octets")
            self._enter_swallow_line()
            return None
        line = bytes(self._in[:end])
        del self._in[: end + 1]
        self._searched = 0
        return line.removesuffix(b"\r")

    def _line(self) -> bool:
        line = self._take_line()
        if line is None:
            return self._state is not _State.LINE
        if self._expecting is not None:
            self._expecting = None
            self._events.append(Line(line))
            return True
        spec = _LITERAL.search(line) if line.endswith(b"}") else None
        if not self._command and (fault := self._read_head(line)):
            self._refuse_line("BAD", fault, spec)
        elif len(self._command) + len(line) > self.limits.command:
            self._refuse_line("BAD", f"a command of more than {self.limits.command} octets", spec, "TOOBIG")
        elif spec is not None:
            self._announce(line, spec)
        else:
            self._events.append(Command(self._tag, self._name, bytes(self._command + line), self._start))
            self._begin()
        return True

    def _read_head(self, line: bytes) -> str:
        """Tag and name of a command's first line; returns what is wrong with them, or nothing."""
        head = _HEAD.match(line)
        if head is None:
            tag = _TAG.match(line)
            self._tag = tag[1].decode("ascii") if tag else "*"
            return "a command name expected" if tag else "a tag and a command expected"
        self._tag, self._name = head[1].decode("ascii"), head[2].decode("ascii").upper()
        self._start = head.end()
        if self._name == "UID" and (name := _UID_NAME.match(line, head.end())):
            self._name = f"UID {name[1].decode('ascii').upper()}"
            self._start = name.end()
        return ""

    # Literals.

    def _announce(self, line: bytes, spec: re.Match[bytes]) -> None:
        """A line that ends in a literal's size: take the literal, ask, or refuse."""
        size = _size(spec)
        if (before := _WITH_MESSAGE.get(self._name)) is not None:
            # A literal before the message is the mailbox's name; one that has all arguments before it is the message.
            text = bytes(self._command) + line[: spec.start()]
            if len(text[self._start :].split(None, before)) >= before:
                self._announce_message(text, spec, size, index=0)
                return
        if size > self.limits.literal or len(self._command) + len(line) + size > self.limits.command:
            limit = min(self.limits.literal, self.limits.command)
            self._refuse_line("BAD", f"a literal of more than {limit} octets", spec, "TOOBIG")
            return
        self._command += line + b"\r\n"
        self._need = size
        self._state = _State.LITERAL
        if not spec[2]:
            self._events.append(Continue())

    def _announce_message(self, text: bytes, spec: re.Match[bytes], size: int, index: int) -> None:
        if size > self.limits.append:
            self._refuse_line("NO", f"a message of more than {self.limits.append} octets", spec, "TOOBIG")
            return
        start = self._start if index == 0 else 0
        utf8 = _UTF8.search(text) if spec[0].startswith(b"~") else None
        if utf8 is not None:
            text = text[: utf8.start()]
        self._append = Append(
            self._tag, size, not spec[2], index, text.rstrip(b" "), start, self._name, utf8 is not None
        )
        self._state = _State.DECISION
        self._events.append(self._append)

    def _literal(self) -> bool:
        if len(self._in) < self._need:
            return False
        self._command += self._in[: self._need]
        del self._in[: self._need]
        self._searched = 0
        self._state = _State.LINE
        return True

    def _message(self) -> bool:
        if self._need == 0:
            self._messages += 1
            self._state = _State.BEHIND_MESSAGE
            return True
        if not self._in:
            return False
        chunk = bytes(self._in[: self._need])
        del self._in[: self._need]
        self._need -= len(chunk)
        self._events.append(LiteralChunk(chunk))
        return True

    def _behind_message(self) -> bool:
        line = self._take_line()
        if line is None:
            return self._state is not _State.BEHIND_MESSAGE
        spec = _LITERAL.search(line) if line.endswith(b"}") else None
        if self._append is not None and self._append.utf8:
            if not line.startswith(b")"):
                self._refuse_line("BAD", "')' expected behind the message", spec)
                return True
            line = line[1:]
            spec = _LITERAL.search(line) if spec is not None else None
        if not line.strip(b" "):
            self._events.append(AppendEnd(self._tag))
            self._begin()
        elif spec is not None and line.startswith(b" ") and self._name == "APPEND":
            # RFC 3502: another message of the same command.
            self._announce_message(line[: spec.start()], spec, _size(spec), self._messages)
        else:
            self._refuse_line("BAD", "octets behind the message", spec)
        return True

    # Refusals.

    def _refuse(self, status: str, text: str, code: str = "") -> None:
        self._events.append(Refused(self._tag, status, text, code))

    def _refuse_line(self, status: str, text: str, spec: re.Match[bytes] | None, code: str = "") -> None:
        """Refuse the command whose line was just read; follow its non-synchronising literal, if it has one."""
        self._refuse(status, text, code)
        if spec is not None and spec[2]:
            self._swallow(_size(spec))
        else:
            self._begin()

    def _swallow(self, size: int) -> None:
        self._swallowed += size
        if self._swallowed > self.limits.swallow:
            self._end()
            return
        self._need = size
        self._state = _State.SWALLOW_LITERAL

    def _end(self) -> None:
        """The client sends more than we are willing to throw away (RFC 7888 4: the server may close)."""
        self._events.append(
            Refused(
                "*", "BYE", f"more than {self.limits.swallow} octets that were refused", "TOOBIG", fatal=True
            )
        )
        self._in.clear()
        self._state = _State.CLOSED

    def _swallow_literal(self) -> bool:
        if self._need == 0:
            self._enter_swallow_line()
            return True
        if not self._in:
            return False
        count = min(self._need, len(self._in))
        del self._in[:count]
        self._need -= count
        return True

    def _enter_swallow_line(self) -> None:
        self._tail = b""
        self._searched = 0
        self._state = _State.SWALLOW_LINE

    def _swallow_line(self) -> bool:
        if not self._in:
            return False
        end = self._in.find(b"\n")
        count = len(self._in) if end < 0 else end
        self._tail = (self._tail + bytes(self._in[max(0, count - _TAIL) : count]))[-_TAIL:]
        del self._in[: count if end < 0 else end + 1]
        self._swallowed += count
        if self._swallowed > self.limits.swallow:
            self._end()
        elif end >= 0:
            spec = _SWALLOWED_LITERAL.search(self._tail)
            if spec is None:
                self._begin()
            elif spec[1] and len(spec[2]) <= 20:
                self._swallow(int(spec[2]))
            elif spec[1] or len(spec[2]) > 20:
                self._end()  # a literal too long to count
            else:
                self._begin()
        return True


def _size(spec: re.Match[bytes]) -> int:
    """Octets that a literal announces; one that has more digits than any size counts as larger than any."""
    digits = spec[1]
    return int(digits) if len(digits) <= 20 else 10**20
