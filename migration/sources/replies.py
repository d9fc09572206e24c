"""What an IMAP server says, as values (RFC 3501 7). No I/O.

A response is its text pieces and its literals in turn: [text, literal, text, ...]. Parsers here walk the grammar
and do not search for words: a keyword that somebody called "UID" is a keyword.
"""

import calendar
import functools
import re
from collections.abc import Iterator, Sequence

from mailplat.core.spool import Body
from migration.errors import Misbehaviour
from migration.sources.contract import Listed, Status

Literal = bytes | Body
Response = Sequence[bytes | Body]

# Nested lists in what we ask for are at most two deep; more is an attack on our stack.
MAX_DEPTH = 8

# UIDs, UIDVALIDITY and numbers of messages have 32 bits (RFC 3501 9), MODSEQs and sizes 63 (RFC 7162 7, RFC 9051 9).
MAX_UID = 2**32 - 1
MAX_NUMBER = 2**63 - 1

_FETCH = re.compile(rb"\* (\d+) FETCH \(", re.IGNORECASE)
_ITEM = re.compile(
    rb' ?(?:UID (\d{1,19})|FLAGS \(([^()"]*)\)|MODSEQ \((\d{1,19})\)|RFC822\.SIZE (\d{1,19})'
    rb'|INTERNALDATE "([^"]*)"|(BODY\[\]) |(\)))',
    re.IGNORECASE,
)
# What a scan is answered with nearly always; anything else takes the way that knows the whole grammar.
_SCANNED = re.compile(
    rb"\* \d+ FETCH \(UID (\d{1,19}) FLAGS \(([^()\"]*)\)(?: MODSEQ \((\d{1,19})\))?"
    rb"(?: RFC822\.SIZE (\d{1,19}) INTERNALDATE \"([^\"]*)\")?\)"
)
# The same of a copy.
_FETCHED = re.compile(
    rb"\* \d+ FETCH \(UID (\d{1,19}) FLAGS \(([^()\"]*)\)(?: MODSEQ \((\d{1,19})\))?"
    rb" INTERNALDATE \"([^\"]*)\" BODY\[\] \{\d+\+?\}"
)
_QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*)"')
_NIL = re.compile(rb"NIL", re.IGNORECASE)
_TOKEN = re.compile(rb' *(?:(\()|(\))|"((?:[^"\\]|\\.)*)"|(\{\d+\+?\}\Z)|([^ ()"]+))')
_DATE = re.compile(rb" ?(\d{1,2}-[A-Za-z]{3}-\d{4}) (\d\d):(\d\d):(\d\d) ([+-]\d{4})\Z")
_MONTHS = {name: number for number, name in enumerate(calendar.month_abbr) if name}
_LITERAL_MARK = re.compile(rb"\{\d+\+?\}\Z")

Token = bytes | list["Token"]


def first(response: Response) -> bytes:
    """The text that a response begins with."""
    assert isinstance(response[0], bytes)
    return response[0]


def is_fetch(response: Response) -> bool:
    return _FETCH.match(first(response)) is not None


def parse_fetch(response: Response) -> tuple[Listed, Literal | None]:
    """A FETCH response and its BODY[], None where it has none. A UID of 0 says that none was given. Raises
    Misbehaviour for an item that was not asked for."""
    text = first(response)
    if len(response) == 1 and (scanned := _SCANNED.fullmatch(text)) is not None:
        uid_, flags_, modseq_, size_, date_ = scanned.groups()
        when, zone = parse_date(date_) if date_ else (None, 0)
        modseq, size = int(modseq_) if modseq_ else None, int(size_) if size_ else None
        return _bounded(Listed(int(uid_), parse_flags(flags_), modseq, size, when, zone)), None
    if len(response) == 3 and response[2] == b")" and (fetched := _FETCHED.fullmatch(text)) is not None:
        uid_, flags_, modseq_, date_ = fetched.groups()
        when, zone = parse_date(date_)
        modseq = int(modseq_) if modseq_ else None
        return _bounded(Listed(int(uid_), parse_flags(flags_), modseq, None, when, zone)), response[1]
    return _parse_items(response, text)


def _bounded(listed: Listed) -> Listed:
    """Raises Misbehaviour for numbers that no database and no client of ours can have."""
    if listed.uid > MAX_UID or (listed.modseq or 0) > MAX_NUMBER or (listed.size or 0) > MAX_NUMBER:
        raise Misbehaviour(f"UID {listed.uid} with MODSEQ {listed.modseq} and {listed.size} octets")
    return listed


