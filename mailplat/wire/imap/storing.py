"""The arguments of STORE, APPEND, SELECT, STATUS, COPY and their UID forms."""

from dataclasses import dataclass
from typing import Literal

from mailplat.wire.imap.arguments import Arguments
from mailplat.wire.imap.errors import BadSyntax
from mailplat.wire.imap.sequence import SequenceSet

# What STATUS may be asked for (RFC 3501 6.3.10; RFC 7162 3.1.7; RFC 8438; RFC 8474 4.3; RFC 9051 6.3.11).
STATUS_ITEMS = (
    "MESSAGES",
    "RECENT",
    "UIDNEXT",
    "UIDVALIDITY",
    "UNSEEN",
    "HIGHESTMODSEQ",
    "SIZE",
    "DELETED",
    "MAILBOXID",
)

Mode = Literal["set", "add", "remove"]


@dataclass(frozen=True, slots=True)
class StoreProgram:
    numbers: SequenceSet
    mode: Mode
    flags: tuple[str, ...]
    silent: bool
    unchanged_since: int | None


@dataclass(frozen=True, slots=True)
class AppendProgram:
    mailbox: str  # empty for the second and later messages of one command (RFC 3502)
    flags: tuple[str, ...]
    internaldate: int | None  # Unix seconds
    zone: int  # minutes east of Greenwich, of internaldate


@dataclass(frozen=True, slots=True)
class SelectProgram:
    mailbox: str
    condstore: bool


def parse_store(arguments: Arguments) -> StoreProgram:
    """RFC 3501 6.4.6, RFC 7162 3.1.3. Raises BadSyntax, as all of these do."""
    arguments.space()
    numbers = arguments.sequence_set()
    arguments.space()
    unchanged_since = None
    if arguments.peek(b"("):

        def modifier() -> int:
            arguments.keyword("UNCHANGEDSINCE")
            arguments.space()
            return arguments.number64()

        [unchanged_since, *twice] = arguments.items(modifier, empty=False)
        if twice:
            raise BadSyntax("UNCHANGEDSINCE twice")
        arguments.space()
    mode: Mode = "add" if arguments.take(b"+") else "remove" if arguments.take(b"-") else "set"
    silent = arguments.keyword("FLAGS", "FLAGS.SILENT") == "FLAGS.SILENT"
    arguments.space()
    flags = arguments.bare_flags()
    arguments.end()
    return StoreProgram(numbers, mode, flags, silent, unchanged_since)


def parse_append(arguments: Arguments, *, first: bool = True) -> AppendProgram:
    """What stands before a message's literal. `first`: the mailbox's name comes with it."""
    mailbox = ""
    if first:
        arguments.space()
        mailbox = arguments.mailbox()
    flags: tuple[str, ...] = ()
    internaldate, zone = None, 0
    if arguments.take(b" ("):
        arguments.at -= 1
        flags = arguments.flags()
    if arguments.take(b' "'):
        arguments.at -= 1
        internaldate, zone = arguments.date_time()
    arguments.end()
    return AppendProgram(mailbox, flags, internaldate, zone)


def parse_select(arguments: Arguments) -> SelectProgram:
    """SELECT and EXAMINE with the parameter CONDSTORE (RFC 7162 3.1.8)."""
    arguments.space()
    mailbox = arguments.mailbox()
    condstore = False
    if arguments.take(b" ") and not arguments.at_end:
        arguments.items(lambda: arguments.keyword("CONDSTORE"), empty=False)
        condstore = True
    arguments.end()
    return SelectProgram(mailbox, condstore)


def parse_status(arguments: Arguments) -> tuple[str, tuple[str, ...]]:
    """(mailbox, items in upper case without duplicates)."""
    arguments.space()
    mailbox = arguments.mailbox()
    arguments.space()
    items = status_items(arguments)
    arguments.end()
    return mailbox, items


def status_items(arguments: Arguments) -> tuple[str, ...]:
    return tuple(dict.fromkeys(arguments.items(lambda: arguments.keyword(*STATUS_ITEMS), empty=False)))


def parse_copy(arguments: Arguments) -> tuple[SequenceSet, str]:
    """COPY and MOVE: (messages, target mailbox)."""
    arguments.space()
    numbers = arguments.sequence_set()
    arguments.space()
    mailbox = arguments.mailbox()
    arguments.end()
    return numbers, mailbox
