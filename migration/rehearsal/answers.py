"""Answers in a normal form: values by key. Two servers may say the same in another order, quote what the other sends
as a literal, and write names of flags, types and capabilities in another case: none of that is a difference.

What belongs to the session and not to the mailbox is left out: \\Recent and RECENT (RFC 3501 2.3.2), \\Marked and
\\Unmarked (7.2.2).
"""

import re
from collections.abc import Callable, Mapping, Sequence

from mailplat.core.spool import Body
from migration.errors import Misbehaviour
from migration.rehearsal.structure import Structure, parse_structure
from migration.sources import replies
from migration.sources.replies import Response, Token

# Of lists within lists: a message of as many parts within parts as servers take apart.
DEPTH = 500

Answer = Mapping[str, object]
Reader = Callable[[Sequence[Response]], Answer]

_NIL = b"NIL"
_TRANSIENT = frozenset({b"\\marked", b"\\unmarked"})
_CODE = re.compile(rb"\* OK \[([A-Z-]+)(?: ([^\]]*))?\]", re.IGNORECASE)
_KEPT_CODES = frozenset(
    {b"UIDVALIDITY", b"UIDNEXT", b"UNSEEN", b"HIGHESTMODSEQ", b"PERMANENTFLAGS", b"NOMODSEQ"}
)
_THREAD = re.compile(rb"\(+(\d+)")


def _named(responses: Sequence[Response], name: bytes) -> list[list[Token]]:
    """The tokens behind the name of each of these responses."""
    found = []
    for each in responses:
        if replies.first(each)[2:].upper().split(b" ")[0] == name:
            found.append(replies.tokens(each, 2, depth=DEPTH)[1:])
    return found


def text(value: Token) -> str:
    if not isinstance(value, bytes):
        raise Misbehaviour(f"a list where a word was expected: {value!r:.120}")
    return value.decode("utf-8", "backslashreplace")


def capability(responses: Sequence[Response]) -> Answer:
    return {text(each).upper(): True for words in _named(responses, b"CAPABILITY") for each in words}


def namespace(responses: Sequence[Response]) -> Answer:
    """RFC 2342 5. Prefix and separator; extensions are not looked at."""
    kinds = ("personal", "other users", "shared")
    found: dict[str, object] = {}
    for items in _named(responses, b"NAMESPACE"):
        for kind, spaces in zip(kinds, items, strict=False):
            pairs = (
                [each[:2] for each in spaces if isinstance(each, list)] if isinstance(spaces, list) else []
            )
            found[kind] = pairs
    return found


def listing(name: bytes) -> Reader:
    """LIST or LSUB: by name, separator and attributes."""

    def read(responses: Sequence[Response]) -> Answer:
        found: dict[str, object] = {}
        for items in _named(responses, name):
            if len(items) < 3 or not isinstance(items[0], list):
                raise Misbehaviour(f"unreadable {name.decode()}: {items!r:.120}")
            attributes = {each.lower() for each in items[0] if isinstance(each, bytes)} - _TRANSIENT
            shown = text(items[2])
            found["INBOX" if shown.upper() == "INBOX" else shown] = (
                text(items[1]),
                frozenset(each.decode("ascii", "backslashreplace") for each in attributes),
            )
        return found

    return read


def status(responses: Sequence[Response]) -> Answer:
    for items in _named(responses, b"STATUS"):
        values = items[1] if len(items) > 1 else []
        if isinstance(values, list):
            return {
                text(key).upper(): int(text(value))
                for key, value in zip(values[::2], values[1::2], strict=True)
            }
    return {}


def opening(responses: Sequence[Response]) -> Answer:
    """EXAMINE: EXISTS, FLAGS and response codes."""
    found: dict[str, object] = {}
    for each in responses:
        line = replies.first(each)
        code = _CODE.match(line)
        if line.upper().endswith(b" EXISTS"):
            found["EXISTS"] = int(line.split()[1])
        elif line[:8].upper() == b"* FLAGS ":
            found["FLAGS"] = _flags(line[line.index(b"(") + 1 : line.rindex(b")")])
        elif code is not None and code[1].upper() in _KEPT_CODES:
            name, value = code[1].upper().decode(), code[2] or b""
            found[name] = _flags(value.strip(b"()")) if name == "PERMANENTFLAGS" else int(value or 0)
    return found