def _parse_items(response: Response, text: bytes) -> tuple[Listed, Literal | None]:
    start = _FETCH.match(text)
    if start is None:
        raise Misbehaviour(f"not a FETCH response: {text[:80]!r}")
    at, piece = start.end(), 0
    uid, size, date, zone = 0, None, None, 0
    modseq: int | None = None
    flags: tuple[str, ...] = ()
    body: Literal | None = None
    while True:
        item = _ITEM.match(text, at)
        if item is None:
            raise Misbehaviour(f"a FETCH response with {text[at : at + 80]!r}")
        at, kind = item.end(), item.lastindex
        if kind == 1:
            uid = int(item[1])
        elif kind == 2:
            flags = parse_flags(item[2])
        elif kind == 3:
            modseq = int(item[3])
        elif kind == 4:
            size = int(item[4])
        elif kind == 5:
            date, zone = parse_date(item[5])
        elif kind == 6:
            body, text, at, piece = _take_body(response, text, at, piece)
        else:
            return _bounded(Listed(uid, flags, modseq, size, date, zone)), body


def _take_body(
    response: Response, text: bytes, at: int, piece: int
) -> tuple[Literal | None, bytes, int, int]:
    """The string at `at`; and the text, place and piece behind it."""
    if _LITERAL_MARK.match(text, at):
        body, rest = response[piece + 1], response[piece + 2]
        assert isinstance(rest, bytes)
        return body, rest, 0, piece + 2
    if (quoted := _QUOTED.match(text, at)) is not None:
        return unquote(quoted[1]), text, quoted.end(), piece
    if (nil := _NIL.match(text, at)) is not None:
        return None, text, nil.end(), piece
    raise Misbehaviour(f"BODY[] is {text[at : at + 40]!r}")


@functools.lru_cache(maxsize=4096)
def parse_flags(text: bytes) -> tuple[str, ...]:
    r"""Without \Recent, which belongs to a session and not to a message (RFC 3501 2.3.2)."""
    names = text.decode("utf-8", "backslashreplace").split()
    return tuple(name for name in names if name.casefold() != "\\recent")


def parse_date(text: bytes) -> tuple[int, int]:
    """INTERNALDATE (RFC 3501 9, date-time) as Unix seconds and minutes east of UTC."""
    found = _DATE.match(text)
    if found is None:
        raise Misbehaviour(f"INTERNALDATE {text[:60]!r}")
    zone = _zone(found[5])
    clock = int(found[2]) * 3600 + int(found[3]) * 60 + int(found[4])
    return _midnight(found[1]) + clock - zone * 60, zone


@functools.lru_cache(maxsize=4096)
def _midnight(text: bytes) -> int:
    day, name, year = text.decode().split("-")
    month = _MONTHS.get(name.capitalize())
    if month is None or not 1 <= int(day) <= 31:
        raise Misbehaviour(f"INTERNALDATE with {text!r}")
    try:
        return calendar.timegm((int(year), month, int(day), 0, 0, 0))
    except ValueError as error:  # year 0
        raise Misbehaviour(f"INTERNALDATE with {text!r}") from error


@functools.lru_cache(maxsize=64)
def _zone(text: bytes) -> int:
    minutes = int(text[1:3]) * 60 + int(text[3:])
    return -minutes if text[:1] == b"-" else minutes


def unquote(text: bytes) -> bytes:
    return re.sub(rb"\\(.)", rb"\1", text) if b"\\" in text else text


def tokens(response: Response, start: int = 0, *, depth: int = MAX_DEPTH) -> list[Token]:
    """Everything from `start` of the first text on: atoms and strings as bytes, lists as lists, at most `depth` deep.
    Raises Misbehaviour."""
    top: list[Token] = []
    stack: list[list[Token]] = [top]
    for number, piece in enumerate(response):
        if number % 2:
            stack[-1].append(piece.octets() if isinstance(piece, Body) else piece)
            continue
        assert isinstance(piece, bytes)
        for kind, value in _walk(piece, start if number == 0 else 0):
            if kind == 1:
                if len(stack) > depth:
                    raise Misbehaviour("lists too deep")
                inner: list[Token] = []
                stack[-1].append(inner)
                stack.append(inner)
            elif kind == 2:
                if len(stack) == 1:
                    raise Misbehaviour(f"a parenthesis too many: {piece[:80]!r}")
                stack.pop()
            elif kind == 3:
                stack[-1].append(unquote(value))
            elif kind == 5:
                stack[-1].append(value)
    return top


