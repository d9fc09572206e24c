"""The Received field that we put on top of each message (RFC 5321 4.4, RFC 3848, RFC 6531 4.3)."""

import ipaddress
import secrets
from email.utils import formatdate

from mailplat.core.address import Address
from mailplat.core.envelope import Peer
from mailplat.core.errors import InvalidInput
from mailplat.wire.smtp.address import format_path, parse_path

# RFC 5322 2.1.1: lines should have at most 78 characters; a field is folded between its clauses.
_FOLD = "\r\n\t"


def new_id(now: float) -> str:
    """Names one message in Received, in our reply and in the log. Sorts by time; 64 random bits make it
    unique without asking anybody."""
    return f"{int(now * 1000):011x}{secrets.token_hex(8)}"


def received_field(
    peer: Peer, hostname: str, protocol: str, message_id: str, recipient: Address | None, now: float
) -> bytes:
    """The whole field with its CRLF. `recipient` only where the message has just one: a list would tell each
    of them about blind copies (RFC 5321 7.6). UTF-8 appears only in a message sent with SMTPUTF8."""
    by = f"by {hostname} with {protocol}"
    if peer.tls:
        by += f" ({peer.tls})"
    clauses = [f"Received: from {_origin(peer)}", by, f"id {message_id}"]
    if recipient is not None:
        clauses.append(f"for {format_path(recipient)}")
    date = formatdate(now, localtime=False).replace("-0000", "+0000")
    return f"{_FOLD.join(clauses)};{_FOLD}{date}\r\n".encode()


def protocol_name(peer: Peer, *, lmtp: bool, utf8: bool) -> str:
    """The "with" keyword, from IANA's registry of mail transmission types."""
    if not lmtp and not peer.esmtp:
        return "SMTP"
    name = ("UTF8" if utf8 else "") + ("LMTP" if lmtp else "SMTP" if utf8 else "ESMTP")
    return name + ("S" if peer.tls else "") + ("A" if peer.account else "")


def presentable(octets: bytes, limit: int) -> str:
    """What a client called itself, safe to log and to write into a field: printable ASCII, at most `limit`
    characters."""
    return "".join(chr(octet) if 32 < octet < 127 else "?" for octet in octets[:limit])


def _origin(peer: Peer) -> str:
    address = _tcp_info(peer.address)
    try:
        parse_path(f"<x@{peer.helo}>".encode(), utf8=False, null_ok=True)
    except InvalidInput:
        return f"{address} ({address})"
    return f"{peer.helo} ({address})"


def _tcp_info(address: str) -> str:
    try:
        return f"[IPv6:{address}]" if ipaddress.ip_address(address).version == 6 else f"[{address}]"
    except ValueError:
        return "localhost"  # a Unix socket
