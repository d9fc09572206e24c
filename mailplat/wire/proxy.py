"""PROXY protocol, version 2, as HAProxy's specification has it: what a proxy says of its client before anything else.

Version 1 is not read: it is a line of text, and a client that reaches a port of ours past the proxy could say it too.
"""

import ipaddress
import struct

from mailplat.core.errors import InvalidInput
from mailplat.core.network import parse_ip

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"

# Octets of the part that is always there: signature, version and command, family, length of the rest.
FIXED = len(SIGNATURE) + 4

# Octets of addresses and extensions (TLVs) together. The specification asks a receiver for 536 in all; names and
# certificates of TLS make some hundred more.
MOST = 4096

_VERSION = 2
_LOCAL, _PROXY = 0, 1  # commands: a check by the proxy itself; a client's connection
_TCP4, _TCP6 = 0x11, 0x21  # families: addresses of these have ports


def rest(fixed: bytes) -> int:
    """How many octets follow the fixed part. Raises InvalidInput where it is none."""
    if not fixed.startswith(SIGNATURE):
        raise InvalidInput("no PROXY header of version 2")
    if fixed[12] >> 4 != _VERSION or fixed[12] & 0x0F not in (_LOCAL, _PROXY):
        raise InvalidInput(f"a PROXY header of version and command {fixed[12]:#04x}")
    (length,) = struct.unpack(">H", fixed[14:16])
    if length > MOST:
        raise InvalidInput(f"a PROXY header of {length} octets, {MOST} at most")
    return int(length)


def client(fixed: bytes, following: bytes) -> tuple[str, int] | None:
    """Address and port of the client; None where the proxy speaks for itself, or for none of TCP. Raises
    InvalidInput."""
    if fixed[12] & 0x0F == _LOCAL:
        return None
    family = fixed[13]
    if family not in (_TCP4, _TCP6):
        return None
    size = 4 if family == _TCP4 else 16
    if len(following) < 2 * size + 4:
        raise InvalidInput(f"a PROXY header whose addresses have {len(following)} octets")
    address = parse_ip(str(ipaddress.ip_address(following[:size])))
    (port,) = struct.unpack(">H", following[2 * size : 2 * size + 2])
    return str(address), int(port)