def _walk(text: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    text = text.rstrip(b" ")
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None or found.lastindex is None:
            raise Misbehaviour(f"unreadable: {text[at : at + 80]!r}")
        yield found.lastindex, found[found.lastindex]
        at = found.end()


def parse_list(response: Response) -> tuple[frozenset[str], bytes, bytes]:
    """LIST and LSUB (RFC 3501 7.2.2): attributes in lower case, the separator ("" for NIL), the name as is."""
    items = tokens(response, 2)
    if len(items) < 4 or not isinstance(items[1], list):
        raise Misbehaviour(f"unreadable LIST: {response[0]!r:.120}")
    _, attributes, separator, name = items[:4]
    if not isinstance(separator, bytes) or not isinstance(name, bytes):
        raise Misbehaviour(f"unreadable LIST: {response[0]!r:.120}")
    lowered = frozenset(
        each.decode("ascii", "replace").casefold() for each in attributes if isinstance(each, bytes)
    )
    return lowered, b"" if separator.upper() == b"NIL" else separator, name


def parse_acl(response: Response) -> tuple[bytes, list[tuple[str, str]]]:
    """ACL (RFC 4314 3.6): the mailbox, and identifiers with their rights. Raises Misbehaviour."""
    items = tokens(response, 2)
    strings = [each for each in items if isinstance(each, bytes)]
    if len(strings) != len(items) or len(items) < 2 or len(items) % 2:
        raise Misbehaviour(f"unreadable ACL: {response[0]!r:.120}")
    texts = [each.decode("utf-8", "backslashreplace") for each in strings[2:]]
    return strings[1], list(zip(texts[::2], texts[1::2], strict=True))


def number(text: bytes) -> int:
    """Raises ValueError for what is none of RFC 3501 9: a sign, an underscore, more than 63 bits."""
    if not isinstance(text, bytes) or not text.isdigit() or len(text) > 19 or int(text) > MAX_NUMBER:
        raise ValueError(f"{text!r:.40} is no number")
    return int(text)


def _mailbox(uidvalidity: int, uidnext: int, messages: int, modseq: int) -> Status:
    """Courier and others say 0 where they do not know; 0 is no UID and no MODSEQ. Raises Misbehaviour."""
    if max(uidvalidity, messages) > MAX_UID or uidnext > MAX_UID + 1:
        raise Misbehaviour(f"UIDVALIDITY {uidvalidity}, UIDNEXT {uidnext}, {messages} messages")
    return Status(uidvalidity, uidnext or None, messages, modseq or None)


def parse_status_items(response: Response) -> dict[bytes, int]:
    """The numbers of a STATUS response (RFC 3501 7.2.4), by their names in upper case. Raises Misbehaviour."""
    return _status(response)[1]


def _status(response: Response) -> tuple[bytes, dict[bytes, int]]:
    items = tokens(response, 2)
    if len(items) != 3 or not isinstance(items[1], bytes) or not isinstance(items[2], list):
        raise Misbehaviour(f"unreadable STATUS: {response[0]!r:.120}")
    values = items[2]
    try:
        numbers = {
            bytes(name).upper(): number(value)  # type: ignore[arg-type]
            for name, value in zip(values[::2], values[1::2], strict=True)
        }
    except (ValueError, TypeError) as error:
        raise Misbehaviour(f"unreadable STATUS: {response[0]!r:.120}") from error
    return items[1], numbers


def parse_status(response: Response) -> tuple[bytes, Status]:
    """STATUS (RFC 3501 7.2.4). Raises Misbehaviour where UIDVALIDITY or MESSAGES is missing."""
    name, numbers = _status(response)
    uidnext, modseq = numbers.get(b"UIDNEXT", 0), numbers.get(b"HIGHESTMODSEQ", 0)
    try:
        return name, _mailbox(numbers[b"UIDVALIDITY"], uidnext, numbers[b"MESSAGES"], modseq)
    except KeyError as error:
        raise Misbehaviour(f"unreadable STATUS: {response[0]!r:.120}") from error


_CODE = re.compile(rb"\* OK \[(UIDVALIDITY|UIDNEXT|HIGHESTMODSEQ|NOMODSEQ)(?: (\d+))?\]", re.IGNORECASE)
_EXISTS = re.compile(rb"\* (\d+) EXISTS", re.IGNORECASE)


def parse_opening(responses: Sequence[Response]) -> Status:
    """What SELECT or EXAMINE said (RFC 3501 6.3.1, RFC 7162 3.1.2)."""
    numbers: dict[bytes, int] = {}
    exists: int | None = None
    for response in responses:
        text = first(response)
        if (code := _CODE.match(text)) is not None:
            numbers[code[1].upper()] = _said(code[2] or b"0")
        elif (found := _EXISTS.match(text)) is not None:
            exists = _said(found[1])
    if exists is None or not numbers.get(b"UIDVALIDITY"):
        raise Misbehaviour("a mailbox was opened without EXISTS or UIDVALIDITY")
    modseq = 0 if b"NOMODSEQ" in numbers else numbers.get(b"HIGHESTMODSEQ", 0)
    return _mailbox(numbers[b"UIDVALIDITY"], numbers.get(b"UIDNEXT", 0), exists, modseq)


def _said(text: bytes) -> int:
    """Raises Misbehaviour."""
    try:
        return number(text)
    except ValueError as error:
        raise Misbehaviour(str(error)) from error


def uid_set(uids: Sequence[int]) -> bytes:
    """A sequence set of ranges (RFC 3501 9). `uids` must not be empty."""
    ordered = sorted(uids)
    ranges: list[list[int]] = [[ordered[0], ordered[0]]]
    for uid in ordered[1:]:
        if uid <= ranges[-1][1] + 1:
            ranges[-1][1] = uid
        else:
            ranges.append([uid, uid])
    return b",".join(b"%d" % low if low == high else b"%d:%d" % (low, high) for low, high in ranges)