def _flags(octets: bytes) -> frozenset[str]:
    r"""System flags whatever their case, keywords as they are; without \Recent."""
    words = octets.decode("utf-8", "backslashreplace").split()
    return frozenset(
        each.lower() if each.startswith("\\") else each for each in words if each.lower() != "\\recent"
    )


def found_uids(name: bytes) -> Reader:
    """SEARCH: which, in no order (RFC 3501 7.2.5); each UID is a key."""

    def read(responses: Sequence[Response]) -> Answer:
        return {
            text(each): True for items in _named(responses, name) for each in items if text(each).isdigit()
        }

    return read


def sorted_uids(responses: Sequence[Response]) -> Answer:
    """SORT: the order is the answer."""
    return {"order": [int(text(each)) for items in _named(responses, b"SORT") for each in items]}


def threads(responses: Sequence[Response]) -> Answer:
    """THREAD (RFC 5256 4): by the first UID of each thread, whose branches stand in the order in which they came."""
    found: dict[str, object] = {}
    for each in responses:
        line = replies.first(each)
        if line[:9].upper() == b"* THREAD ":
            for thread in _top_level(line[9:]):
                begins = _THREAD.match(thread)
                found[begins[1].decode() if begins else ""] = thread.decode("ascii", "backslashreplace")
    return found


def _top_level(line: bytes) -> list[bytes]:
    found, depth, start = [], 0, 0
    for at, octet in enumerate(line):
        if octet == ord("("):
            if not depth:
                start = at
            depth += 1
        elif octet == ord(")"):
            depth -= 1
            if not depth:
                found.append(line[start : at + 1])
    return found


def fetched(value: Callable[[Token], object]) -> Reader:
    """UID FETCH of one item: by UID."""

    def read(responses: Sequence[Response]) -> Answer:
        found: dict[str, object] = {}
        for each in responses:
            items = replies.tokens(each, 2, depth=DEPTH)
            if len(items) == 3 and items[1] in (b"FETCH", b"fetch") and isinstance(items[2], list):
                uid, rest = _uid(items[2])
                if uid and rest:
                    found[uid] = value(rest[-1])
        return found

    return read


def _uid(items: list[Token]) -> tuple[str, list[Token]]:
    """The UID, which stands before or behind the item (RFC 3501 6.4.8: a UID FETCH has it), and the rest; "" where it
    is not: that is news, and no answer."""
    for at in (0, len(items) - 2):
        if at >= 0 and items[at] in (b"UID", b"uid"):
            return text(items[at + 1]), items[:at] + items[at + 2 :]
    return "", []


def flags(value: Token) -> frozenset[str]:
    return (
        _flags(b" ".join(each for each in value if isinstance(each, bytes)))
        if isinstance(value, list)
        else frozenset()
    )


def number(value: Token) -> int:
    return int(text(value))


def octets(value: Token) -> bytes:
    """A section. One that is not there is NIL, or empty: a client shows nothing."""
    return value if isinstance(value, bytes) and value.upper() != _NIL else b""


def instant(value: Token) -> tuple[int, int]:
    """INTERNALDATE: Unix seconds, and the zone in which it is shown."""
    return replies.parse_date(value if isinstance(value, bytes) else b"")


_ENVELOPE = ("date", "subject", "from", "sender", "reply-to", "to", "cc", "bcc", "in-reply-to", "message-id")


def envelope(value: Token) -> dict[str, Token]:
    """By the names of its fields (RFC 3501 7.4.2)."""
    fields = value if isinstance(value, list) else []
    return dict(zip(_ENVELOPE, fields, strict=False))


def structure(value: Token) -> Structure:
    return parse_structure(value)


def let_go(responses: Sequence[Response]) -> None:
    """Literals that lie in files."""
    for each in responses:
        for part in each:
            if isinstance(part, Body):
                part.close()
