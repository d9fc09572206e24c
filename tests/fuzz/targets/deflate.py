"""DEFLATE from a client: BadDeflate, or not more octets than the limits allow."""

import zlib

from mailplat.access.deflate import BadDeflate, Deflate
from tests.fuzz.targets.framer import cut

MODULES = ("mailplat/access/deflate.py",)
LONGEST = 3000
RATIO, ALLOWANCE, MOST = 10, 5000, 700


def _packed(octets: bytes) -> bytes:
    packer = zlib.compressobj(9, wbits=-15)
    return packer.compress(octets) + packer.flush(zlib.Z_SYNC_FLUSH)


WORDS = (
    _packed(b"a NOOP\r\n"),
    _packed(b"\0" * 3000),
    b"\x03\x00",
    b"\x00\x00\xff\xff",
    b"\xff",
    _packed(bytes(range(256))),
)
SEEDS = (
    b"\x01" + _packed(b"a NOOP\r\nb LOGOUT\r\n"),
    b"\x02" + _packed(b"\0" * 40_000),
    b"\x03\x03\x00",
    b"\x80" + b"plain",
)


def run(octets: bytes) -> None:
    choice, octets = octets[0] if octets else 0, octets[1:]
    if choice & 128:
        octets = _packed(octets)
    deflate = Deflate(RATIO, ALLOWANCE)
    fed = taken = 0
    try:
        for piece in cut(octets, choice):
            deflate.feed(piece)
            fed += len(piece)
            while out := deflate.take(MOST):
                assert len(out) <= MOST
                taken += len(out)
                assert taken <= ALLOWANCE + RATIO * fed
    except BadDeflate:
        pass
    assert zlib.decompressobj(-15).decompress(deflate.deflate(octets)) == octets
