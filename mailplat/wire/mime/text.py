"""A message as text, for SEARCH: transfer encodings and charsets undone, case folded."""

import binascii
import re
import unicodedata
from collections.abc import Iterator

from mailplat.wire.mime.headers import MAX_HEADER, collect, first_token
from mailplat.wire.mime.scanner import Part
from mailplat.wire.mime.words import decode_charset, decode_octets, decode_words

# Octets of a message, as it is stored, that a search looks at. Ten times the text of the longest book of the
# Bible; beyond that it is data in a text part.
MAX_OCTETS = 4 * 1024 * 1024

# Characters of one header field that a search looks at.
MAX_FIELD = 64 * 1024

# UAX 15, D4: no language needs more combining marks on one letter.
_LONGEST_RUN = 30

# All characters that are, or become when decomposed, combining marks, and many that are not: marks are neither
# letters, digits nor spaces, but for the two half-width Japanese sound marks.
_MARKS = re.compile(rf"(?:[^\w\s\x00-\x7f]|[\uff9e\uff9f]){{{_LONGEST_RUN + 1},}}")

_FIELD = re.compile(rb"[^\n]*+\n(?:[ \t][^\n]*+(?:\n|\Z))*|[^\n]++")
_NOT_BASE64 = bytes(
    set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
)


def fold(text: str) -> str:
    """What is compared: upper and lower case, and the ways to write one character, are the same (the aim of
    RFC 5051, i;unicode-casemap)."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKC", _MARKS.sub(_break_run, text)).casefold()


def searchable_text(octets: bytes, part: Part, *, headers: bool, limit: int = MAX_OCTETS) -> Iterator[str]:
    """Folded text of a message, piece by piece: of text parts and of nested messages' and parts' headers;
    `headers`: of its own header too (SEARCH TEXT; without: SEARCH BODY). A phrase is found within a piece only.
    Stops when `limit` octets of the message were looked at."""
    pending = [(part, headers)]
    while pending and limit > 0:
        part, with_header = pending.pop()
        if with_header:
            end = min(part.body, part.start + min(limit, MAX_HEADER))
            yield fold(_header(octets, part.start, end))
            limit -= end - part.start
        if part.children:
            pending += [(child, True) for child in reversed(part.children)]
        elif part.type == b"text":
            end = min(part.end, part.body + limit)
            yield fold(decode_part(octets, part, end))
            limit -= end - part.body


def field_texts(octets: bytes, part: Part, name: str) -> list[str]:
    """The folded values of every field of that name in a message's own header (SEARCH HEADER)."""
    key = name.strip().lower().encode("utf-8", "replace")
    values = collect(octets, part.start, part.body, (key,)).get(key, [])
    return [fold(decode_words(value, MAX_FIELD)) for value in values]


def decode_part(octets: bytes, part: Part, end: int | None = None) -> str:
    """The text of a text part, up to offset `end` of the message."""
    content = octets[part.body : part.end if end is None else end]
    encoding = first_token(part.first(b"content-transfer-encoding") or b"").lower()
    if encoding == b"base64":
        content = decode_base64(content)
    elif encoding == b"quoted-printable":
        content = binascii.a2b_qp(content)
    for name, value in part.parameters:
        if name == b"charset":
            return decode_charset(content, value)
    return decode_octets(content)


def decode_base64(content: bytes) -> bytes:
    """RFC 2045 6.8: what is not in the alphabet is skipped; what is missing at the end is left out."""
    try:
        return binascii.a2b_base64(content)
    except binascii.Error:
        letters = content.translate(None, _NOT_BASE64)
        if len(letters) % 4 == 1:
            letters = letters[:-1]  # six bits make no octet
        return binascii.a2b_base64(letters + b"=" * (-len(letters) % 4))


def _break_run(match: re.Match[str]) -> str:
    """The Stream-Safe Text Format of UAX 15: a joiner behind every so many combining marks. Normalisation sorts
    each run of marks in quadratic time: a mail of 4 MB of them would cost hours."""
    run = match[0]
    if not any(unicodedata.combining(unicodedata.normalize("NFKD", character)[0]) for character in set(run)):
        return run  # symbols
    return "\u034f".join(run[at : at + _LONGEST_RUN] for at in range(0, len(run), _LONGEST_RUN))


def _header(octets: bytes, start: int, end: int) -> str:
    """A header block, decoded: one line a field."""
    fields = _FIELD.findall(octets[start:end])
    unfolded = (field.replace(b"\r", b"").replace(b"\n", b"") for field in fields)
    return "\n".join(decode_words(field, MAX_FIELD) for field in unfolded)
