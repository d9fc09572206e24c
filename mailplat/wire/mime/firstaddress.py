"""The first address of a field, out of a rendered ENVELOPE: what SORT compares (RFC 5256 3, RFC 5957).

The index keeps ENVELOPE; its address structures are what both RFCs speak of, groups included.
"""

import re
from typing import Literal

from mailplat.wire.mime.addresses import MailAddress
from mailplat.wire.mime.headers import unescape
from mailplat.wire.mime.words import decode_octets, decode_words

Field = Literal["from", "to", "cc"]

# Places in an ENVELOPE (RFC 3501 7.4.2).
_PLACES: dict[Field, int] = {"from": 2, "to": 5, "cc": 6}

_STRING = rb'(?:NIL|"(?:[^"\\]++|\\.)*")'
_ADDRESS = rb"\((?:%b ){3}%b\)" % (_STRING, _STRING)
_LIST = rb"(?:NIL|\((?:%b)+\))" % _ADDRESS
# The field's list, captured, in one match.
_FIELDS: dict[Field, re.Pattern[bytes]] = {
    field: re.compile(rb"\((?:%b ){2}(?:%b ){%d}(%b)" % (_STRING, _LIST, place - 2, _LIST))
    for field, place in _PLACES.items()
}
_FIRST = re.compile(rb"\(\((%b) (%b) (%b) (%b)\)" % ((_STRING,) * 4))
_LITERAL = re.compile(rb"\{(\d+)\}\r\n")


def first_address(envelope: bytes, field: Field) -> MailAddress | None:
    """None where there is none. A group's beginning is an address: its name as mailbox, host None. `envelope` is of
    envelope.render_envelope. Linear."""
    if b"\r\n" in envelope:
        envelope = _without_literals(envelope)
    found = _FIELDS[field].match(envelope)
    first = None if found is None else _FIRST.match(found[1])
    return None if first is None else MailAddress(*map(_value, first.groups()))


def mailbox_text(address: MailAddress | None) -> str:
    """The criteria FROM, TO and CC (RFC 5256 3): addr-mailbox."""
    return "" if address is None else decode_octets(address.mailbox or b"")


def display_text(address: MailAddress | None) -> str:
    """The criteria DISPLAYFROM and DISPLAYTO (RFC 5957 3): the name, decoded; without one the address."""
    if address is None:
        return ""
    name = decode_words(address.name or b"")
    if name or not address.mailbox:
        return name
    mailbox = decode_octets(address.mailbox)
    return mailbox if address.host is None else f"{mailbox}@{decode_octets(address.host)}"


def _value(said: bytes) -> bytes | None:
    return None if said == b"NIL" else unescape(said[1:-1])


def _without_literals(envelope: bytes) -> bytes:
    """Literals as quoted strings, whatever is in them. No quoted string of ours holds CR LF, so what looks like the
    beginning of a literal is one."""
    pieces: list[bytes] = []
    at = 0
    while found := _LITERAL.search(envelope, at):
        end = found.end() + int(found[1])
        value = envelope[found.end() : end].replace(b"\\", b"\\\\").replace(b'"', b'\\"')
        pieces += (envelope[at : found.start()], b'"', value, b'"')
        at = end
    return b"".join((*pieces, envelope[at:]))
