"""Header blocks and structured values, read leniently: what cannot be read is skipped, nothing raises.

A block is the octets from a part's first line up to and including the empty line. A field is a line with a
colon and the lines behind it that begin with a space or a tab. Lines that are neither (an mbox "From " line, a
broken header) belong to the block and to no field.
"""

import re
from collections.abc import Collection

Fields = dict[bytes, list[bytes]]  # lower-case name -> unfolded, stripped values, in order of appearance
Parameters = tuple[
    tuple[bytes, bytes], ...
]  # lower-case names (RFC 2231: `name*`), raw values, pieces joined

# RFC 2045 sets no limit; what real mailers send is some dozen (RFC 2231 pieces). Those beyond are ignored, so
# that one header cannot blow up BODYSTRUCTURE.
MAX_PARAMETERS = 200

# Octets of one header block that are read for fields. Real ones stay below 100 KiB; a message of 50 MB without
# an empty line would be 25 million lines in memory.
MAX_HEADER = 1024 * 1024

_TOKEN = rb"[^\x00-\x20/;()<>@,\\\":?=\[\]]++"
_MEDIA_TYPE = re.compile(rb"\s*+(%b)\s*+/\s*+(%b)" % (_TOKEN, _TOKEN))
_FIRST_TOKEN = re.compile(rb"\s*+([^\s;]++)")
_PARAMETER = re.compile(rb";\s*+([^\s=;\"()]++)\s*+=\s*+(?:\"((?:[^\"\\]++|\\.)*)\"?+|([^;]*+))", re.DOTALL)
# RFC 2231 3 and 4.1: name*0, name*1*, ...; numbers without a leading zero. No parameter has more than MAX_PARAMETERS.
_PIECE = re.compile(rb"(.+)\*(0|[1-9]\d{0,3})(\*?)", re.DOTALL)
# RFC 2231 7, attribute-char: what needs no %XX.
_EXTENDED = bytes(range(0x21, 0x7F)).translate(None, b"*'%()<>@,;:\\\"/[]?=")
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_COMMENT_EDGE = re.compile(rb"\"(?:[^\"\\]++|\\.)*\"?+|\\.|[()]", re.DOTALL)


def collect(octets: bytes, start: int, end: int, wanted: Collection[bytes]) -> Fields:
    """The fields of the block octets[start:end] whose lower-case names are in `wanted`; what lies beyond
    MAX_HEADER is not looked at."""
    found: list[tuple[bytes, list[bytes]]] = []
    lines: list[bytes] | None = None  # of the field that a folded line would belong to, where it is wanted
    for line in octets[start : min(end, start + MAX_HEADER)].split(b"\n"):
        if line[:1] in _FOLD:
            if lines is not None:
                lines.append(line.rstrip(b"\r"))
            continue
        name, colon, value = line.partition(b":")
        key = name.rstrip(b" \t").lower()
        if colon and key in wanted:
            lines = [value.rstrip(b"\r")]
            found.append((key, lines))
        else:
            lines = None
    fields: Fields = {}
    for key, lines in found:
        # Unfolding takes the line ends out and leaves the white space (RFC 5322 2.2.3).
        fields.setdefault(key, []).append(b"".join(lines).strip())
    return fields


_FOLD = frozenset((b" ", b"\t"))


def media_type(value: bytes) -> tuple[bytes, bytes, Parameters] | None:
    """Content-Type as lower-case type and subtype and parameters; None where it is not one (RFC 2045 5.2: the
    part is then text/plain)."""
    if b"(" in value:
        value = without_comments(value)
    match = _MEDIA_TYPE.match(value)
    if match is None:
        return None
    return match[1].lower(), match[2].lower(), _parameters(value, match.end())


def disposition(value: bytes) -> tuple[bytes, Parameters] | None:
    """Content-Disposition (RFC 2183) as type, as it was written, and parameters; None where it is empty."""
    if b"(" in value:
        value = without_comments(value)
    match = _FIRST_TOKEN.match(value)
    if match is None:
        return None
    return match[1], _parameters(value, match.end())


def first_token(value: bytes) -> bytes:
    """The first word of a value such as Content-Transfer-Encoding, comments aside; empty where there is none."""
    if b"(" in value:
        value = without_comments(value)
    match = _FIRST_TOKEN.match(value)
    return match[1] if match else b""


def without_comments(value: bytes) -> bytes:
    """`value` with its (nested (comments)) taken out; parentheses inside quoted strings stay. An unclosed
    comment runs to the end, a closing one too many is dropped."""
    kept: list[bytes] = []
    depth = at = 0
    for match in _COMMENT_EDGE.finditer(value):
        edge = match[0]
        if edge == b"(":
            if depth == 0:
                kept.append(value[at : match.start()])
            depth += 1
        elif edge == b")":
            if depth == 0:
                kept.append(value[at : match.start()])
            else:
                depth -= 1
            at = match.end()
    if depth == 0:
        kept.append(value[at:])
    return b" ".join(kept)


def unescape(quoted: bytes) -> bytes:
    """The content of a quoted string without the backslashes of its quoted pairs."""
    return _ESCAPED.sub(rb"\1", quoted) if b"\\" in quoted else quoted


def _parameters(value: bytes, at: int) -> Parameters:
    found: list[tuple[bytes, bytes]] = []
    if value.find(b";", at) < 0:
        return ()
    for match in _PARAMETER.finditer(value, at):
        if len(found) == MAX_PARAMETERS:
            break
        name, quoted, plain = match.groups()
        found.append((name.lower(), plain.rstrip() if quoted is None else unescape(quoted)))
    if any(b"*0" in name for name, _ in found):
        return _join_pieces(found)
    return tuple(found)


def _join_pieces(found: list[tuple[bytes, bytes]]) -> Parameters:
    """RFC 2231 6: IMAP shows a parameter that came in pieces as one. It stands where its first piece stood; pieces
    behind a missing one, and pieces without a first, stay as they are."""
    pieces: dict[bytes, dict[int, tuple[bytes, bytes]]] = {}
    for name, value in found:
        if match := _PIECE.fullmatch(name):
            pieces.setdefault(match[1], {}).setdefault(int(match[2]), (name, value))
    joined: dict[bytes, tuple[bytes, bytes]] = {}  # name of a piece -> the whole parameter
    for name, numbered in pieces.items():
        run: list[tuple[bytes, bytes]] = []
        while (piece := numbered.get(len(run))) is not None:
            run.append(piece)
        extended = any(piece.endswith(b"*") for piece, _ in run)
        value = b"".join(
            octets if not extended or piece.endswith(b"*") else _percent_encode(octets)
            for piece, octets in run
        )
        joined.update((piece, (name + b"*" if extended else name, value)) for piece, _ in run)
    return tuple(dict.fromkeys(joined.get(name, (name, value)) for name, value in found))


def _percent_encode(octets: bytes) -> bytes:
    """A piece without %XX, as one of an extended value."""
    return b"".join(b"%c" % octet if octet in _EXTENDED else b"%%%02X" % octet for octet in octets)
