r"""IMAP strings: quoted where they can be, literals else (RFC 3501 4.3, 9).

A quoted string may hold 7-bit octets without CR, LF and NUL. A literal may hold all but NUL, which no IMAP4rev1
string can carry: it is left out, so that one stray octet of a header never makes a whole reply unreadable.
"""

import re

# Longer strings go as literals: many clients read a reply line into a buffer of a few KiB, and a literal
# announces its length.
QUOTED_LIMIT = 1000

_UNQUOTABLE = re.compile(rb"[\x00\r\n\x80-\xff]")
_ATOM = re.compile(rb"[^\x00-\x20\x7f-\xff(){%*\"\\\]]+").fullmatch


def string(value: bytes) -> bytes:
    """`value` as a quoted string or a literal, NUL left out."""
    if len(value) > QUOTED_LIMIT or _UNQUOTABLE.search(value):
        return literal(value.replace(b"\0", b""))
    if b"\\" in value or b'"' in value:
        value = value.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    return b'"' + value + b'"'


def nstring(value: bytes | None) -> bytes:
    return b"NIL" if value is None else string(value)


def astring(value: bytes) -> bytes:
    """As an atom where it is one (and cannot be mistaken for NIL), else as a string."""
    if _ATOM(value) and value.upper() != b"NIL":
        return value
    return string(value)


def literal(octets: bytes) -> bytes:
    """The octets as they are. The caller answers for NUL: message bodies are sent exactly as they came."""
    return b"{%d}\r\n%b" % (len(octets), octets)


def literal8(octets: bytes) -> bytes:
    """As a literal, or, where it holds NUL, as a literal8 (RFC 3516 4.3)."""
    return b"~" + literal(octets) if b"\0" in octets else literal(octets)
