"""A file's octets as the server in front of it sends them over IMAP."""

import bz2
import gzip
import io
import lzma
import os
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from mailplat.core.spool import MEMORY_LIMIT, Body
from migration.errors import Misbehaviour

_CHUNK = 256 * 1024

# How Dovecot's zlib plugin knows them: by how a file begins, whatever its name is. No message begins like that.
_COMPRESSED: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}
_UNREADABLE = {
    b"\x28\xb5\x2f\xfd": "zstd",
    b"Dovecot-LZ4": "lz4",
    b"CRYPTED\x03\x07": "encrypted by mail_crypt",
}
_LONGEST = max(map(len, _UNREADABLE))
_FIRST = frozenset(magic[:1] for magic in (*_COMPRESSED, *_UNREADABLE))


@dataclass(frozen=True, slots=True)
class LineEnds:
    """`every_lf`: CR goes before every LF; else before those without."""

    every_lf: bool
    nul_stands_as: bytes = b"\0"

    def clean(self, octets: bytes) -> bool:
        """Whether nothing changes."""
        if self.nul_stands_as != b"\0" and b"\0" in octets:
            return False
        if self.every_lf or b"\r\n" not in octets:
            return b"\n" not in octets
        return octets.count(b"\n") == octets.count(b"\r\n")

    def apply(self, octets: bytes) -> bytes:
        if self.nul_stands_as != b"\0" and b"\0" in octets:
            octets = octets.replace(b"\0", self.nul_stands_as)
        if not self.every_lf and b"\r\n" in octets:
            octets = octets.replace(b"\r\n", b"\n")
        return octets.replace(b"\n", b"\r\n")


class Damaged(Exception):
    """A file is no message that can be had: it cannot be decompressed, or is too large."""


def read(fd: int, size: int, what: Path | str, ends: LineEnds, spool: Path, most: int) -> Body:
    """The message in an open file of `size` octets, which is closed or the body's. Small ones in memory; of a large
    one that goes as it is, the file itself. Raises Damaged, also beyond `most` octets, decompressed; Misbehaviour for
    what is not read here; OSError."""
    taken = False
    try:
        if size > most:
            raise Damaged(f"{size} octets; {most} at most")
        octets = os.read(fd, size) if size <= MEMORY_LIMIT else os.read(fd, _LONGEST)
        kind = _coding(octets[:_LONGEST], what)
        if kind is not None:
            os.lseek(fd, 0, os.SEEK_SET)
            with os.fdopen(os.dup(fd), "rb") as file:
                return _spooled(_decompressed(kind(file), what), ends, spool, most)
        if size <= MEMORY_LIMIT:
            while len(octets) < size and (more := os.read(fd, size - len(octets))):
                octets += more
            return Body.of(octets if ends.clean(octets) else ends.apply(octets))
        os.lseek(fd, 0, os.SEEK_SET)
        if all(ends.clean(piece) for piece in _whole_lines(_pieces(fd))):
            taken = True
            return Body.of_descriptor(fd)
        os.lseek(fd, 0, os.SEEK_SET)
        return _spooled(_pieces(fd), ends, spool, most)
    finally:
        if not taken:
            os.close(fd)


def _coding(head: bytes, what: Path | str) -> Callable[..., Any] | None:
    """How a file that begins like this is decompressed; None: it is a message as it is."""
    if head[:1] not in _FIRST:
        return None
    for magic, name in _UNREADABLE.items():
        if head.startswith(magic):
            raise Misbehaviour(
                f"{what} is {name}, which cannot be read here: let Dovecot rewrite the mailbox without it, or"
                " move this account over IMAP (a backend without --maildir-path)"
            )
    return next((kind for magic, kind in _COMPRESSED.items() if head.startswith(magic)), None)


def _spooled(pieces: Iterator[bytes], ends: LineEnds, spool: Path, most: int) -> Body:
    body = Body.create(spool)
    try:
        for piece in _whole_lines(pieces):
            if body.size + len(piece) > most:
                raise Damaged(f"more than {most} octets")
            body.write(ends.apply(piece))
    except BaseException:
        body.close()
        raise
    return body


def _whole_lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """No piece ends between CR and LF."""
    rest = b""
    for piece in pieces:
        octets = rest + piece
        rest = b"\r" if octets.endswith(b"\r") else b""
        yield octets[: len(octets) - len(rest)]
    if rest:
        yield rest


def _pieces(fd: int) -> Iterator[bytes]:
    while piece := os.read(fd, _CHUNK):
        yield piece


def _decompressed(file: BinaryIO | io.BufferedIOBase, what: Path | str) -> Iterator[bytes]:
    try:
        while piece := file.read(_CHUNK):
            yield piece
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, ValueError) as error:
        raise Damaged(f"{what}: {error}") from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise Damaged(f"{what}: {error}") from error  # bz2 says so
