r"""Modified UTF-7 of mailbox names (RFC 3501 5.1.3), strict in both directions.

There is one right encoding of each name, and only that one is accepted: two spellings of one mailbox would be
two mailboxes to a client, and one to the store.
"""

import binascii
import re

from mailplat.wire.imap.errors import BadSyntax

_RUN = re.compile(rb"&([^-]*)-")
_NEEDS_ENCODING = re.compile(r"[^\x20-\x7e]+")
_DIRECT = re.compile(rb"[\x20-\x7e]*").fullmatch


def encode(name: str) -> bytes:
    """The name as it goes over the wire. Raises BadSyntax for a lone surrogate, which is no character."""
    if name.isascii() and name.isprintable():
        return name.replace("&", "&-").encode("ascii")
    encoded = _NEEDS_ENCODING.sub(_encode_run, name.replace("&", "&-"))
    return encoded.encode("ascii")


def decode(octets: bytes) -> str:
    """The name that `octets` encode. Raises BadSyntax where they are not exactly what `encode` would make."""
    if not _DIRECT(octets):
        raise BadSyntax("a mailbox name holds octets that modified UTF-7 does not have")
    if b"&" not in octets:
        return octets.decode("ascii")
    pieces: list[str] = []
    at = 0
    while (start := octets.find(b"&", at)) >= 0:
        run = _RUN.match(octets, start)
        if run is None:
            raise BadSyntax("a mailbox name is not modified UTF-7: '&' without '-'")
        pieces.append(octets[at:start].decode("ascii"))
        pieces.append(_decode_run(run[1]) if run[1] else "&")
        at = run.end()
    pieces.append(octets[at:].decode("ascii"))
    name = "".join(pieces)
    if encode(name) != octets:
        # Printable ASCII in base64, two runs side by side, padding bits that are set.
        raise BadSyntax("a mailbox name is not the one right modified UTF-7 of what it says")
    return name


def _encode_run(match: re.Match[str]) -> str:
    try:
        octets = match[0].encode("utf-16-be")
    except UnicodeEncodeError as error:
        raise BadSyntax("a mailbox name holds half a surrogate pair") from error
    return (
        "&" + binascii.b2a_base64(octets, newline=False).decode("ascii").rstrip("=").replace("/", ",") + "-"
    )


def _decode_run(run: bytes) -> str:
    if b"/" in run or b"=" in run:
        raise BadSyntax("a mailbox name is not modified UTF-7: a base64 character it does not have")
    try:
        padded = run.replace(b",", b"/") + b"=" * (-len(run) % 4)
        return binascii.a2b_base64(padded, strict_mode=True).decode("utf-16-be")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise BadSyntax("a mailbox name is not modified UTF-7: its base64 does not decode") from error
