"""SEARCH: a query as a tree of keys (RFC 3501 6.4.4; MODSEQ RFC 7162 3.1.5; OLDER and YOUNGER RFC 5032; SAVEDBEFORE
and its like RFC 8514). What it returns is in esearch.py; SORT and THREAD, which search too, in sorting.py."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import ClassVar, Literal

from mailplat.wire.imap.arguments import Arguments
from mailplat.wire.imap.errors import BadCharset, BadSyntax, UidRequired
from mailplat.wire.imap.sequence import LARGEST, Range, SequenceSet, ranges

Compare = Literal["before", "on", "since"]


@dataclass(frozen=True, slots=True)
class All:
    pass


@dataclass(frozen=True, slots=True)
class And:
    keys: tuple["Key", ...]


@dataclass(frozen=True, slots=True)
class Or:
    keys: tuple["Key", ...]


@dataclass(frozen=True, slots=True)
class Not:
    key: "Key"


@dataclass(frozen=True, slots=True)
class Numbers:
    """Sequence numbers; `bind` makes them Uids."""

    numbers: SequenceSet


@dataclass(frozen=True, slots=True)
class UidSet:
    """UIDs as the client named them; `bind` makes them Uids."""

    numbers: SequenceSet


@dataclass(frozen=True, slots=True)
class Uids:
    """UIDs in ascending ranges, ends included."""

    ranges: tuple[Range, ...]


@dataclass(frozen=True, slots=True)
class Flag:
    """A system flag in its usual spelling or a keyword, set or not."""

    name: str
    present: bool


@dataclass(frozen=True, slots=True)
class Recent:
    pass


@dataclass(frozen=True, slots=True)
class Header:
    """A field of that name (as the client wrote it) holds `text`; empty text: the field is there."""

    field: str
    text: str


@dataclass(frozen=True, slots=True)
class Text:
    """Anywhere in header or body."""

    text: str


@dataclass(frozen=True, slots=True)
class Body:
    text: str


@dataclass(frozen=True, slots=True)
class Dated:
    """By calendar day, time and zone disregarded: of the Date field where `sent`, else of INTERNALDATE."""

    sent: bool
    compare: Compare
    day: int  # datetime.date.toordinal


@dataclass(frozen=True, slots=True)
class Saved:
    """By the day, in UTC, on which the message came into this mailbox (RFC 8514 4.3)."""

    compare: Compare
    day: int  # datetime.date.toordinal


@dataclass(frozen=True, slots=True)
class Within:
    """INTERNALDATE within the last `seconds`; `older`: before (RFC 5032 3)."""

    older: bool
    seconds: int


@dataclass(frozen=True, slots=True)
class Size:
    larger: bool  # than `octets`; else smaller
    octets: int


@dataclass(frozen=True, slots=True)
class ModSeq:
    """A mod-sequence of at least this."""

    value: int


@dataclass(frozen=True, slots=True)
class EmailId:
    """The message, and its copies, with this EMAILID (RFC 8474 5.1)."""

    value: str


Key = (
    All
    | And
    | Or
    | Not
    | Numbers
    | UidSet
    | Uids
    | Flag
    | Recent
    | Header
    | Text
    | Body
    | Dated
    | Saved
    | Within
    | Size
    | ModSeq
    | EmailId
)


@dataclass(frozen=True, slots=True)
class Query:
    """What is searched for."""

    key: Key
    modseq: bool = False  # a MODSEQ key was used: the reply carries the highest mod-sequence found


def parse_query(arguments: Arguments) -> Query:
    """Keys to the end of the command, with CHARSET before them or not. Raises BadSyntax or BadCharset."""
    # Without CHARSET RFC 3501 says US-ASCII, clients send UTF-8 (RFC 9051 6.4.4).
    charset = "utf-8"
    if arguments.octets[arguments.at : arguments.at + 8].upper() == b"CHARSET ":
        if arguments.no_charset:
            raise BadSyntax("no CHARSET after ENABLE UTF8=ACCEPT")  # RFC 6855 3
        arguments.at += 8
        charset = parse_charset(arguments)
    return parse_keys(arguments, charset)


def parse_charset(arguments: Arguments) -> str:
    """A charset and the space behind it, as Python calls it. Raises BadCharset."""
    charset = _CHARSETS.get(arguments.astring().upper())
    if charset is None:
        raise BadCharset("only US-ASCII and UTF-8 are searched for")
    arguments.space()
    return charset


def parse_keys(arguments: Arguments, charset: str) -> Query:
    """Keys to the end of the command, texts in that charset."""
    return _Parser(arguments, charset).query()


def bind(key: Key, uids: Sequence[int], saved: Sequence[int] = ()) -> Key:
    """`key` with every Numbers and UidSet made Uids, against a view's UIDs in ascending order; "$" is `saved`, UIDs
    that ascend too. Raises BadSyntax for a sequence number that the view does not have."""
    return _bind(key, uids, cache(lambda: Uids(tuple(ranges(saved)))))


def _bind(key: Key, uids: Sequence[int], saved: Callable[[], Uids]) -> Key:
    match key:
        case And(keys):
            return And(tuple(_bind(each, uids, saved) for each in keys))
        case Or(keys):
            return Or(tuple(_bind(each, uids, saved) for each in keys))
        case Not(inner):
            return Not(_bind(inner, uids, saved))
        case Numbers(numbers) | UidSet(numbers) if numbers.saved:
            return saved()
        case Numbers(numbers):
            return Uids(tuple((uids[low - 1], uids[high - 1]) for low, high in numbers.numbers(len(uids))))
        case UidSet(numbers):
            last = uids[-1] if uids else 0
            merged = numbers.merged(last) if uids else []
            return Uids(tuple((low, min(high, last)) for low, high in merged if low <= last))
        case _:
            return key


# Keys that are one word.
_WORDS: dict[str, Key] = {
    "ALL": All(),
    "SAVEDATESUPPORTED": All(),  # RFC 8514 4.3: every mailbox keeps the date
    "RECENT": Recent(),
    "OLD": Not(Recent()),
    "NEW": And((Recent(), Flag("\\Seen", False))),
    **{name.upper(): Flag(f"\\{name}", True) for name in ("Answered", "Deleted", "Draft", "Flagged", "Seen")},
    **{
        f"UN{name.upper()}": Flag(f"\\{name}", False)
        for name in ("Answered", "Deleted", "Draft", "Flagged", "Seen")
    },
}
_FIELDS = ("BCC", "CC", "FROM", "SUBJECT", "TO")
_DATES: dict[str, tuple[bool, Compare]] = {
    "BEFORE": (False, "before"),
    "ON": (False, "on"),
    "SINCE": (False, "since"),
    "SENTBEFORE": (True, "before"),
    "SENTON": (True, "on"),
    "SENTSINCE": (True, "since"),
}
_SAVED: dict[str, Compare] = {"SAVEDBEFORE": "before", "SAVEDON": "on", "SAVEDSINCE": "since"}
_CHARSETS = {b"US-ASCII": "ascii", b"UTF-8": "utf-8"}


_OBJECT_ID = re.compile(r"[A-Za-z0-9_-]{1,255}")


class _Parser:
    def __init__(self, arguments: Arguments, charset: str) -> None:
        self._in = arguments
        self._charset = charset
        self._keys = 0
        self._modseq = False

    def query(self) -> Query:
        keys = [self._key(1)]
        while not self._in.at_end:
            self._in.space()
            if self._in.at_end:
                break
            keys.append(self._key(1))
        return Query(_together(keys), self._modseq)

    def _key(self, depth: int) -> Key:
        self._keys += 1
        bounds = self._in.bounds
        if self._keys > bounds.search_keys:
            raise BadSyntax(f"a search of more than {bounds.search_keys} keys")
        if depth > bounds.search_nesting:
            raise BadSyntax(f"a search nested more than {bounds.search_nesting} deep")
        if self._in.peek(b"("):
            inner = self._in.items(lambda: self._key(depth + 1), limit=bounds.search_keys, empty=False)
            return _together(inner)
        here = self._in.octets[self._in.at : self._in.at + 1]
        if here.isdigit() or here in (b"*", b"$"):
            if self._in.uid_only and here != b"$":
                raise UidRequired  # RFC 9586 3.5
            return Numbers(self._in.sequence_set())
        word = self._in.atom().decode("ascii").upper()
        if (key := _WORDS.get(word)) is not None:
            return key
        self._in.space()
        if word == "NOT":
            return Not(self._key(depth + 1))
        if word == "OR":
            left = self._key(depth + 1)
            self._in.space()
            right = self._key(depth + 1)
            return Or((left, right))
        return self._key_with_argument(word)

    def _key_with_argument(self, word: str) -> Key:
        if word in _FIELDS:
            return Header(word.capitalize(), self._text())
        if word in _DATES:
            return Dated(*_DATES[word], self._in.date())
        if word in _SAVED:
            return Saved(_SAVED[word], self._in.date())
        reader = self._READERS.get(word)
        if reader is None:
            raise BadSyntax("not a search key")
        return reader(self)

    def _header(self) -> Key:
        field = self._in.astring().decode("ascii", "replace")
        self._in.space()
        return Header(field, self._text())

    def _mod_sequence(self) -> Key:
        """RFC 7162 3.1.5: MODSEQ ["/flags/\\Seen" all] n. Ours is per message, so the entry changes nothing."""
        if self._in.peek(b'"'):
            self._in.string()
            self._in.space()
            self._in.keyword("ALL", "PRIV", "SHARED")
            self._in.space()
        self._modseq = True
        return ModSeq(self._in.number64())

    def _object_id(self) -> str:
        """RFC 8474 7."""
        value = self._in.atom().decode("ascii")
        if not _OBJECT_ID.fullmatch(value):
            raise BadSyntax("an object id expected")
        return value

    def _keyword(self) -> str:
        return self._in.keyword_of(self._in.atom().decode("ascii"))

    def _text(self) -> str:
        octets = self._in.astring()
        try:
            text = octets.decode(self._charset)
        except UnicodeDecodeError as error:
            raise BadSyntax("a search text is not in its charset") from error
        if len(text) > self._in.bounds.search_text:
            raise BadSyntax(f"a search text of more than {self._in.bounds.search_text} characters")
        return text

    _READERS: ClassVar[dict[str, Callable[["_Parser"], Key]]] = {
        "HEADER": _header,
        "KEYWORD": lambda self: Flag(self._keyword(), True),
        "UNKEYWORD": lambda self: Flag(self._keyword(), False),
        "BODY": lambda self: Body(self._text()),
        "TEXT": lambda self: Text(self._text()),
        "LARGER": lambda self: Size(True, self._in.number64()),
        "OLDER": lambda self: Within(True, self._in.number(1)),
        "YOUNGER": lambda self: Within(False, self._in.number(1)),
        "SMALLER": lambda self: Size(False, self._in.number64()),
        "UID": lambda self: UidSet(self._in.sequence_set()),
        # RFC 9738 3.2. Unlike UID n:* without the last message where it is not beyond n.
        "UIDAFTER": lambda self: Not(UidSet(SequenceSet(((1, self._in.number(1)),)))),
        "UIDBEFORE": lambda self: Not(UidSet(SequenceSet(((self._in.number(1), LARGEST),)))),
        "MODSEQ": _mod_sequence,
        "EMAILID": lambda self: EmailId(self._object_id()),
        # RFC 8474 5.2: all messages have THREADID NIL here, so that none has the one asked for.
        "THREADID": lambda self: And((EmailId(self._object_id()), Not(All()))),
    }


def _together(keys: list[Key]) -> Key:
    return keys[0] if len(keys) == 1 else And(tuple(keys))
