"""xtext (RFC 3461 4): printable ASCII, everything else as "+" and two upper-case hexadecimal digits."""

import re

from mailplat.core.errors import InvalidInput

_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*")
_ESCAPED = re.compile(r"\+([0-9A-F]{2})")
_TO_ESCAPE = re.compile(r"[^!-*,-<>-~]")


def decode(text: str) -> str:
    """Octets beyond ASCII, and controls, are an InvalidInput: what is decoded here goes into header fields."""
    if not _XTEXT.fullmatch(text):
        raise InvalidInput("xtext is printable, with + and two upper-case digits for the rest")
    plain = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)
    if not (plain.isascii() and plain.isprintable()):
        raise InvalidInput("xtext stands for printable ASCII here")
    return plain


def encode(text: str) -> str:
    """Of printable ASCII."""
    return _TO_ESCAPE.sub(lambda found: f"+{ord(found[0]):02X}", text)
