"""BODY and BODYSTRUCTURE of a scanned message (RFC 3501 7.4.2)."""

from mailplat.wire.imap.strings import nstring, string
from mailplat.wire.mime.envelope import MAX_STRING, render_envelope
from mailplat.wire.mime.headers import MAX_PARAMETERS, Parameters, disposition, first_token, without_comments
from mailplat.wire.mime.scanner import Part


def render_bodystructure(part: Part, extensible: bool) -> bytes:
    """The parenthesised list, ready to send: BODYSTRUCTURE where `extensible`, else BODY."""
    return render_both(part)[extensible]


def render_both(part: Part) -> tuple[bytes, bytes]:
    """(BODY, BODYSTRUCTURE) in one walk. Its depth is bounded by the scanner's MAX_DEPTH."""
    if part.is_multipart:
        return _multipart(part)
    encoding = part.first(b"content-transfer-encoding")
    basic = b'"%b" "%b" %b %b %b %b %d' % (
        part.type.translate(_QUOTABLE),
        part.subtype.translate(_QUOTABLE),
        _parameters(part.parameters, charset_default=part.type == b"text"),
        _text(part, b"content-id"),
        _text(part, b"content-description"),
        string((first_token(encoding) if encoding else b"")[:MAX_STRING] or b"7bit"),  # RFC 2045 6.1
        part.size,
    )
    extension = b"%b %b" % (_text(part, b"content-md5"), _extension(part))
    if part.holds_message:
        child = part.children[0]
        envelope = render_envelope(child)
        body, structure = render_both(child)
        return (
            b"(%b %b %b %d)" % (basic, envelope, body, part.lines),
            b"(%b %b %b %d %b)" % (basic, envelope, structure, part.lines, extension),
        )
    if part.type == b"text":
        basic = b"%b %d" % (basic, part.lines)
    return b"(%b)" % basic, b"(%b %b)" % (basic, extension)


def _multipart(part: Part) -> tuple[bytes, bytes]:
    bodies, structures = zip(*map(render_both, part.children), strict=True)
    subtype = part.subtype.translate(_QUOTABLE)
    return (
        b'(%b "%b")' % (b"".join(bodies), subtype),
        b'(%b "%b" %b %b)' % (b"".join(structures), subtype, _parameters(part.parameters), _extension(part)),
    )


def _extension(part: Part) -> bytes:
    """body-fld-dsp, body-fld-lang and body-fld-loc."""
    value = part.first(b"content-disposition")
    shown = disposition(value) if value else None
    place = b"NIL"
    if shown is not None:
        place = b"(%b %b)" % (string(shown[0][:MAX_STRING].lower()), _parameters(shown[1]))
    return b"%b %b %b" % (
        place,
        _languages(part.first(b"content-language")),
        _text(part, b"content-location"),
    )


def _languages(value: bytes | None) -> bytes:
    """RFC 3282: a list of language tags."""
    if value is None:
        return b"NIL"
    tags = [tag.strip() for tag in without_comments(value).split(b",")]
    shown = [string(tag[:MAX_STRING]) for tag in tags[:MAX_PARAMETERS] if tag]
    return b"(%b)" % b" ".join(shown) if shown else b"NIL"


def _parameters(parameters: Parameters, charset_default: bool = False) -> bytes:
    shown = [string(name[:MAX_STRING]) + b" " + string(value[:MAX_STRING]) for name, value in parameters]
    if charset_default and not any(name == b"charset" for name, _ in parameters):
        shown.append(b'"charset" "us-ascii"')  # RFC 2045 5.2
    return b"(%b)" % b" ".join(shown) if shown else b"NIL"


def _text(part: Part, name: bytes) -> bytes:
    value = part.first(name)
    return nstring(value[:MAX_STRING] if value else None)


# Media types go as quoted strings always: clients compare them without looking for literals. An octet that no
# token may have (RFC 2045 5.1) becomes "?".
_QUOTABLE = bytes(octet if 32 < octet < 127 and octet not in b'"\\' else ord("?") for octet in range(256))
