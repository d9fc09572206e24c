"""What a proxy in front says (PROXY protocol, version 2)."""

import ipaddress
import struct

from mailplat.wire import proxy


def header(address: str, port: int = 4321, *, command: int = 0x21, more: bytes = b"") -> bytes:
    parsed = ipaddress.ip_address(address)
    addresses = parsed.packed + ipaddress.ip_address("::1" if parsed.version == 6 else "127.0.0.1").packed
    rest = addresses + struct.pack(">HH", port, 25) + more
    family = 0x21 if parsed.version == 6 else 0x11
    return proxy.SIGNATURE + bytes([command, family]) + struct.pack(">H", len(rest)) + rest
