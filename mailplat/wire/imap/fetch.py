"""FETCH: what a client wants of each message (RFC 3501 6.4.5, RFC 7162 3.1.4)."""

import re
from dataclasses import dataclass
from enum import Enum

from mailplat.wire.imap.arguments import Arguments
from mailplat.wire.imap.errors import BadSyntax
from mailplat.wire.imap.sequence import SequenceSet
from mailplat.wire.imap.strings import astring

# Items in one FETCH. Clients ask for ten; parts of a large message one by one perhaps for a hundred.
MAX_FETCH_ITEMS = 200

# Levels of a part number. The scanner looks no deeper than 100 (wire.mime.scanner.MAX_DEPTH).
MAX_PATH = 128


class Item(Enum):
    """The items that are one word; the value is the word, in requests and replies."""

    FLAGS = "FLAGS"
    UID = "UID"
    INTERNALDATE = "INTERNALDATE"
    SIZE = "RFC822.SIZE"
    ENVELOPE = "ENVELOPE"
    BODY = "BODY"
    BODYSTRUCTURE = "BODYSTRUCTURE"
    MODSEQ = "MODSEQ"


class Text(Enum):
    """What of a part a section names; the value is the word between the brackets."""

    ALL = ""
    HEADER = "HEADER"
    FIELDS = "HEADER.FIELDS"
    FIELDS_NOT = "HEADER.FIELDS.NOT"
    TEXT = "TEXT"
    MIME = "MIME"


@dataclass(frozen=True, slots=True)
class Section:
    """BODY[1.2.HEADER.FIELDS (From To)]<0.100> and its short names RFC822, RFC822.HEADER, RFC822.TEXT."""

    path: tuple[int, ...]
    text: Text
    fields: tuple[bytes, ...] = ()  # as the client wrote them
    offset: int = 0
    length: int | None = None  # octets from offset; None: to the end
    peek: bool = False  # does not set \Seen
    label: bytes = b""  # what the reply calls it, with the offset where a length was given


@dataclass(frozen=True, slots=True)
class FetchProgram:
    numbers: SequenceSet
    items: tuple[Item | Section, ...]  # without duplicates, in the order asked
    changed_since: int | None = None
    vanished: bool = False  # RFC 7162 3.2.6; only after ENABLE QRESYNC

    @property
    def sets_seen(self) -> bool:
        return any(isinstance(item, Section) and not item.peek for item in self.items)


_FAST = (Item.FLAGS, Item.INTERNALDATE, Item.SIZE)
_MACROS: dict[bytes, tuple[Item, ...]] = {
    b"FAST": _FAST,
    b"ALL": (*_FAST, Item.ENVELOPE),
    b"FULL": (*_FAST, Item.ENVELOPE, Item.BODY),
}
_ITEMS = {item.value.encode("ascii"): item for item in Item}
# RFC 3501 6.4.5: RFC822.HEADER is BODY.PEEK[HEADER] by another name, the other two set \Seen.
_SHORT = {
    b"RFC822": Section((), Text.ALL, label=b"RFC822"),
    b"RFC822.HEADER": Section((), Text.HEADER, peek=True, label=b"RFC822.HEADER"),
    b"RFC822.TEXT": Section((), Text.TEXT, label=b"RFC822.TEXT"),
}
_NAME = re.compile(rb"[A-Za-z0-9.]++")
_PATH = re.compile(rb"[1-9]\d{0,9}(?:\.[1-9]\d{0,9})*")
_TEXT = re.compile(rb"(?:HEADER(?:\.FIELDS(?:\.NOT)?)?|TEXT|MIME)(?=[\] ])", re.IGNORECASE)
_PARTIAL = re.compile(rb"<(\d{1,10})\.(\d{1,10})>")


def parse_fetch(arguments: Arguments) -> FetchProgram:
    """The arguments of FETCH and UID FETCH. Raises BadSyntax."""
    arguments.space()
    numbers = arguments.sequence_set()
    arguments.space()
    items = _items(arguments)
    changed_since, vanished = _modifiers(arguments)
    arguments.end()
    return FetchProgram(numbers, tuple(dict.fromkeys(items)), changed_since, vanished)


