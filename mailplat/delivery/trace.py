"""Header fields that delivery puts on top of a message, and the loop guard that reads one of them."""

import re

from mailplat.core.address import Address
from mailplat.core.spool import Body
from mailplat.wire.smtp.address import format_path

RELAY_FIELD = "X-Mailplat-Relay"

# Where fields of ours can be: each hop adds a few hundred octets on top, so ours are within this.
HEAD_LIMIT = 256 * 1024

_RELAY = re.compile(rb"^x-mailplat-relay:[ \t]*([^;\r\n]{1,255});[ \t]*([^;\r\n]{1,255})\r?$", re.I | re.M)


def return_path(reverse_path: Address) -> bytes:
    """RFC 5321 4.4: added at final delivery, and only there."""
    return f"Return-Path: {format_path(reverse_path)}\r\n".encode()


def relay_field(hostname: str, backend: str) -> bytes:
    """Says that we gave this message to that backend."""
    return f"{RELAY_FIELD}: {hostname}; {backend}\r\n".encode()


def header_block(body: Body) -> bytes:
    """The header block with its empty line, or the first HEAD_LIMIT octets where it has no end there."""
    head = body.head(HEAD_LIMIT)
    if head.startswith(b"\r\n"):
        return b""
    end = head.find(b"\r\n\r\n")
    return head if end < 0 else head[: end + 4]


def relayed_to(body: Body, hostname: str) -> frozenset[str]:
    """Backends that this platform relayed the message to before."""
    head = header_block(body).replace(b"\r\n ", b" ").replace(b"\r\n\t", b" ")
    wanted = hostname.lower().encode()
    return frozenset(
        backend.strip().decode(errors="replace")
        for host, backend in _RELAY.findall(head)
        if host.strip().lower() == wanted
    )
