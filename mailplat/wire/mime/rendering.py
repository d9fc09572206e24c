"""What the index keeps of each message, made once, when it is appended."""

import base64
import hashlib
from dataclasses import dataclass

from mailplat.wire.mime.dates import parse_date
from mailplat.wire.mime.envelope import render_envelope
from mailplat.wire.mime.preview import preview
from mailplat.wire.mime.scanner import Part, scan
from mailplat.wire.mime.structure import render_both
from mailplat.wire.mime.words import decode_words

# Characters of a decoded field that the index keeps for SEARCH; a longer one is searched in the message itself
# by whoever must be exact.
SEARCHABLE_CHARACTERS = 1000

# Octets of a Message-ID that are kept. RFC 5322 allows a line of 998.
_LONGEST_MESSAGE_ID = 998


@dataclass(frozen=True, slots=True)
class Rendering:
    envelope: bytes  # IMAP ENVELOPE, parenthesised list, ready to send
    body: bytes  # BODY (non-extensible), ready to send
    bodystructure: bytes  # BODYSTRUCTURE, ready to send
    header_size: int  # octets of the header block, the empty line included
    subject: str  # decoded (RFC 2047), like the next four: for SEARCH, at most SEARCHABLE_CHARACTERS each
    from_: str
    to: str
    cc: str
    bcc: str
    message_id: str
    sent: int | None  # Date: as Unix seconds, None where it cannot be read
    sent_day: int | None  # ordinal of Date:'s own calendar day, zone disregarded (SENTON, RFC 3501 6.4.4)
    preview: str | None  # its first words (RFC 8970); None: to be made later
    email_id: str  # EMAILID (RFC 8474 5.1)


def render(octets: bytes, *, with_preview: bool = True) -> Rendering:
    """Never raises, whatever the octets are; linear in their number. A preview is a sixth of the work."""
    digest = email_id(octets)  # first: of a mapped file the scan drops each page that it has looked at
    part = scan(octets)
    body, structure = render_both(part)
    sent, day = parse_date(part.first(b"date") or b"")
    return Rendering(
        envelope=render_envelope(part),
        body=body,
        bodystructure=structure,
        header_size=part.body - part.start,
        subject=_text(part, b"subject"),
        from_=_text(part, b"from"),
        to=_text(part, b"to"),
        cc=_text(part, b"cc"),
        bcc=_text(part, b"bcc"),
        message_id=(part.first(b"message-id") or b"")[:_LONGEST_MESSAGE_ID].decode("ascii", "replace"),
        sent=sent,
        sent_day=day,
        preview=preview(octets, part) if with_preview else None,
        email_id=digest,
    )


def email_id(octets: bytes) -> str:
    """EMAILID (RFC 8474 5.1): a digest of the octets, so that copies have the same wherever they are, and a message
    keeps it through a rebuild, a move to another shard or platform, and a restore. 160 bits: who makes two messages
    with one digest on purpose needs 2**80 tries. Of letters of one case, as RFC 8474 7 advises."""
    digest = hashlib.blake2b(octets, digest_size=20).digest()
    return f"M{base64.b32encode(digest).decode('ascii').lower()}"


def _text(part: Part, name: bytes) -> str:
    values = part.fields.get(name)
    return decode_words(b", ".join(values), SEARCHABLE_CHARACTERS) if values else ""
