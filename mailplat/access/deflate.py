"""A connection in DEFLATE, both ways (RFC 1951, RFC 4978). About 100 KB of memory for each that is compressed.

What a client sends may be a bomb: 1 MB that becomes 1 GB. Memory is bounded because nothing is inflated before it is
asked for; work is bounded by a ratio, with an allowance for what a client may honestly send (a message of zeros).
"""

import zlib

# 32 KB of window for what comes in, as any client may use them; for what goes out 8 KB, and 16 KB of hash tables:
# replies of IMAP repeat themselves at a short distance.
_WINDOW_IN = -15
_WINDOW_OUT = -13
_MEMORY = 5
_LEVEL = 5


class BadDeflate(Exception):
    """What came in is not DEFLATE, or a bomb."""


class Deflate:
    """`ratio`: octets that one compressed octet may become; `allowance`: octets beyond that, in the connection's
    life."""

    __slots__ = ("_budget", "_deflate", "_inflate", "_ratio", "_waiting")

    def __init__(self, ratio: int, allowance: int) -> None:
        self._deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW_OUT, _MEMORY)
        self._inflate = zlib.decompressobj(_WINDOW_IN)
        self._waiting = b""  # compressed octets
        self._ratio = ratio
        self._budget = allowance

    def deflate(self, octets: bytes) -> bytes:
        """All of it, so that the client can read it now."""
        return self._deflate.compress(octets) + self._deflate.flush(zlib.Z_SYNC_FLUSH)

    @property
    def ended(self) -> bool:
        """The client has closed its side."""
        return self._inflate.eof

    def feed(self, octets: bytes) -> None:
        """Compressed octets, to be taken before more are fed."""
        self._waiting += octets
        self._budget += self._ratio * len(octets)

    def take(self, most: int) -> bytes:
        """At most so many octets of what was fed; b"" when all is taken. Raises BadDeflate."""
        if self.ended:
            return b""
        try:
            octets = self._inflate.decompress(self._waiting, most)
        except zlib.error as error:
            raise BadDeflate("this is no DEFLATE") from error
        self._waiting = self._inflate.unconsumed_tail
        self._budget -= len(octets)
        if self._budget < 0:
            raise BadDeflate(f"more than {self._ratio} octets for each compressed one")
        return octets
