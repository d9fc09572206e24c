"""Parts that came as they are (Content-Transfer-Encoding: binary, RFC 2045 6.2), as base64: nothing behind our door,
no client and no next hop, takes octets that are no lines.

A message with BODY=BINARYMIME (RFC 3030 3) may have them. It is looked at by the filters as it came, so that its
signatures are verified; what is kept is the encoded one, as RFC 3030 3 wants it where the way on is not binary.
"""

import base64
import re

from mailplat.wire.mime.scanner import Part, scan

_FIELD = re.compile(
    rb"^content-transfer-encoding[ \t]*:[^\r\n]*(?:\r\n[ \t][^\r\n]*)*", re.IGNORECASE | re.MULTILINE
)
# Octets of a line of base64 (RFC 2045 6.8), and of what it stands for.
_LINE = 76


def encode_binary(octets: bytes) -> bytes:
    """The whole message with each binary part encoded; containers of such parts say 8bit. Never raises."""
    pieces: list[bytes] = []
    at = _encode(octets, scan(octets), 0, pieces)
    pieces.append(octets[at:])
    return b"".join(pieces)


def _encode(octets: bytes, part: Part, at: int, pieces: list[bytes]) -> int:
    """Add what stands for `octets` from `at` on, as far as this part reaches; where that is."""
    binary = (part.first(b"content-transfer-encoding") or b"").strip().lower() == b"binary"
    if binary:
        header = octets[part.start : part.body]
        word = b"8bit" if part.children else b"base64"
        pieces += (
            octets[at : part.start],
            _FIELD.sub(b"Content-Transfer-Encoding: " + word, header, count=1),
        )
        at = part.body
    for child in part.children:
        at = _encode(octets, child, at, pieces)
    if binary and not part.children:
        text = base64.b64encode(octets[part.body : part.end])
        lines = [text[start : start + _LINE] for start in range(0, len(text), _LINE)]
        pieces.append(b"\r\n".join(lines))
        at = part.end
        if at == len(octets) and lines:  # no delimiter brings the end of the last line
            pieces.append(b"\r\n")
    return at
