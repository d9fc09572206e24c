"""{CRAM-MD5} of Dovecot: the two states of MD5 that HMAC-MD5 (RFC 2104) goes on from, so that the server can answer a
challenge (RFC 2195) without the password.

No library gives the state of an MD5 that is half done: the compression function (RFC 1321 3.4) is here.
"""

import hashlib
import math
import struct

_SHIFTS = ((7, 12, 17, 22), (5, 9, 14, 20), (4, 11, 16, 23), (6, 10, 15, 21))
_SINES = tuple(int(2**32 * abs(math.sin(step))) for step in range(1, 65))
_BEGIN = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476)
_BLOCK = 64
_WORD = 0xFFFFFFFF


def cram_context(password: bytes) -> bytes:
    """32 octets: the outer state, then the inner one, little-endian."""
    key = hashlib.md5(password, usedforsecurity=False).digest() if len(password) > _BLOCK else password
    key = key.ljust(_BLOCK, b"\0")
    return b"".join(
        struct.pack("<4I", *_compress(bytes(octet ^ pad for octet in key))) for pad in (0x5C, 0x36)
    )


def _compress(block: bytes) -> tuple[int, ...]:
    """The state after one block (RFC 1321 3.4)."""
    words = struct.unpack("<16I", block)
    a, b, c, d = _BEGIN
    for step in range(64):
        match step // 16:
            case 0:
                mixed, word = (b & c) | (~b & d), step
            case 1:
                mixed, word = (b & d) | (c & ~d), 5 * step + 1
            case 2:
                mixed, word = b ^ c ^ d, 3 * step + 5
            case _:
                mixed, word = c ^ (b | (~d & _WORD)), 7 * step
        total = (a + mixed + words[word % 16] + _SINES[step]) & _WORD
        shift = _SHIFTS[step // 16][step % 4]
        turned = ((total << shift) | (total >> (32 - shift))) & _WORD
        a, b, c, d = d, (b + turned) & _WORD, b, c
    return tuple((before + after) & _WORD for before, after in zip(_BEGIN, (a, b, c, d), strict=True))
