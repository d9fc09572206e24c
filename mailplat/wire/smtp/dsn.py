"""What MAIL and RCPT say of notifications (RFC 3461 4), checked and kept as the client wrote it: a next hop gets the
same letters, and the sender recognises his own."""

import re

from mailplat.core.errors import InvalidInput
from mailplat.wire.smtp import xtext

# RFC 3461 10.2: octets of ENVID, and of ORCPT with its type.
MAX_ENVID = 100
MAX_ORCPT = 500

_WHEN = frozenset({"SUCCESS", "FAILURE", "DELAY"})
_TYPE = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+")
# RFC 6533 3: what is not ASCII, or has a meaning, stands in \x{...}; what is left is no space and no control.
_UTF8_ADDRESS = re.compile(r"(?:[^\x00- \x7f\\+=]|\\x\{[0-9A-F]{2,6}\})+")


def notify(text: str | None) -> str:
    """NOTIFY: "NEVER", or those of SUCCESS, FAILURE and DELAY that were said, joined by commas. Raises
    InvalidInput."""
    said = (text or "").upper().split(",")
    if said == ["NEVER"]:
        return "NEVER"
    if not said or not _WHEN.issuperset(said) or len(set(said)) != len(said):
        raise InvalidInput("NOTIFY is NEVER, or some of SUCCESS, FAILURE and DELAY")
    return ",".join(said)


def returned(text: str | None) -> str:
    """RET. Raises InvalidInput."""
    if text is None or text.upper() not in ("FULL", "HDRS"):
        raise InvalidInput("RET is FULL or HDRS")
    return text.upper()


def envelope_id(text: str | None) -> str:
    """ENVID, xtext. Raises InvalidInput."""
    if not text or len(text) > MAX_ENVID:
        raise InvalidInput(f"ENVID has 1 to {MAX_ENVID} characters")
    xtext.decode(text)
    return text


def original_recipient(text: str | None) -> str:
    """ORCPT, "type;address". Raises InvalidInput."""
    kind, semicolon, address = (text or "").partition(";")
    if not semicolon or not address or not _TYPE.fullmatch(kind) or len(text or "") > MAX_ORCPT:
        raise InvalidInput(f"ORCPT is a type, a semicolon and an address, of {MAX_ORCPT} characters at most")
    if kind.lower() == "utf-8":
        if not (_UTF8_ADDRESS.fullmatch(address) and address.isprintable()):
            raise InvalidInput("ORCPT has an address that is not of RFC 6533 3")
    else:
        xtext.decode(address)
    return f"{kind};{address}"


def shown(orcpt: str) -> str:
    """As the Original-Recipient field has it (RFC 3464 2.3.1): "type; address", decoded."""
    kind, _, address = orcpt.partition(";")
    return f"{kind}; {address if kind.lower() == 'utf-8' else xtext.decode(address)}"
