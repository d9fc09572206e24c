"""Lists of UIDs: dovecot-uidlist and courierimapuiddb.

    3 V<uidvalidity> N<uidnext> G<guid>      dovecot-uidlist, version 3
    <uid> [P<uidl>] [O<place in POP3>] [W<size>] [other fields] :<name of the file>

    1 <uidvalidity> <uidnext>                version 1, and courierimapuiddb
    <uid> <name of the file>

The name may have its flags behind it; what identifies a message is the part before ":". Lines may be appended after
the header was written, so that UIDNEXT is at least one above the last UID. What is gone may still be listed.
(https://doc.dovecot.org/2.3/admin_manual/mailbox_formats/maildir/)
"""

import os
import re
from dataclasses import dataclass

from migration.errors import Misbehaviour

_HEADER_3 = re.compile(rb"3(?: [A-Z]\S*)*")
_HEADER_1 = re.compile(rb"1 (\d{1,10}) (\d{1,10})\s*")
_MAX = 2**32 - 1  # RFC 3501 9, nz-number


@dataclass(slots=True)
class Entry:
    uid: int
    uidl: str = ""
    order: int = 0  # place in POP3's list; 0: none
    size: int = -1  # as IMAP says it; -1: not said


# Octets of the longest list that is remembered: some 10,000 messages, 5 MB in memory.
_REMEMBERED = 1024 * 1024


@dataclass(frozen=True, slots=True)
class UidList:
    uidvalidity: int
    uidnext: int
    entries: dict[str, Entry]  # by the name of the file without flags, UIDs ascend


class Latest:
    """The list that was parsed last, for whoever looks at a folder again in which nothing was added: a copy of it
    looks three times, and to parse is a tenth of its work."""

    def __init__(self) -> None:
        self._known: tuple[bytes, UidList] | None = None

    def parse(self, octets: bytes, what: str) -> UidList:
        """As `parse`; for reading only."""
        known = self._known
        if known is not None and known[0] == octets:
            return known[1]
        found = parse(octets, what)
        if len(octets) <= _REMEMBERED:
            self._known = octets, found
        return found


def parse(octets: bytes, what: str) -> UidList:
    """`what` for errors. Raises Misbehaviour where it is none. A last line without its end is still being written
    and counts as not there."""
    whole, _, _ = octets.rpartition(b"\n")
    header, *lines = whole.split(b"\n")
    if _HEADER_3.fullmatch(header):
        fields = {word[:1]: word[1:] for word in header.split()[1:]}
        uidvalidity, uidnext = _number(fields.get(b"V", b""), what), _number(fields.get(b"N", b""), what)
        read = _line_3
    elif found := _HEADER_1.fullmatch(header):
        uidvalidity, uidnext = _number(found[1], what), _number(found[2], what)
        read = _line_1
    else:
        raise Misbehaviour(f"{what} begins with {header[:80]!r}: neither version 1 nor version 3")
    entries: dict[str, Entry] = {}
    last = 0
    for line in lines:
        name, entry = read(line, what)
        if not last < entry.uid <= _MAX:
            raise Misbehaviour(f"{what}: UID {entry.uid} after {last}")
        last = entry.uid
        entries.pop(name, None)  # a message that is listed twice has the later UID
        entries[name] = entry
    return UidList(uidvalidity, max(uidnext, last + 1), entries)


def _line_3(line: bytes, what: str) -> tuple[str, Entry]:
    head, colon, name = line.partition(b" :")
    number, *fields = head.split(b" ")
    if not colon or not name:
        raise Misbehaviour(f"{what}: unreadable line {line[:80]!r}")
    entry = Entry(_number(number, what))
    for field in fields:
        kind, value = field[:1], field[1:]
        if kind == b"P":
            entry.uidl = value.decode("ascii", "replace")
        elif kind == b"W":
            entry.size = _number(value, what, 2**63)
        elif kind == b"O":
            entry.order = _number(value, what)
    return base(os.fsdecode(name)), entry


def _line_1(line: bytes, what: str) -> tuple[str, Entry]:
    number, space, name = line.partition(b" ")
    if not space or not name:
        raise Misbehaviour(f"{what}: unreadable line {line[:80]!r}")
    return base(os.fsdecode(name)), Entry(_number(number, what))


def base(name: str) -> str:
    """What stays of a file's name whatever its flags are."""
    return name.partition(":")[0]


def _number(text: bytes, what: str, most: int = _MAX) -> int:
    if not text.isdigit() or len(text) > 19 or int(text) > most:
        raise Misbehaviour(f"{what}: {text[:30]!r} is no number")
    return int(text)
