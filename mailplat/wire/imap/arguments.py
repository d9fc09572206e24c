"""`Arguments`: a cursor over one command's octets, with one method for each thing of the grammar (RFC 3501 9).

The command is whole: literals stand in it as `{5}` CRLF and their octets. Each method eats what it names or
raises BadSyntax; none looks at an octet twice.
"""

import re
from collections.abc import Callable
from datetime import date
from typing import TypeVar

from mailplat.core.limits.imap import BOUNDS, Bounds
from mailplat.wire.imap import mutf7
from mailplat.wire.imap.errors import BadSyntax
from mailplat.wire.imap.sequence import SequenceSet
from mailplat.wire.imap.spelling import PLAIN, Spelling

SYSTEM_FLAGS = {
    f"\\{name}".lower(): f"\\{name}" for name in ("Answered", "Deleted", "Draft", "Flagged", "Seen")
}

_MONTHS = {
    name: number for number, name in enumerate(b"JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split(), 1)
}

_ATOM = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\\]]++')
_ASTRING_ATOM = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\]++')  # "]" too
_PATTERN_ATOM = re.compile(rb'[^\x00-\x20\x7f-\xff(){"\\]++')  # "]", "%" and "*" too
_UTF8_ATOM = re.compile(rb'[^\x00-\x20\x7f(){%*"\\]++')
_UTF8_PATTERN_ATOM = re.compile(rb'[^\x00-\x20\x7f(){"\\]++')
# 8-bit octets are against RFC 3501; clients send them in passwords and search texts all the same.
_QUOTED = re.compile(rb'"((?:[^"\\\r\n\x00]++|\\["\\])*)"')
_LITERAL = re.compile(rb"~?\{(\d{1,10})\+?\}\r?\n")
_NUMBER = re.compile(rb"\d++")
_SEQUENCE = re.compile(rb"[0-9:*,]++|\$")
_FLAG = re.compile(rb'\\?[^\x00-\x20\x7f-\xff(){%*"\\\]]++')
_DATE = re.compile(rb'("?)(\d{1,2})-([A-Za-z]{3})-(\d{4})\1')
_DATE_TIME = re.compile(rb'"([ \d]\d)-([A-Za-z]{3})-(\d{4}) (\d\d):(\d\d):(\d\d) ([+-])(\d\d)([0-5]\d)"')
_ESCAPED = re.compile(rb"\\(.)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

_EPOCH = date(1970, 1, 1).toordinal()

T = TypeVar("T")


class Arguments:
    """`spelling`: of mailbox names. What the client has enabled: `uid_only`: a sequence number is an error (RFC
    9586); `no_charset`: SEARCH has none (RFC 6855 3). `bounds`: how much of each thing there may be."""

    __slots__ = ("at", "bounds", "no_charset", "octets", "spelling", "uid_only")

    def __init__(
        self,
        octets: bytes,
        at: int = 0,
        *,
        bounds: Bounds = BOUNDS,
        spelling: Spelling = PLAIN,
        uid_only: bool = False,
        no_charset: bool = False,
    ) -> None:
        self.octets = octets
        self.at = at
        self.bounds = bounds
        self.spelling = spelling
        self.uid_only = uid_only
        self.no_charset = no_charset

    @property
    def at_end(self) -> bool:
        return self.at >= len(self.octets)

    def peek(self, text: bytes) -> bool:
        """True where `text` (one octet or more) comes next."""
        return self.octets.startswith(text, self.at)

    def take(self, text: bytes) -> bool:
        """Eat `text` where it comes next; False, and nothing eaten, where it does not."""
        if self.octets.startswith(text, self.at):
            self.at += len(text)
            return True
        return False

    def expect(self, text: bytes) -> None:
        if not self.take(text):
            raise BadSyntax(
                f"'{text.decode('ascii')}' expected" if not self.at_end else "the command is too short"
            )

    def space(self) -> None:
        if not self.take(b" "):
            raise BadSyntax("a space expected" if not self.at_end else "the command is too short")

    def end(self) -> None:
        """Nothing is left. Spaces at the end are let pass: some clients send them."""
        if self.octets[self.at :].strip(b" "):
            raise BadSyntax("more than the command has room for")

    def atom(self) -> bytes:
        return self._match(_ATOM, "an atom")[0]

    def keyword(self, *allowed: str) -> str:
        """One of some words in upper case, whichever case it was sent in."""
        word = self._match(_ATOM, "a word")[0].decode("ascii").upper()
        if word not in allowed:
            raise BadSyntax(f"one of {' '.join(allowed)} expected")
        return word

    def string(self) -> bytes:
        """A quoted string or a literal."""
        if self.peek(b'"'):
            quoted = self._match(_QUOTED, "a complete quoted string")[1]
            return _ESCAPED.sub(rb"\1", quoted) if b"\\" in quoted else quoted
        start = self._match(_LITERAL, "a string")
        size = int(start[1])
        octets = self.octets[self.at : self.at + size]
        self.at += size
        if len(octets) < size:
            raise BadSyntax("a literal is shorter than it says")
        if b"\0" in octets:
            raise BadSyntax("a literal of this command may not hold NUL")  # RFC 3501 4.3.1
        return octets

    def astring(self) -> bytes:
        found = _ASTRING_ATOM.match(self.octets, self.at)
        if found is None:
            return self.string()
        self.at = found.end()
        return found[0]

    def nstring(self) -> bytes | None:
        if self.octets[self.at : self.at + 3].upper() == b"NIL":
            self.at += 3
            return None
        return self.string()

    def binary(self) -> bytes | None:
        """nstring, or literal8, which may hold NUL (RFC 3516 4.4, RFC 5464 5)."""
        if not self.peek(b"~"):
            return self.nstring()
        start = self._match(_LITERAL, "a literal")
        octets = self.octets[self.at : self.at + int(start[1])]
        self.at += len(octets)
        if len(octets) < int(start[1]):
            raise BadSyntax("a literal is shorter than it says")
        return octets

    def mailbox(self) -> str:
        """A mailbox name, decoded; INBOX, also as the first level of a name, in upper case (RFC 3501 5.1)."""
        return _inbox(self._name(_UTF8_ATOM if self.spelling.utf8 else _ASTRING_ATOM))

    def pattern(self) -> str:
        """A name that may hold the wildcards "%" and "*", decoded."""
        return self._name(_UTF8_PATTERN_ATOM if self.spelling.utf8 else _PATTERN_ATOM)

    def number(self, least: int = 0) -> int:
        return self._number(least, 0xFFFF_FFFF)

    def number64(self, least: int = 0) -> int:
        """Up to 2**63 - 1 (RFC 7162: mod-sequences)."""
        return self._number(least, 0x7FFF_FFFF_FFFF_FFFF)

    def sequence_set(self) -> SequenceSet:
        return SequenceSet.parse(self._match(_SEQUENCE, "a sequence set")[0], self.bounds.ranges)

    def flag(self) -> str:
        """A system flag in its usual spelling, or a keyword as it was sent."""
        name = self._match(_FLAG, "a flag")[0].decode("ascii")
        if not name.startswith("\\"):
            return self.keyword_of(name)
        known = SYSTEM_FLAGS.get(name.lower())
        if known is None and name.lower() != "\\recent":
            raise BadSyntax("not a system flag")
        return known or "\\Recent"

    def keyword_of(self, name: str) -> str:
        """`name`, where it is not too long for a keyword."""
        if len(name) > self.bounds.keyword:
            raise BadSyntax(f"a keyword of more than {self.bounds.keyword} characters")
        return name

    def flags(self) -> tuple[str, ...]:
        """A list of flags in parentheses, duplicates and \\Recent left out: no client can set \\Recent
        (RFC 3501 2.3.2), some send back what they were given."""
        return _settable(self.items(self.flag, limit=self.bounds.flags))

    def bare_flags(self) -> tuple[str, ...]:
        """Flags with or without parentheses, as STORE has them."""
        if self.peek(b"("):
            return self.flags()
        found = [self.flag()]
        while self.take(b" ") and not self.at_end:
            found.append(self.flag())
            if len(found) > self.bounds.flags:
                raise BadSyntax(f"more than {self.bounds.flags} flags")
        return _settable(found)

    def date(self) -> int:
        """A calendar day, quoted or not, as a proleptic ordinal (datetime.date.toordinal)."""
        found = self._match(_DATE, "a date such as 1-Feb-2026")
        return _ordinal(found[2], found[3], found[4])

    def date_time(self) -> tuple[int, int]:
        """(Unix seconds, minutes east of Greenwich)."""
        found = self._match(_DATE_TIME, 'a date-time such as " 1-Feb-2026 10:00:00 +0100"')
        day, month, year, hour, minute, second, sign, zone_hours, zone_minutes = found.groups()
        seconds = int(hour) * 3600 + int(minute) * 60 + int(second)
        if int(hour) > 23 or int(minute) > 59 or int(second) > 60:
            raise BadSyntax("not a time of day")
        zone = int(zone_hours) * 60 + int(zone_minutes)
        zone = -zone if sign == b"-" else zone
        return (_ordinal(day, month, year) - _EPOCH) * 86_400 + seconds - zone * 60, zone

    def items(self, one: Callable[[], T], *, limit: int = 0, empty: bool = True) -> list[T]:
        """A list in parentheses, its members read by `one`; `limit` 0: bounds.items of them."""
        limit = limit or self.bounds.items
        self.expect(b"(")
        found: list[T] = []
        if self.take(b")"):
            if not empty:
                raise BadSyntax("an empty list")
            return found
        while True:
            found.append(one())
            if len(found) > limit:
                raise BadSyntax(f"a list of more than {limit} members")
            if self.take(b")"):
                return found
            self.space()

    def _match(self, pattern: re.Pattern[bytes], what: str) -> re.Match[bytes]:
        found = pattern.match(self.octets, self.at)
        if found is None:
            raise BadSyntax(
                f"{what} expected" if not self.at_end else f"the command is too short: {what} expected"
            )
        self.at = found.end()
        return found

    def _number(self, least: int, most: int) -> int:
        digits = self._match(_NUMBER, "a number")[0]
        # The length first: int() of a very long text is slow, and Python refuses it.
        number = int(digits) if len(digits) <= 20 else most + 1
        if not least <= number <= most:
            raise BadSyntax(f"a number from {least} to {most} expected")
        return number

    def _name(self, atom: re.Pattern[bytes]) -> str:
        found = atom.match(self.octets, self.at)
        if found is not None:
            self.at = found.end()
            octets = found[0]
        else:
            octets = self.string()
        if not self.spelling.utf8:
            return self.spelling.read(mutf7.decode(octets))
        try:
            name = octets.decode("utf-8")
        except UnicodeDecodeError as error:
            raise BadSyntax("a mailbox name is not UTF-8") from error
        if _CONTROL.search(name):
            raise BadSyntax("a mailbox name holds control characters")
        return self.spelling.read(name)


def _inbox(name: str) -> str:
    first, slash, rest = name.partition("/")
    return f"INBOX{slash}{rest}" if first.upper() == "INBOX" else name


def _settable(flags: list[str]) -> tuple[str, ...]:
    return tuple(flag for flag in dict.fromkeys(flags) if flag != "\\Recent")


def _ordinal(day: bytes, month: bytes, year: bytes) -> int:
    try:
        return date(int(year), _MONTHS[month.upper()], int(day)).toordinal()
    except (ValueError, KeyError) as error:
        raise BadSyntax("no such day") from error
