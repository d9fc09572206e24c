"""The arguments of STORE, APPEND, SELECT, STATUS, COPY and their UID forms."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from mailplat.wire.imap.arguments import Arguments
from mailplat.wire.imap.errors import BadSyntax, UidRequired
from mailplat.wire.imap.sequence import STAR, SequenceSet

# What STATUS may be asked for (RFC 3501 6.3.10; RFC 7162 3.1.7; RFC 8438; RFC 8474 4.3; RFC 9051 6.3.11; RFC 9208
# 4.1.4).
STATUS_ITEMS = (
    "MESSAGES", "RECENT", "UIDNEXT", "UIDVALIDITY", "UNSEEN", "HIGHESTMODSEQ", "SIZE", "DELETED", "DELETED-STORAGE",
    "MAILBOXID",
)  # fmt: skip

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
class Resync:
    """QRESYNC (RFC 7162 3.2.5): what the client knew when it was here last."""

    uidvalidity: int
    modseq: int
    known: SequenceSet | None = None  # UIDs; None: all
    # RFC 7162 3.2.5.2: sequence numbers and the UIDs that they had, pair by pair; both without "*".
    numbers: SequenceSet | None = None
    uids: SequenceSet | None = None

    def matches(self) -> Iterator[tuple[int, int]]:
        """The pairs (sequence number, UID), in the order given. There may be billions: take no more than needed."""
        if self.numbers is None or self.uids is None:
            return iter(())
        return zip(_expand(self.numbers), _expand(self.uids), strict=False)


@dataclass(frozen=True, slots=True)
class SelectProgram:
    mailbox: str
    condstore: bool
    resync: Resync | None = None


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


def parse_replace(arguments: Arguments) -> tuple[SequenceSet, AppendProgram]:
    """REPLACE and UID REPLACE (RFC 8508 5): one message, and what stands before the literal of the new one."""
    arguments.space()
    numbers = arguments.sequence_set()
    if numbers.saved or len(numbers.ranges) != 1 or numbers.ranges[0][0] != numbers.ranges[0][1]:
        raise BadSyntax("one message expected")
    return numbers, parse_append(arguments)


def parse_select(arguments: Arguments) -> SelectProgram:
    """SELECT and EXAMINE with the parameters CONDSTORE (RFC 7162 3.1.8) and QRESYNC (3.2.5)."""
    arguments.space()
    mailbox = arguments.mailbox()
    names: list[str] = []
    resync: Resync | None = None

    def parameter() -> None:
        nonlocal resync
        names.append(arguments.keyword("CONDSTORE", "QRESYNC"))
        if names[-1] == "QRESYNC":
            arguments.space()
            resync = _resync(arguments)

    if arguments.take(b" ") and not arguments.at_end:
        arguments.items(parameter, empty=False)
        if len(set(names)) != len(names):
            raise BadSyntax("a parameter twice")
    arguments.end()
    return SelectProgram(mailbox, bool(names), resync)


def _resync(arguments: Arguments) -> Resync:
    arguments.expect(b"(")
    uidvalidity = arguments.number(1)
    arguments.space()
    modseq = arguments.number64(1)
    known = numbers = uids = None
    if arguments.take(b" ") and not arguments.peek(b"("):
        known = _without_star(arguments.sequence_set())
        arguments.take(b" ")
    if arguments.take(b"("):
        if arguments.uid_only:
            raise UidRequired  # RFC 9586 3.4
        numbers = _without_star(arguments.sequence_set())
        arguments.space()
        uids = _without_star(arguments.sequence_set())
        arguments.expect(b")")
        if _count(numbers) != _count(uids):
            raise BadSyntax("as many UIDs as sequence numbers expected")
    arguments.expect(b")")
    return Resync(uidvalidity, modseq, known, numbers, uids)


def _without_star(numbers: SequenceSet) -> SequenceSet:
    """RFC 7162 7: known-uids and both sets of seq-match-data have no "*"."""
    if numbers.saved or any(STAR in pair for pair in numbers.ranges):
        raise BadSyntax("'*' and '$' have no meaning here")
    return numbers


def _count(numbers: SequenceSet) -> int:
    return sum(abs(high - low) + 1 for low, high in numbers.ranges)


def _expand(numbers: SequenceSet) -> Iterator[int]:
    return itertools.chain.from_iterable(range(min(pair), max(pair) + 1) for pair in numbers.ranges)


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
