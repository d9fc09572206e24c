"""What somebody between a client and its IMAP server can know of both (RFC 3501, RFC 9051), from their octets alone.

Fed with what goes either way; never writes. `carriable` is False from the first octet on that leaves any doubt about
what the client believes: who asks then lets the connection end, as it would have without.

    in flight     commands that have come whole and have no tagged reply yet
    between       nothing is half said: not by the client, not by the server
    idling        the tag of an IDLE that the server has taken, and that the client has not ended
"""

import re
from dataclasses import dataclass

from mailplat.wire.imap.errors import BadSyntax
from mailplat.wire.imap.events import Append, Command, Continue, Line, Refused
from mailplat.wire.imap.framer import Framer, Limits
from mailplat.wire.imap.spelling import Spelling
from mailplat.wire.imap.storing import parse_select

_LITERAL = re.compile(rb"\{(\d{1,19})\+?\}\r?\n\Z")
# Octets of a line's end that can be the announcement of a literal.
_WINDOW = 32
# Of a line's beginning: what says what it is.
_HEAD = 1024
# Commands of a client that are noted until they are answered, some 250 octets each. Who sends more at once is let be.
MOST_IN_FLIGHT = 1000
# Outside literals no IMAP server sends these; a compressed stream (RFC 4978) is full of them.
_SHORT = len(b"* 4294967295 EXPUNGE\r\n")
_NOT_TEXT = re.compile(rb"[\x00-\x08\x0e-\x1f]")

# Commands whose effect on the session another server could not be given: NOTIFY (RFC 5465), COMPRESS (RFC 4978), a
# new login. Of RENAME and DELETE: the mailbox that is selected may have another name now.
_STRANGE = frozenset(
    ("NOTIFY", "COMPRESS", "UNAUTHENTICATE", "STARTTLS", "AUTHENTICATE", "LOGIN", "RESETKEY")
)
_RENAMING = frozenset(("RENAME", "DELETE"))
# A saved result (RFC 5182), a search that goes on (RFC 5267), messages without numbers (RFC 9586).
_LASTING = re.compile(rb"\bRETURN\s*\([^)]*\b(?:SAVE|UPDATE|CONTEXT)\b|\bUIDONLY\b", re.IGNORECASE)
# RFC 7162 3.1: any of these enables CONDSTORE.
_CONDSTORE = re.compile(
    rb"\b(?:CONDSTORE|MODSEQ|CHANGEDSINCE|UNCHANGEDSINCE|HIGHESTMODSEQ|QRESYNC)\b", re.IGNORECASE
)
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"|\{(\d{1,20})\+?\}\r\n', re.DOTALL)
# The server that answers has its own limits.
_LIMITS = Limits(append=1 << 62, swallow=1 << 62)
_NUMBERED = re.compile(rb"\* (\d{1,10}) (EXISTS|EXPUNGE)\b", re.IGNORECASE)
_VANISHED = re.compile(rb"\* VANISHED (?!\(EARLIER\))([\d:,]+)", re.IGNORECASE)
_UIDVALIDITY = re.compile(rb"\* OK \[UIDVALIDITY (\d{1,10})\]", re.IGNORECASE)


