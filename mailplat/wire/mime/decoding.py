"""Transfer encodings undone piece by piece, for BINARY (RFC 3516, RFC 2045 6), in memory that does not grow with the
part.

Broken encodings are read as mail readers do: what base64 has no letter for is skipped, what quoted-printable cannot
read stays as it is. Nothing raises, and nothing decodes to more octets than it had.
"""

import binascii
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from mailplat.wire.mime.headers import first_token
from mailplat.wire.mime.scanner import Part

# Octets without a line end that quoted-printable holds back to see how they go on. RFC 2045 6.7 (5) allows lines of
# 76; of a longer one the white space at its end may stay.
MAX_HELD = 64 * 1024

_NOT_LETTERS = bytes(
    set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")
)
# RFC 2045 6.7 (3): white space at the end of a line was put there on the way. Looked for from its first octet only,
# or a line of spaces would cost their square.
_LINE_END_SPACE = re.compile(rb"(?<![ \t])[ \t]++(?=\r?\n|\Z)")


class Decoder(Protocol):
    """Feed all octets of a body in order, then finish once; what both give, joined, is the content."""

    def feed(self, octets: bytes) -> bytes: ...

    def finish(self) -> bytes: ...


class Identity:
    """7bit, 8bit, binary (RFC 2045 6.2), and containers: they have no other encoding (6.4)."""

    def feed(self, octets: bytes) -> bytes:
        return octets

    def finish(self) -> bytes:
        return b""


# Groups of four letters, and the beginning of one more; "=" only before the third letter of a group. One way to read
# each octet, so that a file full of "=" costs no more than any other.
_BEFORE_PADDING = re.compile(rb"(?:=*+[^=]=*+[^=]{3})*=*+(?:[^=]=*+[^=]{0,2}+)?")


class Base64:
    """RFC 2045 6.8: what is not in the alphabet is skipped, padding ends the content; bits that make no octet are
    left out."""

    def __init__(self) -> None:
        self._held = b""  # up to three letters
        self._ended = False

    def feed(self, octets: bytes) -> bytes:
        if self._ended:
            return b""
        letters = self._held + octets.translate(None, _NOT_LETTERS)
        if b"=" in letters:
            letters = self._up_to_padding(letters)
        whole = len(letters) - len(letters) % 4
        self._held = letters[whole:]
        return binascii.a2b_base64(letters[:whole]) + (self.finish() if self._ended else b"")

    def _up_to_padding(self, letters: bytes) -> bytes:
        """The letters before the first "=" that can be padding: in the second half of a group. Others are skipped."""
        found = _BEFORE_PADDING.match(letters)
        assert found is not None  # it matches nothing, too
        self._ended = found.end() < len(letters)
        return letters[: found.end()].translate(None, b"=")

    def finish(self) -> bytes:
        held, self._held = self._held, b""
        return binascii.a2b_base64(held + b"=" * (4 - len(held))) if len(held) > 1 else b""


class QuotedPrintable:
    """RFC 2045 6.7, line by line."""

    def __init__(self) -> None:
        self._held: list[bytes] = []  # pieces without a line end
        self._size = 0

    def feed(self, octets: bytes) -> bytes:
        end = octets.rfind(b"\n") + 1
        if not end:
            self._held.append(octets)
            self._size += len(octets)
            return self._overflow() if self._size > MAX_HELD else b""
        lines = b"".join((*self._held, octets[:end]))
        self._hold(octets[end:])
        return _quoted_printable(lines)

    def _hold(self, octets: bytes) -> None:
        self._held = [octets] if octets else []
        self._size = len(octets)

    def _overflow(self) -> bytes:
        """A line longer than any should be: give out all but what may be a half "=3D", or the half of a CRLF."""
        line = b"".join(self._held)
        end = len(line) - 1
        start = line.rfind(b"=", end - 2)
        end = end if start < 0 else start
        self._hold(line[end:])
        return binascii.a2b_qp(line[:end])

    def finish(self) -> bytes:
        line = b"".join(self._held)
        self._hold(b"")
        return _quoted_printable(line)


def _quoted_printable(lines: bytes) -> bytes:
    return binascii.a2b_qp(_LINE_END_SPACE.sub(b"", lines))


_DECODERS: dict[bytes, Callable[[], Decoder]] = {
    b"": Identity,  # RFC 2045 6.1: the default is 7bit
    b"7bit": Identity,
    b"8bit": Identity,
    b"binary": Identity,
    b"base64": Base64,
    b"quoted-printable": QuotedPrintable,
}


def decoder_of(part: Part) -> Decoder | None:
    """A new decoder for a part's body; None for an encoding that nobody knows (RFC 3516 4.3, UNKNOWN-CTE)."""
    if part.is_multipart:
        return Identity()
    make = _DECODERS.get(first_token(part.first(b"content-transfer-encoding") or b"").lower())
    return None if make is None else make()


def decode(pieces: Iterable[bytes], decoder: Decoder) -> Iterator[bytes]:
    """The content in pieces, none of them empty."""
    for piece in pieces:
        if content := decoder.feed(piece):
            yield content
    if content := decoder.finish():
        yield content


def window(pieces: Iterable[bytes], offset: int, length: int | None) -> Iterator[bytes]:
    """Of the content the octets from `offset` on, `length` of them (None: all); stops reading behind the last."""
    for piece in pieces:
        chosen = piece[offset:] if offset else piece
        offset = max(0, offset - len(piece))
        if length is not None:
            chosen = chosen[:length]
            length -= len(chosen)
        if chosen:
            yield chosen
        if length == 0:
            return
