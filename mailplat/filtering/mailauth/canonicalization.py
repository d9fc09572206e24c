"""DKIM's two forms of a body (RFC 6376 3.4.3, 3.4.4), in linear time and constant memory.

dkimpy's own relaxed form takes time that grows with the square of a run of white space: 200 kB of spaces cost 37 s.
Importing this module puts `relaxed_body` in its place, for every user of dkimpy in this process.
"""

import hashlib
from typing import BinaryIO

import dkim.canonicalization

# One step of hashing: large enough that Python's share is small, small enough to be nothing beside a message.
CHUNK = 64 * 1024

_EMPTY_LINES = b"\r\n" * (CHUNK // 2)


def relaxed_body(body: bytes) -> bytes:
    """The relaxed form of a whole body. A final line without CRLF gets one; an empty body stays empty."""
    lines = _squeeze(body)
    text = lines[: len(lines) - 2 * _final_line_ends(lines)]
    return text + b"\r\n" if text else b""


dkim.canonicalization.Relaxed.canonicalize_body = staticmethod(relaxed_body)


class BodyHash:
    """SHA-256 over the canonical form of a body that comes in pieces. Keeps at most two octets and a count."""

    def __init__(self, relaxed: bool) -> None:
        self._relaxed = relaxed
        self._hash = hashlib.sha256()
        self._carry = b""  # the end of what came, where its form depends on what follows: " ", "\r" or " \r"
        self._line_ends = 0  # CRLFs that count only if something follows them
        self._empty = True

    def update(self, chunk: bytes) -> None:
        octets = self._carry + chunk
        if self._relaxed:
            octets = _squeeze(octets)
        keep = len(octets)
        if octets.endswith(b"\r"):
            keep -= 1
        if self._relaxed and octets.endswith(b" ", 0, keep):
            keep -= 1
        self._carry = octets[keep:]
        octets = octets[:keep]
        ends = _final_line_ends(octets)
        if text := octets[: keep - 2 * ends]:
            self._emit(text)
        self._line_ends += ends

    def digest(self) -> bytes:
        """Ends the body; RFC 6376 3.4.3: one CRLF at its end, also for an empty body in the simple form."""
        if self._carry:
            self._emit(self._carry)
        if not (self._relaxed and self._empty):
            self._hash.update(b"\r\n")
        return self._hash.digest()

    def _emit(self, text: bytes) -> None:
        left = 2 * self._line_ends
        while left:
            step = _EMPTY_LINES[:left]
            self._hash.update(step)
            left -= len(step)
        self._line_ends = 0
        self._hash.update(text)
        self._empty = False


def hash_body(stream: BinaryIO, relaxed: bool) -> bytes:
    """SHA-256 of the canonical form of the rest of `stream`."""
    body = BodyHash(relaxed)
    while chunk := stream.read(CHUNK):
        body.update(chunk)
    return body.digest()


def _squeeze(octets: bytes) -> bytes:
    """Runs of white space become one space, none at the end of a line. Each turn halves all runs, so that the turns
    together cost twice the first at most; ten times as fast as an expression on ordinary text."""
    octets = octets.replace(b"\t", b" ")
    while b"  " in octets:
        octets = octets.replace(b"  ", b" ")
    return octets.replace(b" \r\n", b"\r\n")


def _final_line_ends(octets: bytes) -> int:
    """How many CRLFs stand at the end. Searches instead of counting: a loop over each would cost seconds for a body
    of empty lines."""
    tail = octets[len(octets.rstrip(b"\r\n")) :]
    if not tail.endswith(b"\r\n"):
        return 0
    # Behind the last pair of equal octets CR and LF take turns.
    turns = max(tail.rfind(b"\r\r"), tail.rfind(b"\n\n")) + 1
    return (len(tail) - turns) // 2
