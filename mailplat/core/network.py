"""Addresses and networks of peers."""

import ipaddress
from collections.abc import Iterable

# Bits that one customer of a provider has to himself: RFC 6177 gives a site at least a /64, and /24 is the smallest
# network of IPv4 that is routed on its own.
_NETWORK_BITS = {4: 24, 6: 64}


def parse_ip(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An IPv4 address in IPv6 clothes is one of IPv4; None for what is no address ("" for a Unix socket)."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])  # a zone is no part of who it is
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return mapped or parsed


def network_of(address: str) -> str:
    """ "192.0.2.0/24", "2001:db8::/64". What is no address is a network of its own."""
    parsed = parse_ip(address)
    if parsed is None:
        return address
    return str(ipaddress.ip_network((parsed, _NETWORK_BITS[parsed.version]), strict=False))


class Networks:
    """Networks that somebody trusts: `address in networks`."""

    def __init__(self, texts: Iterable[str]) -> None:
        """Raises ValueError for one that is none."""
        self._networks = [ipaddress.ip_network(each) for each in texts]

    def __contains__(self, address: str) -> bool:
        if not self._networks:
            return False
        parsed = parse_ip(address)
        return parsed is not None and any(parsed in network for network in self._networks)
