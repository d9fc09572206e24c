"""What the framer gives out: the commands of a client, and what must be answered on the way to them."""

from dataclasses import dataclass, field

from mailplat.core.limits.imap import BOUNDS, Bounds
from mailplat.wire.imap.arguments import Arguments
from mailplat.wire.imap.spelling import PLAIN, Spelling


@dataclass(frozen=True, slots=True)
class Command:
    """One whole command. `octets` has its literals in place and may hold a password: it is not in the repr."""

    tag: str
    name: str  # upper case; "UID FETCH" is one name
    octets: bytes = field(repr=False)
    start: int  # of what follows the name

    def arguments(self, spelling: Spelling = PLAIN, bounds: Bounds = BOUNDS, **enabled: bool) -> Arguments:
        """As Arguments has them."""
        return Arguments(self.octets, self.start, spelling=spelling, bounds=bounds, **enabled)


@dataclass(frozen=True, slots=True)
class Continue:
    r"""The client waits for `+ OK\r\n` before it sends a literal."""


@dataclass(frozen=True, slots=True)
class Append:
    """A message of an APPEND, REPLACE or UID REPLACE is about to come. Call accept() or refuse() before next().

    `index` counts the messages of one command (RFC 3502); only the first has the mailbox in its arguments."""

    tag: str
    size: int
    synchronising: bool  # accepted: the client waits for `+ OK`
    index: int
    octets: bytes
    start: int
    name: str = "APPEND"
    utf8: bool = False  # announced as UTF8 (~{n} (RFC 6855 4)

    def arguments(self, spelling: Spelling = PLAIN, bounds: Bounds = BOUNDS, **enabled: bool) -> Arguments:
        return Arguments(self.octets, self.start, spelling=spelling, bounds=bounds, **enabled)


@dataclass(frozen=True, slots=True)
class LiteralChunk:
    """Octets of the message that was accepted last, as they came in."""

    octets: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class AppendEnd:
    """The APPEND command is complete; all its messages were accepted."""

    tag: str


@dataclass(frozen=True, slots=True)
class Line:
    """The line that expect_line() asked for, without its line end. It may be a password in base64."""

    octets: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Refused:
    """What came is no command that can be run. The framer is in step again, or `fatal`: close."""

    tag: str  # "*" where there is none
    status: str  # NO, BAD, BYE
    text: str
    code: str = ""
    fatal: bool = False

    @property
    def reply(self) -> bytes:
        code = f"[{self.code}] " if self.code else ""
        return f"{self.tag} {self.status} {code}{self.text}\r\n".encode("ascii")


Event = Command | Continue | Append | LiteralChunk | AppendEnd | Line | Refused
