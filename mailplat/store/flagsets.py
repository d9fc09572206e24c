r"""Flags as numbers: a message's set of flags is a bit mask, and a mailbox numbers the masks that it has seen.

Bits 0 to 4 are the system flags, bit 5+n is the mailbox's keyword number n. A mask without keywords is its own
number (0 to 31); the others have rows in `flagset`. Neither a keyword's number nor a set's ever changes its
meaning, so what was read once may be kept.
"""

import threading
from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence

from sqlalchemy.engine import Connection

from mailplat.core.errors import InvalidInput, LimitReached
from mailplat.store.types import SYSTEM_FLAGS, StoreLimits

ANSWERED, FLAGGED, DELETED, SEEN, DRAFT = (1 << bit for bit in range(5))
SYSTEM_BITS = 5
SYSTEM_MASK = (1 << SYSTEM_BITS) - 1
FIRST_ROW = SYSTEM_MASK + 1

# Mailboxes whose keywords and sets a process remembers.
_BOOKS = 2000

_SYSTEM = {name.casefold(): 1 << bit for bit, name in enumerate(SYSTEM_FLAGS)}
_RECENT = "\\recent"

# RFC 3501 9, flag-keyword = atom: no controls, space, or ( ) { % * " \ ]
_FORBIDDEN = frozenset('(){%*"\\]')


def split_flags(flags: Collection[str], limit: int) -> tuple[int, list[str]]:
    r"""System flags as a mask, and the keywords in the order given, each once. \Recent is dropped.
    Raises InvalidInput for another system flag or what is no keyword."""
    mask = 0
    keywords: dict[str, str] = {}
    for flag in flags:
        folded = flag.casefold()
        if folded in _SYSTEM:
            mask |= _SYSTEM[folded]
        elif folded != _RECENT:
            _check_keyword(flag, limit)
            keywords.setdefault(folded, flag)
    return mask, list(keywords.values())


def _check_keyword(flag: str, limit: int) -> None:
    if len(flag) > limit:
        raise LimitReached(f"a keyword of {len(flag)} characters; the limit is {limit}")
    if not flag or not all(" " < char < "\x7f" and char not in _FORBIDDEN for char in flag):
        raise InvalidInput(f"{flag!r} is no flag")


class Book:
    """What is known of one mailbox's keywords and sets. Filled only from committed rows."""

    __slots__ = ("_flags", "keywords", "masks", "numbers", "sets")

    def __init__(self, keywords: Sequence[str] = (), sets: Iterable[tuple[int, int]] = ()) -> None:
        self.keywords = tuple(keywords)
        self.numbers = {name.casefold(): number for number, name in enumerate(self.keywords)}
        self.masks = dict(sets)  # id -> mask
        self.sets = {mask: number for number, mask in self.masks.items()}
        self._flags: dict[int, tuple[str, ...]] = {}

    def knows(self, number: int) -> bool:
        return number < FIRST_ROW or number in self.masks

    def mask(self, number: int) -> int:
        return number if number < FIRST_ROW else self.masks[number]

    def flags(self, number: int) -> tuple[str, ...]:
        """The names of a set, by its number; always the same object for the same number."""
        known = self._flags.get(number)
        if known is None:
            known = self._flags.setdefault(number, self.names(self.mask(number)))
        return known

    def names(self, mask: int) -> tuple[str, ...]:
        return name_flags(mask, self.keywords)


def name_flags(mask: int, keywords: Sequence[str]) -> tuple[str, ...]:
    names = [name for bit, name in enumerate(SYSTEM_FLAGS) if mask >> bit & 1]
    names += [name for bit, name in enumerate(keywords, SYSTEM_BITS) if mask >> bit & 1]
    return tuple(names)


