"""The first address of a field, out of a rendered ENVELOPE: what SORT compares (RFC 5256 3, RFC 5957).

The index keeps ENVELOPE; its address structures are what both RFCs speak of, groups included.
"""

import re
from collections.abc import Iterator
from typing import Literal

from mailplat.wire.mime.addresses import MailAddress
from mailplat.wire.mime.headers import unescape
from mailplat.wire.mime.words import decode_octets, decode_words

Field = Literal["from", "to", "cc"]

# Places in an ENVELOPE (RFC 3501 7.4.2).
_PLACES: dict[Field, int] = {"from": 2, "to": 5, "cc": 6}

_STRING = rb'(?:NIL|"(?:[^"\\]++|\\.)*+")'
_ADDRESS = rb"\((?:%b ){3}%b\)" % (_STRING, _STRING)
_LIST = rb"(?:NIL|\((?:%b)++\))" % _ADDRESS
# Without literals, as nearly all are: found in one match, the field's list captured.
_PLAIN: dict[Field, re.Pattern[bytes]] = {
    field: re.compile(rb"\((?:%b ){2}(?:%b ){%d}(%b)" % (_STRING, _LIST, place - 2, _LIST))
    for field, place in _PLACES.items()
}
_FOUR = re.compile(rb"\(\((%b) (%b) (%b) (%b)\)" % ((_STRING,) * 4))
_TOKEN = re.compile(rb'(?P<parenthesis>[()])|(?P<string>NIL|"(?:[^"\\]++|\\.)*+")|\{(?P<size>\d+)\}\r\n| ')


def first_address(envelope: bytes, field: Field) -> MailAddress | None:
    """None where there is none. A group's beginning is an address: its name as mailbox, host None. `envelope` is of
    envelope.render_envelope."""
    found = _PLAIN[field].match(envelope)
    if found is None:
        return _among_literals(envelope, _PLACES[field])
    four = _FOUR.match(found[1])
    return None if four is None else MailAddress(*map(_value, four.groups()))


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


def _among_literals(envelope: bytes, place: int) -> MailAddress | None:
    """The same, read token by token."""
    depth = at = 0
    strings: list[bytes | None] = []
    for kind, value in _tokens(envelope):
        if kind == "(":
            depth += 1
        elif kind == ")":
            depth -= 1
            at += depth == 1
        elif depth == 1:
            at += 1
        elif depth == 3 and at == place:
            strings.append(value)
            if len(strings) == 4:
                return MailAddress(*strings)
        if at > place:
            return None
    return None


def _tokens(envelope: bytes) -> Iterator[tuple[str, bytes | None]]:
    at = 0
    while found := _TOKEN.match(envelope, at):
        at = found.end()
        if found["parenthesis"]:
            yield found["parenthesis"].decode("ascii"), None
        elif found["size"]:
            at += int(found["size"])
            yield "string", envelope[found.end() : at]
        elif found["string"]:
            yield "string", _value(found["string"])
