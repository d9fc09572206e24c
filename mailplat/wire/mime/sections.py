"""BODY[section] of a message: which octets it is (RFC 3501 6.4.5, RFC 9051 6.4.5.1); BINARY[section] (RFC 3516).

Every section but HEADER.FIELDS is one stretch of the message, so that `span` answers with offsets and a part of
it, <o.n>, is read without the rest. What a message does not have is None, in a reply NIL.
"""

import re
from collections.abc import Collection
from functools import lru_cache

from mailplat.wire.imap.fetch import Form, Section, Text
from mailplat.wire.imap.strings import literal, literal8
from mailplat.wire.mime.decoding import Decoder, Identity, decode, decoder_of, window
from mailplat.wire.mime.scanner import Part

Span = tuple[int, int]  # offsets into the message, end excluded

_FIELD = re.compile(rb"[^\n]*+\n(?:[ \t][^\n]*+(?:\n|\Z))*|[^\n]++")
_EMPTY_END = re.compile(rb"(?:\n|\A)(\r?\n)\Z")
_LONGEST_END = 3  # octets that _EMPTY_END looks at: LF CR LF


def span_without_scan(section: Section, size: int, header_size: int) -> Span | None:
    """The octets of sections that need no look at the structure: BODY[], BODY[HEADER], BODY[TEXT] and their
    other names, for a message of `size` octets. None: the section needs `span` or `select_fields`."""
    if section.path:
        return None
    whole = {Text.ALL: (0, size), Text.HEADER: (0, header_size), Text.TEXT: (header_size, size)}
    found = whole.get(section.text)
    return None if found is None else _partial(found, section)


def span(root: Part, section: Section) -> Span | None:
    """The octets of a section, its <offset.length> applied; None where the message has no such part. Of
    HEADER.FIELDS and HEADER.FIELDS.NOT the whole header block, nothing applied: see `select_fields`."""
    part = find_part(root, section.path)
    if part is None:
        return None
    if section.text is Text.ALL:
        return _partial((part.body, part.end) if section.path else (part.start, part.end), section)
    if section.text is Text.MIME:
        return _partial((part.start, part.body), section)
    if section.path:
        if not part.holds_message:
            return None  # RFC 3501 6.4.5: HEADER and TEXT are for messages
        part = part.children[0]
    if section.text is Text.TEXT:
        return _partial((part.body, part.end), section)
    if section.text is Text.HEADER:
        return _partial((part.start, part.body), section)
    return part.start, part.body


class UnknownEncoding(Exception):
    """The part has a transfer encoding that nobody knows (RFC 3516 4.3, UNKNOWN-CTE)."""


def extract(octets: bytes, root: Part, section: Section) -> bytes | None:
    """The section's octets; None where the message has no such part. Raises UnknownEncoding for BINARY."""
    if section.form is not Form.RAW:
        source = decodable(root, section)
        if source is None:
            return None
        (start, end), decoder = source
        return b"".join(window(decode((octets[start:end],), decoder), section.offset, section.length))
    found = span(root, section)
    if found is None:
        return None
    chosen = octets[found[0] : found[1]]
    return extract_from_header(chosen, section) if takes_fields(section) else chosen


def part_of_content(content: bytes | None, section: Section) -> bytes | None:
    """The <offset.length> of a BINARY section, of the whole content."""
    if content is None or (not section.offset and section.length is None):
        return content
    end = len(content) if section.length is None else section.offset + section.length
    return content[section.offset : end]


def decodable(root: Part, section: Section) -> tuple[Span, Decoder] | None:
    """The body that BINARY[section] decodes, and with what; None where the message has no such part. Raises
    UnknownEncoding."""
    part = find_part(root, section.path)
    if part is None:
        return None
    if not section.path:
        return (part.start, part.end), Identity()  # a message has no encoding of its own (RFC 2045 6.4)
    decoder = decoder_of(part)
    if decoder is None:
        raise UnknownEncoding
    return (part.body, part.end), decoder


def takes_fields(section: Section) -> bool:
    """HEADER.FIELDS and HEADER.FIELDS.NOT: the one kind of section that is no stretch of the message."""
    return section.text in (Text.FIELDS, Text.FIELDS_NOT)


def extract_from_header(header: bytes, section: Section) -> bytes:
    """HEADER.FIELDS and HEADER.FIELDS.NOT of a header block, with their <offset.length>."""
    names = {name.lower() for name in section.fields}
    chosen = select_fields(header, names, invert=section.text is Text.FIELDS_NOT)
    start, end = _partial((0, len(chosen)), section)
    return chosen[start:end]


def render_value(section: Section, value: bytes | None) -> bytes:
    """What the reply says of it; None is a part that the message has not, or that cannot be decoded."""
    if section.form is Form.DECODED_SIZE:
        return b"%d" % len(value or b"")  # RFC 3516 7: a number always
    if value is None:
        return b"NIL"
    return literal(value) if section.form is Form.RAW else literal8(value)


def select_fields(header: bytes, names: Collection[bytes], *, invert: bool) -> bytes:
    """Of a header block the fields whose lower-case names are in `names` (are not, where `invert`), as they
    are, and the empty line, where the block has one (RFC 3501 6.4.5)."""
    end = _EMPTY_END.search(header, max(0, len(header) - _LONGEST_END))
    fields = header[: end.start(1)] if end else header
    chosen = _others(fields, names) if invert else _named(frozenset(names)).findall(fields)
    return b"".join((*chosen, end[1] if end else b""))


def _others(fields: bytes, names: Collection[bytes]) -> list[bytes]:
    """The stretches between the fields of these names: few, where a hostile header has millions of fields."""
    stretches: list[bytes] = []
    start = 0
    for match in _FIELD.finditer(fields):
        if match[0].partition(b":")[0].rstrip(b" \t").lower() in names:
            stretches.append(fields[start : match.start()])
            start = match.end()
    return [stretch for stretch in (*stretches, fields[start:]) if stretch]


@lru_cache(maxsize=256)
def _named(names: frozenset[bytes]) -> re.Pattern[bytes]:
    """Finds the fields of these names. A mail reader asks for the same ten of every message."""
    either = b"|".join(re.escape(name) for name in sorted(names))
    return re.compile(
        rb"^(?![ \t])(?:%b)[ \t]*+:[^\n]*+(?:\n(?:[ \t][^\n]*+(?:\n|\Z))*|\Z)" % either, re.I | re.M
    )


def find_part(root: Part, path: Collection[int]) -> Part | None:
    """The part with a number such as (1, 2); the root for (). Parts of a multipart count from 1; a message that
    is no multipart has one part, its body; a message/rfc822 part is numbered through, as the message in it."""
    part, is_message = root, True
    for number in path:
        if not part.is_multipart and not is_message and part.holds_message:
            part, is_message = part.children[0], True
        if part.is_multipart:
            if not 0 < number <= len(part.children):
                return None
            part = part.children[number - 1]
        elif not is_message or number != 1:
            return None
        is_message = False
    return part


def _partial(whole: Span, section: Section) -> Span:
    """RFC 3501 6.4.5: what lies beyond the end is left out; nothing is left of an offset beyond it."""
    start, end = whole
    start = min(start + section.offset, end)
    return start, end if section.length is None else min(start + section.length, end)