def _items(arguments: Arguments) -> list[Item | Section]:
    if arguments.peek(b"("):
        return arguments.items(lambda: _item(arguments), limit=MAX_FETCH_ITEMS, empty=False)
    start = arguments.at
    macro = _MACROS.get(arguments.atom().upper())
    if macro is not None:
        return list(macro)
    arguments.at = start
    return [_item(arguments)]


def _item(arguments: Arguments) -> Item | Section:
    match = _NAME.match(arguments.octets, arguments.at)
    if match is None:
        raise BadSyntax("a FETCH item expected")
    name = match[0].upper()
    arguments.at = match.end()
    if arguments.peek(b"["):
        if name not in (b"BODY", b"BODY.PEEK"):
            raise BadSyntax("only BODY and BODY.PEEK take a section")
        return _section(arguments, peek=name == b"BODY.PEEK")
    found = _ITEMS.get(name) or _SHORT.get(name)
    if found is None:
        raise BadSyntax("not a FETCH item")
    return found


def _section(arguments: Arguments, peek: bool) -> Section:
    arguments.expect(b"[")
    path: tuple[int, ...] = ()
    spelled = b""
    text = Text.ALL
    fields: tuple[bytes, ...] = ()
    if match := _PATH.match(arguments.octets, arguments.at):
        spelled = match[0]
        if spelled.count(b".") >= MAX_PATH:
            raise BadSyntax(f"a part number of more than {MAX_PATH} levels")
        path = tuple(map(int, spelled.split(b".")))
        arguments.at = match.end()
    if not path or arguments.take(b"."):
        text = _text(arguments, required=bool(path))
        spelled += (b"." if path else b"") + text.value.encode("ascii")
    if text is Text.MIME and not path:
        raise BadSyntax("MIME needs a part number")
    if text in (Text.FIELDS, Text.FIELDS_NOT):
        arguments.space()
        fields = tuple(arguments.items(arguments.astring, empty=False))
        # Written anew: the client may have sent `{4+}`, which no server may send.
        spelled += b" (%b)" % b" ".join(map(astring, fields))
    arguments.expect(b"]")
    offset, length = _partial(arguments)
    label = b"BODY[%b]" % spelled + (b"" if length is None else b"<%d>" % offset)
    return Section(path, text, fields, offset, length, peek, label)


def _text(arguments: Arguments, required: bool) -> Text:
    match = _TEXT.match(arguments.octets, arguments.at)
    if match is None:
        if required or not arguments.peek(b"]"):
            raise BadSyntax("a section such as HEADER, TEXT or 1.2 expected")
        return Text.ALL
    arguments.at = match.end()
    return Text(match[0].decode("ascii").upper())


def _partial(arguments: Arguments) -> tuple[int, int | None]:
    if not arguments.peek(b"<"):
        return 0, None
    match = _PARTIAL.match(arguments.octets, arguments.at)
    if match is None or int(match[2]) == 0:
        raise BadSyntax("a range such as <0.1024> expected")
    arguments.at = match.end()
    return int(match[1]), int(match[2])


def _modifiers(arguments: Arguments) -> tuple[int | None, bool]:
    """RFC 4466 2.4: (CHANGEDSINCE n [VANISHED]), each once, in either order."""
    if arguments.at_end:
        return None, False
    arguments.space()
    if arguments.at_end:
        return None, False
    changed_since: int | None = None
    vanished = False

    def one() -> None:
        nonlocal changed_since, vanished
        if arguments.keyword("CHANGEDSINCE", "VANISHED") == "VANISHED":
            vanished = True
            return
        if changed_since is not None:
            raise BadSyntax("CHANGEDSINCE twice")
        arguments.space()
        changed_since = arguments.number64()

    arguments.items(one, empty=False)
    if vanished and changed_since is None:
        raise BadSyntax("VANISHED needs CHANGEDSINCE")
    return changed_since, vanished