class Library:
    """The books of a shard."""

    def __init__(self) -> None:
        self._books: OrderedDict[int, Book] = OrderedDict()
        self._lock = threading.Lock()

    def book(self, connection: Connection, mailbox_id: int, sets: Iterable[int] = ()) -> Book:
        """A book that knows `sets`. `connection` reads; what it sees is committed."""
        with self._lock:
            book = self._books.get(mailbox_id)
            if book is not None:
                self._books.move_to_end(mailbox_id)
        if book is None or not all(map(book.knows, sets)):
            book = read_book(connection, mailbox_id)
            with self._lock:
                self._books[mailbox_id] = book
                self._books.move_to_end(mailbox_id)
                while len(self._books) > _BOOKS:
                    self._books.popitem(last=False)
        return book

    def remembered(self, mailbox_id: int) -> Book | None:
        with self._lock:
            return self._books.get(mailbox_id)

    def forget_one(self, mailbox_id: int) -> None:
        with self._lock:
            self._books.pop(mailbox_id, None)

    def forget(self) -> None:
        with self._lock:
            self._books.clear()


def read_book(connection: Connection, mailbox_id: int) -> Book:
    keywords = connection.exec_driver_sql(
        "SELECT name FROM keyword WHERE mailbox_id = ? ORDER BY number", (mailbox_id,)
    ).fetchall()
    sets = connection.exec_driver_sql("SELECT id, mask FROM flagset WHERE mailbox_id = ?", (mailbox_id,))
    return Book([name for (name,) in keywords], [(number, int(mask, 16)) for number, mask in sets])


class Numbering:
    """Numbers for masks and keywords inside one write transaction: known ones from the book, new ones as rows.
    What it makes is in no book before it is committed."""

    def __init__(
        self, connection: Connection, library: Library, mailbox_id: int, limits: StoreLimits
    ) -> None:
        self._connection = connection
        self._mailbox_id = mailbox_id
        self._limits = limits
        self._library = library
        self._book = library.remembered(mailbox_id) or Book()
        self._fresh = False

    def mask_of(self, flags: Collection[str], *, create: bool = True) -> int:
        """Raises LimitReached when the mailbox has too many keywords; with `create` False unknown keywords are
        left out."""
        mask, keywords = split_flags(flags, self._limits.keyword)
        for name in keywords:
            number = self._book.numbers.get(name.casefold())
            if number is None:
                self._refresh()
                number = self._book.numbers.get(name.casefold())
            if number is None and create:
                number = self._add_keyword(name)
            if number is not None:
                mask |= 1 << (SYSTEM_BITS + number)
        return mask

    def number_of(self, mask: int) -> int:
        if mask < FIRST_ROW:
            return mask
        number = self._book.sets.get(mask)
        if number is None:
            self._refresh()
            number = self._book.sets.get(mask)
        return self._add_set(mask) if number is None else number

    def mask(self, number: int) -> int:
        if not self._book.knows(number):
            self._refresh()
        return self._book.mask(number)

    def flags(self, number: int) -> tuple[str, ...]:
        if not self._book.knows(number):
            self._refresh()
        return self._book.flags(number)

    def keywords(self) -> tuple[str, ...]:
        self._refresh()
        return self._book.keywords

    def _refresh(self) -> None:
        if not self._fresh:
            self._book = read_book(self._connection, self._mailbox_id)  # private: may hold our own rows
            self._fresh = True

    def _add_keyword(self, name: str) -> int:
        number = len(self._book.keywords)
        if number >= self._limits.keywords:
            raise LimitReached(f"the mailbox has {number} keywords, no more can be added")
        self._connection.exec_driver_sql(
            "INSERT INTO keyword (mailbox_id, number, name) VALUES (?, ?, ?)",
            (self._mailbox_id, number, name),
        )
        self._connection.exec_driver_sql("UPDATE mailbox SET described = 0 WHERE id = ?", (self._mailbox_id,))
        self._book = Book((*self._book.keywords, name), self._book.masks.items())
        return number

    def _add_set(self, mask: int) -> int:
        number = FIRST_ROW + len(self._book.masks)  # none is ever removed
        self._connection.exec_driver_sql(
            "INSERT INTO flagset (mailbox_id, id, mask) VALUES (?, ?, ?)",
            (self._mailbox_id, number, format(mask, "x")),
        )
        self._book.masks[number] = mask  # the book is our own: _refresh came before
        self._book.sets[mask] = number
        return number
