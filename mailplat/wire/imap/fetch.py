"""FETCH: what a client wants of each message (RFC 3501 6.4.5; RFC 7162 3.1.4, 3516, 8474 5, 8514, 8970, 9394 3.4)."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import TypedDict

from mailplat.wire.imap.arguments import Arguments
from mailplat.wire.imap.errors import BadSyntax
from mailplat.wire.imap.sequence import SequenceSet
from mailplat.wire.imap.strings import astring


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
    PREVIEW = "PREVIEW"
    EMAILID = "EMAILID"
    THREADID = "THREADID"
    SAVEDATE = "SAVEDATE"


class Form(Enum):
    """How a section is wanted."""

    RAW = "BODY"  # octets of the message
    DECODED = "BINARY"  # without transfer encoding (RFC 3516 4.2)
    DECODED_SIZE = "BINARY.SIZE"  # only how many octets that would be


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
    """BODY[1.2.HEADER.FIELDS (From To)]<0.100> and its short names RFC822, RFC822.HEADER, RFC822.TEXT; BINARY[1.2]
    and BINARY.SIZE[1.2], where offset and length count decoded octets."""

    path: tuple[int, ...]
    text: Text
    fields: tuple[bytes, ...] = ()  # as the client wrote them
    offset: int = 0
    length: int | None = None  # octets from offset; None: to the end
    peek: bool = False  # does not set \Seen
    label: bytes = b""  # what the reply calls it, with the offset where a length was given
    form: Form = Form.RAW


@dataclass(frozen=True, slots=True)
class FetchProgram:
    numbers: SequenceSet
    items: tuple[Item | Section, ...]  # without duplicates, in the order asked
    changed_since: int | None = None
    vanished: bool = False  # RFC 7162 3.2.6; only after ENABLE QRESYNC
    lazy: bool = False  # PREVIEW (LAZY): only what is there already (RFC 8970 3.1)
    # RFC 9394: of the messages named, the first to the second; negative: counted from the last.
    partial: tuple[int, int] | None = None

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
_BRACKETS = {
    b"BODY": (Form.RAW, False),
    b"BODY.PEEK": (Form.RAW, True),
    b"BINARY": (Form.DECODED, False),
    b"BINARY.PEEK": (Form.DECODED, True),
    b"BINARY.SIZE": (Form.DECODED_SIZE, True),  # RFC 3516 4.2: reads nothing to anybody
}
_NAME = re.compile(rb"[A-Za-z0-9.]++")
_LAZY = re.compile(rb" \(LAZY(?: LAZY)*\)", re.IGNORECASE)
_PAGE = re.compile(rb"(-?)(\d{1,10}):(-?)(\d{1,10})")
_PATH = re.compile(rb"[1-9]\d{0,9}(?:\.[1-9]\d{0,9})*")
_TEXT = re.compile(rb"(?:HEADER(?:\.FIELDS(?:\.NOT)?)?|TEXT|MIME)(?=[\] ])", re.IGNORECASE)
_PARTIAL = re.compile(rb"<(\d{1,10})\.(\d{1,10})>")


def parse_fetch(arguments: Arguments) -> FetchProgram:
    """The arguments of FETCH and UID FETCH. Raises BadSyntax."""
    arguments.space()
    numbers = arguments.sequence_set()
    arguments.space()
    lazy = False
    start = arguments.at
    if not arguments.peek(b"(") and (macro := _MACROS.get(arguments.atom().upper())):
        items: tuple[Item | Section, ...] = macro
    else:
        arguments.at = start
        items, lazy = parse_items(arguments)
    modifiers = _modifiers(arguments)
    arguments.end()
    return FetchProgram(numbers, items, lazy=lazy, **modifiers)


def parse_items(arguments: Arguments) -> tuple[tuple[Item | Section, ...], bool]:
    """One item, or some in parentheses, without duplicates; and whether PREVIEW is LAZY. Raises BadSyntax."""
    lazy = False

    def item() -> Item | Section:
        nonlocal lazy
        found = _item(arguments)
        # RFC 8970 3.1. In `FETCH 1 PREVIEW (CHANGEDSINCE 9)` the parentheses are of the command.
        if found is Item.PREVIEW and (modifier := _LAZY.match(arguments.octets, arguments.at)):
            arguments.at = modifier.end()
            lazy = True
        return found

    if arguments.peek(b"("):
        items = arguments.items(item, limit=arguments.bounds.fetch_items, empty=False)
    else:
        items = [item()]
    unique = tuple(dict.fromkeys(items))
    _check_readings(unique, arguments.bounds.part_readings)
    return unique, lazy


def _check_readings(items: Iterable[Item | Section], most: int) -> None:
    """A line of 8 KB could ask for a part of 50 MB to be decoded, or a header of that size to be gone through, two
    hundred times, for an octet of it each."""
    sections = [item for item in items if isinstance(item, Section)]
    decoded = Counter(section.path for section in sections if section.form is not Form.RAW)
    if max(decoded.values(), default=0) > most:
        raise BadSyntax(f"more than {most} BINARY sections of one part")
    chosen = Counter(section.path for section in sections if section.text in (Text.FIELDS, Text.FIELDS_NOT))
    if max(chosen.values(), default=0) > most:
        raise BadSyntax(f"more than {most} HEADER.FIELDS sections of one header")


def _item(arguments: Arguments) -> Item | Section:
    match = _NAME.match(arguments.octets, arguments.at)
    if match is None:
        raise BadSyntax("a FETCH item expected")
    name = match[0].upper()
    arguments.at = match.end()
    if arguments.peek(b"["):
        if name not in _BRACKETS:
            raise BadSyntax("only BODY and BINARY take a section")
        form, peek = _BRACKETS[name]
        return _section(arguments, peek) if form is Form.RAW else _binary(arguments, form, peek)
    found = _ITEMS.get(name) or _SHORT.get(name)
    if found is None:
        raise BadSyntax("not a FETCH item")
    return found


def _path(arguments: Arguments) -> tuple[int, ...]:
    match = _PATH.match(arguments.octets, arguments.at)
    if match is None:
        return ()
    if match[0].count(b".") >= arguments.bounds.part_levels:
        raise BadSyntax(f"a part number of more than {arguments.bounds.part_levels} levels")
    arguments.at = match.end()
    return tuple(map(int, match[0].split(b".")))


def _section(arguments: Arguments, peek: bool) -> Section:
    arguments.expect(b"[")
    path = _path(arguments)
    spelled = _spell(path)
    text = Text.ALL
    fields: tuple[bytes, ...] = ()
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


def _binary(arguments: Arguments, form: Form, peek: bool) -> Section:
    """RFC 3516 7: section-binary has part numbers only."""
    arguments.expect(b"[")
    path = _path(arguments)
    arguments.expect(b"]")
    offset, length = _partial(arguments) if form is Form.DECODED else (0, None)
    label = b"%b[%b]" % (form.value.encode("ascii"), _spell(path))
    label += b"" if length is None else b"<%d>" % offset
    return Section(path, Text.ALL, (), offset, length, peek, label, form)


def _spell(path: tuple[int, ...]) -> bytes:
    return b".".join(b"%d" % number for number in path)


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


class _Modifiers(TypedDict, total=False):
    changed_since: int
    vanished: bool
    partial: tuple[int, int]


def _modifiers(arguments: Arguments) -> _Modifiers:
    """RFC 4466 2.4: (CHANGEDSINCE n [VANISHED]) (PARTIAL 1:100), each once, in any order."""
    found: _Modifiers = {}

    def one() -> None:
        name = arguments.keyword("CHANGEDSINCE", "VANISHED", "PARTIAL")
        if name == "VANISHED":
            found["vanished"] = True
        elif name == "PARTIAL":
            if "partial" in found:
                raise BadSyntax("PARTIAL twice")
            arguments.space()
            found["partial"] = _page(arguments)
        else:
            if "changed_since" in found:
                raise BadSyntax("CHANGEDSINCE twice")
            arguments.space()
            found["changed_since"] = arguments.number64()

    if arguments.take(b" ") and not arguments.at_end:
        arguments.items(one, empty=False)
    if found.get("vanished") and "changed_since" not in found:
        raise BadSyntax("VANISHED needs CHANGEDSINCE")
    return found


def _page(arguments: Arguments) -> tuple[int, int]:
    """RFC 9394 4, partial-range: 1:100, or -1:-100 from the end; the lower of the two first in either order."""
    match = _PAGE.match(arguments.octets, arguments.at)
    if match is None or match[1] != match[3] or not (int(match[2]) and int(match[4])):
        raise BadSyntax("a range such as 1:100 or -1:-100 expected")
    arguments.at = match.end()
    near, far = sorted((int(match[2]), int(match[4])))
    return (-near, -far) if match[1] else (near, far)
