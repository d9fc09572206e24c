"""ENVELOPE: what a client shows in a list of messages (RFC 3501 7.4.2, RFC 9051 7.5.2)."""

from mailplat.wire.imap.strings import nstring, string
from mailplat.wire.mime import addresses
from mailplat.wire.mime.addresses import MailAddress
from mailplat.wire.mime.scanner import Part

# Longest string in an ENVELOPE, in octets; what is longer is cut. No list of messages shows as much, and the
# index keeps one ENVELOPE for every message. BODY[HEADER] always gives the whole field.
MAX_STRING = 16 * 1024


def render_envelope(part: Part) -> bytes:
    """The parenthesised list, ready to send. `part` is a message: a root, or the child of a message/rfc822."""
    sender = _addresses(part, b"from")
    parts = (
        _text(part, b"date"),
        _text(part, b"subject"),
        sender,
        # RFC 3501 7.4.2: absent or empty Sender and Reply-To are what From is.
        _addresses(part, b"sender", sender),
        _addresses(part, b"reply-to", sender),
        _addresses(part, b"to"),
        _addresses(part, b"cc"),
        _addresses(part, b"bcc"),
        _text(part, b"in-reply-to"),
        _text(part, b"message-id"),
    )
    return b"(%b)" % b" ".join(parts)


def _text(part: Part, name: bytes) -> bytes:
    value = part.first(name)
    return b"NIL" if value is None else string(value[:MAX_STRING])


def _addresses(part: Part, name: bytes, default: bytes = b"NIL") -> bytes:
    values = part.fields.get(name)
    if not values:
        return default
    # A field that must be there once and is there twice: clients want everybody (some mailers write a Cc for each).
    found: list[MailAddress] = []
    for value in values:
        found += addresses.parse(value)
        if len(found) >= addresses.MAX_ADDRESSES:
            break
    if not found:
        return default
    return b"(%b)" % b"".join(map(_address, found))


def _address(address: MailAddress) -> bytes:
    name, route, mailbox, host = (value if value is None else value[:MAX_STRING] for value in address)
    return b"(%b %b %b %b)" % (nstring(name), nstring(route), nstring(mailbox), nstring(host))
