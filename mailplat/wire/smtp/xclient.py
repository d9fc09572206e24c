"""XCLIENT, as Postfix's XCLIENT_README has it: a mail server in front says whose connection it hands on."""

from dataclasses import dataclass

from mailplat.core.errors import InvalidInput
from mailplat.core.network import parse_ip
from mailplat.wire.smtp import xtext

# What the greeting offers. DESTADDR and DESTPORT are taken and not used.
OFFERED = "NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT"
_KNOWN = frozenset(OFFERED.split())
_UNKNOWN = ("[UNAVAILABLE]", "[TEMPUNAVAIL]")

# Octets of a name that is kept.
_LONGEST = 255


@dataclass(frozen=True, slots=True)
class Client:
    """What was said; None: nothing of it, "": that it is not known."""

    address: str | None = None
    port: int | None = None
    helo: str | None = None
    esmtp: bool | None = None
    login: str | None = None


def parse(argument: bytes) -> Client:
    """What follows the verb. Raises InvalidInput."""
    said: dict[str, str] = {}
    for word in argument.decode("ascii", "replace").split():
        name, equals, value = word.partition("=")
        if name.upper() not in _KNOWN or not equals:
            raise InvalidInput("an attribute of XCLIENT is not known here")
        said[name.upper()] = "" if value.upper() in _UNKNOWN else xtext.decode(value)[:_LONGEST]
    if not said:
        raise InvalidInput("XCLIENT has at least one attribute")
    return Client(
        address=_address(said["ADDR"]) if said.get("ADDR") else None,
        port=_port(said["PORT"]) if said.get("PORT") else None,
        helo=said.get("HELO"),
        esmtp=_esmtp(said["PROTO"]) if said.get("PROTO") else None,
        login=said.get("LOGIN"),
    )


def _address(text: str) -> str:
    plain = text[5:] if text[:5].upper() == "IPV6:" else text
    parsed = parse_ip(plain)
    if parsed is None:
        raise InvalidInput("ADDR is an IPv4 address, or IPV6: and one of IPv6")
    return str(parsed)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 5 and 0 < int(text) < 65536):
        raise InvalidInput("PORT is a number from 1 to 65535")
    return int(text)


def _esmtp(text: str) -> bool:
    if text.upper() not in ("SMTP", "ESMTP"):
        raise InvalidInput("PROTO is SMTP or ESMTP")
    return text.upper() == "ESMTP"
