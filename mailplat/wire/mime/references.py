"""Message IDs of a header, for THREAD (RFC 5256 3, REFERENCES)."""

import re
from typing import NamedTuple

from mailplat.wire.mime.headers import collect, unescape

# References of one message that count, the last ones: its parent is among them, and who its parent's parent is, that
# message says itself. Clients cut the field at some twenty.
MAX_REFERENCES = 200

# Octets of a References field that are looked at, its end: as many IDs of the longest kind.
_FIELD = 64 * 1024

# No "<" or ">" inside, and one way only to read what is there: no octet is tried twice. Real IDs have white space
# where a line was folded in their middle.
_ID = re.compile(rb'<((?:[^<>"]++|"(?:[^"\\<>]++|\\[^<>])*")+)>')
_QUOTED = re.compile(rb'"((?:[^"\\]++|\\.)*)"', re.DOTALL)

_WANTED = (b"references", b"in-reply-to", b"message-id")


class MessageIds(NamedTuple):
    """Without angle brackets and white space, quoting removed where it changes nothing."""

    own: bytes | None
    references: list[bytes]  # the eldest first, the parent last


def message_ids(header: bytes) -> MessageIds:
    """Of a header block: References where it holds an ID, else the first ID of In-Reply-To (RFC 5256 3). Linear, and
    never raises."""
    fields = collect(header, 0, len(header), _WANTED)
    own = _ids(fields.get(b"message-id", [b""])[0])
    references = _ids(fields.get(b"references", [b""])[0][-_FIELD:])
    if not references:
        references = _ids(fields.get(b"in-reply-to", [b""])[0][:_FIELD])[:1]
    return MessageIds(own[0] if own else None, references[-MAX_REFERENCES:])


def _ids(value: bytes) -> list[bytes]:
    return [normal for found in _ID.findall(value) if b"@" in (normal := _normal(found))]


def _normal(found: bytes) -> bytes:
    """RFC 5256 3: <"a"@x> is <a@x>."""
    if b'"' in found:
        found = _QUOTED.sub(lambda quoted: unescape(quoted[1]), found)
    return b"".join(found.split())