class Boundary:
    """Follows an IMAP server's stream: is the next octet the first of a line, outside a literal?"""

    def __init__(self) -> None:
        self._line = b""  # the end of the line so far
        self._head = b""  # its beginning
        self._headed = True  # the beginning is not complete yet
        self._literal = 0  # octets of the literal that are still to come
        self.opaque = False  # not lines of text any more: nothing may be put in

    @property
    def between_lines(self) -> bool:
        return not self.opaque and not self._line and not self._literal

    def said(self, head: bytes) -> None:
        """A line of the server is complete; `head` is its beginning, as far as the first literal."""

    def feed(self, chunk: bytes) -> None:
        at = 0
        while at < len(chunk) and not self.opaque:
            if self._literal:
                taken = min(self._literal, len(chunk) - at)
                self._literal -= taken
                at += taken
                if not self._literal:
                    self._line = b"."  # what follows a literal is the rest of its line
                continue
            end = chunk.find(b"\n", at) + 1 or len(chunk)
            self.opaque = _NOT_TEXT.search(chunk, at, end) is not None
            if self._headed:
                self._head += chunk[at : min(end, at + _HEAD - len(self._head))]
            line = (self._line + chunk[max(at, end - _WINDOW) : end])[-_WINDOW:]
            at = end
            if not line.endswith(b"\n"):
                self._line = line
                return
            found = _LITERAL.search(line)
            self._literal = int(found[1]) if found else 0
            self._line = b"." if found else b""
            self._headed = not found
            if not found:
                head, self._head = self._head, b""
                # What most lines are: FETCH. The other untagged ones that begin with a number are short.
                if len(head) <= _SHORT or head[:2] != b"* " or not 48 <= head[2] <= 57:
                    self.said(head)


@dataclass(slots=True)
class Selected:
    """A mailbox as the client selected it. `name` as it was written, decoded; `exists` messages, as the server
    said."""

    name: str
    examined: bool
    uidvalidity: int = 0
    exists: int = 0


@dataclass(slots=True)
class _Sent:
    name: str
    select: tuple[str, bool] | None = None
    condstore: bool = False


