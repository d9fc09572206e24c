"""MIME without I/O: where a message's parts are, what IMAP says of them, and their text for SEARCH.

Layout of this room
    scanner.py     `scan(octets) -> Part`: byte offsets and line counts of every part, nothing copied
    headers.py     header blocks, Content-Type, Content-Disposition
    addresses.py   address lists     words.py  RFC 2047     dates.py  Date
    envelope.py    ENVELOPE          structure.py  BODY, BODYSTRUCTURE
    sections.py    BODY[1.2.HEADER]: `span(root, section)` as offsets, `extract` as octets, `select_fields`;
                   `span_without_scan` for BODY[], BODY[HEADER], BODY[TEXT]; sections are wire.imap.fetch.Section;
                   `decodable` for BINARY   decoding.py  transfer encodings, piece by piece
    text.py        `searchable_text(octets, part, headers=...)`, `field_texts`, `fold` for SEARCH
    downgrade.py   messages with UTF-8 headers for readers without, piece by piece
    subjects.py    base subjects     collation.py  how SORT compares text     references.py  message IDs, for THREAD
    firstaddress.py  out of an ENVELOPE, for SORT
    rendering.py   `render(octets) -> Rendering`: what the index keeps, made once at append

Invariants: nothing here raises, whatever the octets, but UnknownEncoding of BINARY; every function is linear in its
input and bounded in depth, parts, addresses and string lengths (named limits in each module); what is rendered is
valid IMAP whatever the mail was. Octets are shown as they came: encoded words stay encoded in ENVELOPE, broken mail
stays broken in BODY[]. The one octet that is left out is NUL in rendered strings, which IMAP4rev1 cannot carry.
What must never happen: two parts that overlap and are not nested; a reply that a client cannot parse.
"""

from mailplat.wire.mime.envelope import render_envelope
from mailplat.wire.mime.rendering import Rendering, render
from mailplat.wire.mime.scanner import Part, scan
from mailplat.wire.mime.sections import (
    UnknownEncoding,
    extract,
    extract_from_header,
    find_part,
    select_fields,
    span,
    span_without_scan,
)
from mailplat.wire.mime.structure import render_bodystructure
from mailplat.wire.mime.text import field_texts, fold, searchable_text

__all__ = [
    "Part",
    "Rendering",
    "UnknownEncoding",
    "extract",
    "extract_from_header",
    "field_texts",
    "find_part",
    "fold",
    "render",
    "render_bodystructure",
    "render_envelope",
    "scan",
    "searchable_text",
    "select_fields",
    "span",
    "span_without_scan",
]
