"""One mailbox as a Maildir: names of files with size, flags and keywords; dovecot-uidlist; dovecot-keywords."""

import re
import secrets
from dataclasses import dataclass
from itertools import groupby

from mailplat.store.export.files import Held
from mailplat.store.export.picture import Folder, Message
from mailplat.store.flagsets import SYSTEM_BITS, SYSTEM_MASK
from mailplat.store.maildir import LETTERS, letters, parse_name
from mailplat.store.site import MailboxRow
from mailplat.store.uidl import split

# RFC 1939 7. The store takes no other, but a rebuild reads it from a file's name.
_UIDL = re.compile(r"[!-~]{1,70}", re.ASCII)

# A unique part that may stand in a line of dovecot-uidlist and in any file system.
_SAFE = re.compile(r"[0-9A-Za-z.]{1,160}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Keywords:
    """Which keywords get a letter: each under its own number where all fit, else those that most messages have."""

    names: list[str]  # by letter
    letters: dict[int, int]  # number of ours -> number of the letter
    dropped: list[int]  # numbers of ours, in use

    @classmethod
    def of(cls, folder: Folder) -> "Keywords":
        known = folder.book.keywords
        if len(known) <= LETTERS:
            return cls(list(known), {number: number for number in range(len(known))}, [])
        counts = folder.keyword_counts()
        order = sorted(range(len(known)), key=lambda number: (-counts[number], number))
        kept, rest = order[:LETTERS], order[LETTERS:]
        return cls(
            [known[number] for number in kept],
            {number: at for at, number in enumerate(kept)},
            sorted(number for number in rest if counts[number]),
        )

    def file(self) -> bytes:
        return "".join(f"{number} {name}\n" for number, name in enumerate(self.names)).encode()

    def information(self, mask: int) -> str:
        """The letters behind ":2,"."""
        carried = mask & SYSTEM_MASK
        for number, letter in self.letters.items():
            if mask >> (SYSTEM_BITS + number) & 1:
                carried |= 1 << (SYSTEM_BITS + letter)
        return letters(carried)


class UidList:
    """dovecot-uidlist, version 3. A line a message, by UID: its fields, then its file's name without flags.

    P  UIDL, where it is not made of UIDVALIDITY and UID (pop3_uidl_format=%v.%u)
    O  place in the list of POP3: of all messages, where one has another than that of its UID
    W  virtual size, where the octets were read"""

    def __init__(self, row: MailboxRow) -> None:
        self._head = f"3 V{row.uidvalidity} N{row.uidnext} G{secrets.token_hex(16)}\n"
        self._lines: list[tuple[str, float, str]] = []  # what is before the place, the place, and behind
        self._placed = False
        self._uniques: set[str] = set()
        self.without_uidl: list[int] = []  # those whose UIDL is none, and was left out

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, message: Message, held: Held) -> str:
        """Returns the name of its file without flags."""
        fields = [str(message.uid)]
        place = 0.0
        if message.uidl is not None:
            place, uidl = split(message.uidl)
            if _UIDL.fullmatch(uidl):
                fields.append(f"P{uidl}")
            else:
                self.without_uidl.append(message.uid)
        self._placed |= place > 0
        if held.virtual_size is not None:
            fields.append(f"W{held.virtual_size}")
        base = f"{self._unique(message)},S={held.size}"
        self._lines.append((" ".join(fields), place or message.uid, base))
        return base

    def file(self) -> bytes:
        places = sorted(place for _, place, _ in self._lines) if self._placed else []
        numbers = {place: number for number, place in enumerate(places, 1)}
        lines = (
            f"{said} O{numbers[place]} :{base}\n" if numbers else f"{said} :{base}\n"
            for said, place, base in self._lines
        )
        return "".join((self._head, *lines)).encode("ascii")

    def _unique(self, message: Message) -> str:
        """It stays ours, so that a file can be told in both places; what another program called it might be
        anything."""
        said = parse_name(message.name)
        unique = said.unique
        if not said.ours or not _SAFE.fullmatch(unique) or unique in self._uniques:
            unique = f"{max(message.internaldate, 0)}.U{message.uid}.export"
        self._uniques.add(unique)
        return unique


def uid_set(uids: list[int]) -> str:
    """As an IMAP client names them in STORE: 1:3,7."""
    pieces = []
    for _, group in groupby(enumerate(uids), key=lambda pair: pair[1] - pair[0]):
        run = [uid for _, uid in group]
        pieces.append(str(run[0]) if len(run) == 1 else f"{run[0]}:{run[-1]}")
    return ",".join(pieces)