class Observer(Boundary):
    """`client` is fed with what the client sends, `feed` with what the server does."""

    def __init__(self) -> None:
        super().__init__()
        self.reason = ""  # why it is not carriable
        self.enabled: set[str] = set()
        self.selected: Selected | None = None
        self.idling = ""
        self._framer = Framer(_LIMITS)
        self._flying: dict[str, _Sent] = {}
        self._ending = False  # the client has ended its IDLE
        self._asking = False  # the client waits to be told to send a literal
        self._opening: Selected | None = None

    @property
    def carriable(self) -> bool:
        return not self.reason and not self.opaque

    @property
    def at_rest(self) -> bool:
        """Nobody owes anybody anything, but for an IDLE."""
        waits = not self._flying or (self.idling and set(self._flying) == {self.idling} and not self._ending)
        return self.carriable and bool(waits) and not self._framer.midway and self.between_lines

    @property
    def under_way(self) -> str:
        """What keeps it from coming to rest, for people."""
        if self._framer.midway:
            return "half a command"
        return ", ".join(sent.name for sent in self._flying.values()) or "half a reply"

    def doubt(self, reason: str) -> None:
        self.reason = self.reason or reason

    # the client

    def client(self, chunk: bytes) -> None:
        if not self.carriable:
            return
        self._framer.feed(chunk)
        while self.carriable and (event := self._framer.next()) is not None:
            match event:
                case Command():
                    self._command(event)
                case Continue():
                    self._asking = True
                case Append():
                    self._framer.accept()
                    self._asking = event.synchronising
                    if not event.index:  # else it is one more message of the same command (RFC 3502)
                        self._fly(event.tag, _Sent("APPEND"))
                case Line():
                    self._ending = True
                case Refused():
                    self.doubt("a command that cannot be followed")

    def _command(self, event: Command) -> None:
        words = _without_strings(event.octets)
        sent = _Sent(event.name, condstore=_CONDSTORE.search(words) is not None)
        if event.name in _STRANGE or _LASTING.search(words):
            self.doubt(event.name)
        if event.name in _RENAMING and self.selected is not None:
            self.doubt(f"{event.name} while a mailbox is selected")
        if event.name in ("SELECT", "EXAMINE"):
            try:
                program = parse_select(event.arguments(Spelling(utf8=self.utf8)))
            except BadSyntax:
                self.doubt("a mailbox name that cannot be read")
                return
            sent.select = (program.mailbox, event.name == "EXAMINE")
        elif event.name == "IDLE":
            self._framer.expect_line(event.tag)
        self._fly(event.tag, sent)

    def _fly(self, tag: str, sent: _Sent) -> None:
        if tag in self._flying:
            self.doubt("one tag for two commands")
        if len(self._flying) >= MOST_IN_FLIGHT:
            self.doubt("very many commands without an answer")
            self._flying.clear()
        self._flying[tag] = sent
        self._begin_opening()

    @property
    def utf8(self) -> bool:
        return bool(self.enabled & {"UTF8=ACCEPT", "IMAP4REV2"})

    # the server

    def said(self, head: bytes) -> None:
        if head.startswith(b"* "):
            self._untagged(head)
        elif head.startswith(b"+"):
            self._prompted()
        else:
            tag, _, rest = head.partition(b" ")
            self._tagged(tag.decode("ascii", "replace"), rest)

    def _untagged(self, head: bytes) -> None:
        mailbox = self._opening or self.selected
        if (numbered := _NUMBERED.match(head)) and mailbox is not None:
            if numbered[2].upper() == b"EXISTS":
                mailbox.exists = int(numbered[1])
            else:
                mailbox.exists -= 1
        elif head[2:11].upper() == b"VANISHED " and mailbox is not None:
            self._vanished(head, mailbox)
        elif (found := _UIDVALIDITY.match(head)) and self._opening is not None:
            self._opening.uidvalidity = int(found[1])
        elif head[2:10].upper() == b"ENABLED ":
            self.enabled.update(head[10:].decode("ascii", "replace").upper().split())
        elif head[2:6].upper() == b"BYE ":
            self.doubt("BYE")

    def _vanished(self, head: bytes, mailbox: Selected) -> None:
        found = _VANISHED.match(head)
        if b"(EARLIER)" in head[:24].upper():
            return
        if found is None or len(head) >= _HEAD:
            self.doubt("VANISHED that cannot be read")
            return
        for pair in found[1].split(b","):
            low, _, high = pair.partition(b":")
            mailbox.exists -= abs(int(high or low) - int(low)) + 1

    def _prompted(self) -> None:
        if self._asking:
            self._asking = False
            return
        idles = [tag for tag, sent in self._flying.items() if sent.name == "IDLE"]
        if idles:
            self.idling = idles[0]

    def _tagged(self, tag: str, rest: bytes) -> None:
        sent = self._flying.pop(tag, None)
        done = rest[:3].upper() == b"OK "
        if self._asking and (sent is None or sent.name == "APPEND"):
            self._framer = Framer(_LIMITS)  # a literal was refused: the client does not send it
            self._asking = False
        elif sent is None:
            self.doubt("a reply to nothing")
        if sent is None:
            return
        if sent.name == "IDLE":
            if not self._ending:
                self._framer.discard()  # refused, or the server has ended it
            self.idling, self._ending = "", False
        if sent.condstore and done:
            self.enabled.add("CONDSTORE")
        if sent.select is not None:
            self.selected = self._opened(sent.select, rest) if done else None
            self._opening = None
        elif done and sent.name in ("CLOSE", "UNSELECT"):
            self.selected = None
        self._begin_opening()

    def _begin_opening(self) -> None:
        """Of commands that are under way together, what a SELECT is told comes when those before it are answered."""
        first = next(iter(self._flying.values()), None)
        if first is not None and first.select is not None and self._opening is None:
            self._opening = Selected(*first.select)

    def _opened(self, select: tuple[str, bool], rest: bytes) -> Selected | None:
        opened = self._opening or Selected(*select)
        if not opened.uidvalidity:
            self.doubt("a mailbox without UIDVALIDITY")
        opened.examined = opened.examined or b"[READ-ONLY]" in rest.upper()
        return opened


def _without_strings(octets: bytes) -> bytes:
    """A command without what it only names or looks for, quoted or as a literal."""
    words, at = [], 0
    while found := _STRING.search(octets, at):
        words.append(octets[at : found.start()])
        at = found.end() + int(found[1] or 0)
    return b'""'.join((*words, octets[at:]))
