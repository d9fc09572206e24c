"""Strings and commands as octets (RFC 5804 4)."""

import re

# RFC 5804 4: a quoted string has at most 1024 octets between its quotes.
QUOTED_LIMIT = 1024

_UNQUOTABLE = re.compile(rb"[\x00\r\n]")


def string(value: bytes, *, plus: bool = False) -> bytes:
    """Quoted, or as a literal: `plus` for what a client sends (literal-c2s, {N+}), without for a server's."""
    if _UNQUOTABLE.search(value) is None:
        escaped = value.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
        if len(escaped) <= QUOTED_LIMIT:
            return b'"%b"' % escaped
    return b"{%d%b}\r\n%b" % (len(value), b"+" if plus else b"", value)


def command(name: str, *arguments: bytes) -> bytes:
    """A client's command with its strings, and its end."""
    words = [name.encode("ascii"), *(string(each, plus=True) for each in arguments)]
    return b" ".join(words) + b"\r\n"
