"""Every DNS question of the platform goes through here: one interface, one cache, one place for limits.

Two implementations: `Resolver` behind a `Cache` asks real servers; `zone.Zone` answers from a file in tests and
rigs. `open_dns` picks by the setting `filter.dns`.

The four statuses stay apart (RFC 2308, RFC 8020): "there is no such name" (nxdomain), "the name has nothing of this
type" (nodata) and "nobody could tell" (temperror) lead to different decisions everywhere in mail.
"""

from pathlib import Path

from mailplat.core.clock import Clock
from mailplat.core.errors import InvalidInput
from mailplat.filtering.answer import Answer, Dns, Record, Status
from mailplat.filtering.resolver import Cache, Resolver
from mailplat.filtering.zone import Zone

__all__ = ["Answer", "Cache", "Dns", "Record", "Resolver", "Status", "Zone", "open_dns"]


def open_dns(spec: str, clock: Clock | None = None) -> Dns:
    """Empty: the system's resolver; "host:port" or "[v6]:port": that server; "zone:FILE": a zone file. Raises
    InvalidInput, for a zone file that cannot be read too."""
    if spec.startswith("zone:"):
        return Zone.read(Path(spec.removeprefix("zone:")))
    if not spec:
        return Cache(Resolver(), clock)
    host, colon, port = spec.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not port.isdecimal() or not 0 < int(port) < 65536:
        raise InvalidInput(f'filter.dns = {spec!r} is wrong; write "", "host:port" or "zone:FILE"')
    try:
        return Cache(Resolver([host], int(port)), clock)
    except ValueError as error:
        raise InvalidInput(f"filter.dns = {spec!r}: the host must be an IP address: {error}") from error
