"""OAUTHBEARER (RFC 7628) and XOAUTH2, its forerunner (Google's): the client shows an access token (RFC 6750)."""

import re

from mailplat.core.errors import InvalidInput
from mailplat.wire.sasl.exchange import Challenge, CheckToken, Exchange, Proven, Rejected
from mailplat.wire.sasl.plain import MAX_PART

# Octets of a token. A JWT with many claims has 2 to 4 KiB; it must fit into a line with the rest, in base64.
MAX_TOKEN = 8192

# RFC 7628 3.1: gs2-header, then pairs, each behind a ^A; one more ^A ends them.
_BEARER = re.compile(rb"[ny],(?:a=(?P<name>[^,\0\x01]+))?,\x01(?P<pairs>(?:[A-Za-z]+=[^\0\x01]*\x01)*)\x01")
_XOAUTH2 = re.compile(rb"user=(?P<name>[^\0\x01]+)\x01(?P<pairs>auth=[^\0\x01]*\x01)\x01")

# RFC 6750 2.1: b64token
_AUTH = re.compile(rb"(?:\A|\x01)auth=bearer +(?P<token>[A-Za-z0-9._~+/-]+=*)(?:\x01|\Z)", re.IGNORECASE)

# RFC 7628 3.2.2; what the client may tell its authorization server.
_INVALID = b'{"status":"invalid_token"}'
# What clients of XOAUTH2 look for: a status of HTTP.
_INVALID_XOAUTH2 = b'{"status":"401","schemes":"bearer"}'


def oauthbearer() -> Exchange:
    """Returns a Proven."""
    return (yield from _bearer(_BEARER, _INVALID, escaped=True))


def xoauth2() -> Exchange:
    """Returns a Proven."""
    return (yield from _bearer(_XOAUTH2, _INVALID_XOAUTH2, escaped=False))


def _bearer(pattern: re.Pattern[bytes], invalid: bytes, *, escaped: bool) -> Exchange:
    """`escaped`: the name is a saslname (RFC 5801 4)."""
    response = yield Challenge()
    found = pattern.fullmatch(response)
    auth = found and _AUTH.search(found["pairs"])
    if not found or not auth or len(auth["token"]) > MAX_TOKEN:
        raise InvalidInput("not a bearer token")
    name = _name(found["name"] or b"")
    if escaped:
        name = name.replace("=2C", ",").replace("=3D", "=")
    owner: str | None = yield CheckToken(auth["token"].decode("ascii"))
    if owner is None or (name and name.casefold() != owner.casefold()):
        yield Challenge(invalid)  # RFC 7628 3.2.3: the client answers with a ^A, which says nothing
        raise Rejected(name or owner or "")
    return Proven(owner)


def _name(octets: bytes) -> str:
    if len(octets) > MAX_PART:
        raise InvalidInput("a name that is too long")
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInput("a name that is not UTF-8") from error
