"""PLAIN (RFC 4616), and LOGIN (draft-murchison-sasl-login), which is older than it and still the only one that some
clients know."""

import base64
import binascii
from dataclasses import dataclass, field

from mailplat.core.errors import InvalidInput
from mailplat.wire.sasl.exchange import Challenge, Exchange

# RFC 4616 2: names and the password have at most 255 characters each in practice; UTF-8 may take 4 octets for one.
MAX_PART = 1020


@dataclass(frozen=True, slots=True)
class Plain:
    """A PLAIN response (RFC 4616 2). `authzid` is empty where the client acts for itself."""

    authzid: str
    authcid: str
    password: str = field(repr=False)


def decode_base64(line: bytes) -> bytes:
    """One line of a SASL exchange, without its line end. Strict: raises InvalidInput for anything but base64."""
    try:
        return base64.b64decode(line, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidInput("not base64") from error


def decode_plain(response: bytes) -> Plain:
    """[authzid] NUL authcid NUL password, UTF-8. Raises InvalidInput, whose text says nothing of the content."""
    parts = response.split(b"\0")
    if len(parts) != 3 or not parts[1] or any(len(part) > MAX_PART for part in parts):
        raise InvalidInput("not a PLAIN response")
    try:
        authzid, authcid, password = (part.decode("utf-8") for part in parts)
    except UnicodeDecodeError as error:
        raise InvalidInput("a PLAIN response that is not UTF-8") from error
    return Plain(authzid, authcid, password)


def plain() -> Exchange:
    """Returns a Plain."""
    return decode_plain((yield Challenge()))


def login() -> Exchange:
    """Returns a Plain. The prompts are those that clients compare with (draft-murchison-sasl-login-00 2.1)."""
    name = yield Challenge(b"Username:")
    password = yield Challenge(b"Password:")
    if not name or any(len(part) > MAX_PART or b"\0" in part for part in (name, password)):
        raise InvalidInput("not a LOGIN response")
    try:
        return Plain("", name.decode("utf-8"), password.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise InvalidInput("a LOGIN response that is not UTF-8") from error
