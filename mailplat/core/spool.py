"""The octets of one message on their way in, in bounded memory.

A `Body` is written once, by one thread at a time, and then read as often as one likes, from several threads.
Up to `memory_limit` octets it stays in memory; beyond, it moves to a file without a name (O_TMPFILE, else
made and unlinked at once) in the directory it was given, so that a crash leaves nothing to sweep. That
directory should be on the filesystem where the message is going to be kept: `save` then copies inside the
kernel.

A Body is not durable. What `save` wrote and synced is.
"""

import contextlib
import errno
import io
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from mailplat.core import disk
from mailplat.core.errors import Unavailable

# A body up to this stays in memory. Nine of ten real messages are smaller, and a thousand sessions in the
# middle of DATA then cost at most 256 MiB.
MEMORY_LIMIT = 256 * 1024

# One read or write of the copy loops.
_CHUNK = 256 * 1024

# Largest single copy_file_range call: keeps each call interruptible.
_RANGE = 64 * 1024 * 1024

# What a kernel or filesystem says that cannot do the cheap thing; the plain way then works.
_UNSUPPORTED = frozenset(
    {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EISDIR, errno.EBADF, errno.EPERM}
)


class Body:
    """CRLF lines, dot-unstuffed, without our trace fields. `create` for octets that arrive in pieces, `of`
    for octets that are already here. `size` is in octets."""

    __slots__ = ("_directory", "_fd", "_lead", "_limit", "_memory", "_raw_size", "_skip")

    def __init__(self, directory: Path | None, memory_limit: int) -> None:
        self._directory = directory
        self._limit = memory_limit
        self._memory: bytearray | bytes = bytearray()
        self._fd = -1
        self._raw_size = 0
        self._lead = b""  # what stands instead of the first `_skip` octets, see replace_head
        self._skip = 0

    @classmethod
    def create(cls, directory: Path, memory_limit: int = MEMORY_LIMIT) -> "Body":
        """An empty body. Its file is made in `directory` only when it grows beyond `memory_limit` octets."""
        return cls(directory, memory_limit)

    @classmethod
    def of(cls, octets: bytes) -> "Body":
        """A body in memory, complete; `write` on it is a bug."""
        body = cls(None, len(octets))
        body._memory = octets
        body._raw_size = len(octets)
        return body

    @classmethod
    def of_file(cls, path: Path) -> "Body":
        """The octets of a file that exists and no longer changes; close() leaves it where it is. Raises
        FileNotFoundError, Unavailable."""
        with disk.failures(path):
            return cls.of_descriptor(os.open(path, os.O_RDONLY | os.O_CLOEXEC))

    @classmethod
    def of_descriptor(cls, fd: int) -> "Body":
        """As `of_file`, of a file that somebody has opened; from now on it is the body's to close."""
        body = cls(None, 0)
        body._fd = fd
        with disk.failures("message file"):
            body._raw_size = os.fstat(fd).st_size
        body._memory = b""
        return body

    @classmethod
    def of_open(cls, file: BinaryIO) -> "Body":
        """As `of_file`, for a file that is open already and that its owner may close before the body is."""
        body = cls(None, 0)
        with disk.failures(getattr(file, "name", "file")):
            body._fd = os.dup(file.fileno())
            body._raw_size = os.fstat(body._fd).st_size
        body._memory = b""
        return body

    @property
    def size(self) -> int:
        return len(self._lead) + self._raw_size - self._skip

    @property
    def in_memory(self) -> bool:
        return self._fd < 0

    def fits(self, octets: int) -> bool:
        """True where writing that many more octets touches no disk: it may then be done on the event loop."""
        return self._fd < 0 and self._raw_size + octets <= self._limit

    def write(self, chunk: bytes) -> None:
        """Append. Raises DiskFull, or Unavailable for any other refusal of the disk; the body is then useless
        and only close() is left."""
        if not isinstance(self._memory, bytearray):
            raise ValueError("this body is complete")
        if self.fits(len(chunk)):
            self._memory += chunk
        else:
            with disk.failures(self._directory or "spool"):
                if self._fd < 0:
                    self._fd = self._open_file()
                    _write_all(self._fd, (self._memory,))
                    self._memory = bytearray()
                _write_all(self._fd, (chunk,))
        self._raw_size += len(chunk)

    def carry(self, directory: Path, chunk: bytes) -> "Body":
        """A body in another folder with what this one has, and `chunk` behind it: to go on there after a write was
        refused. This one is closed. Raises DiskFull, Unavailable, and leaves it as it is then."""
        body = Body.create(directory, self._limit)
        try:
            if self._memory:  # all of it, though a file may have been begun
                body.write(bytes(self._memory))
            while not self._memory and (left := self._raw_size - body._raw_size) > 0:
                body.write(self._raw(min(left, _CHUNK), body._raw_size))
            body.write(chunk)
        except BaseException:
            body.close()
            raise
        self.close()
        return body

    def replace_head(self, length: int, octets: bytes) -> None:
        """Let `octets` stand instead of the first `length` octets, from now on and for every reader to come.
        For the one change that we make to a message: taking forged trace fields out of its header block."""
        if not 0 <= length <= self.size:
            raise ValueError(f"a head of {length} octets in a body of {self.size}")
        inside = min(length, len(self._lead))
        self._lead = octets + self._lead[inside:]
        self._skip += length - inside

    def head(self, limit: int) -> bytes:
        """The first `limit` octets, or all where there are fewer."""
        lead = self._lead[:limit]
        return lead + self._raw(limit - len(lead), 0)

    def octets(self) -> bytes:
        """All of it, for callers that know it is small."""
        return self.head(self.size)

    def open(self) -> BinaryIO:
        """A reader from the start. Several may read at once; each stays valid until the body is closed."""
        return io.BufferedReader(_Reader(self), _CHUNK)

    def save(
        self, path: Path, prefix: bytes, step: str, *, mtime: float | None = None, sync: bool = True
    ) -> int:
        """Write prefix and body to the new file `path`, give it the mtime, fsync it; the directory entry is the
        caller's to make durable, and without `sync` the octets too (disk.Batch). Returns the octets written. Steps:
        STEP.write, STEP.fsync. Raises DiskFull or Unavailable, and then leaves no file; FileExistsError never
        overwrites (Unavailable)."""
        try:
            with disk.failures(path):
                fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileNotFoundError as error:
            raise Unavailable(f"{path}: its folder does not exist") from error
        try:
            with disk.failures(path):
                written = self._write_to(fd, prefix)
                if mtime is not None:
                    os.utime(fd, (mtime, mtime))
                disk.step(f"{step}.write")
                if sync:
                    disk.fsync(fd, f"{step}.fsync")
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(path)
            raise
        finally:
            os.close(fd)
        return written

    def close(self) -> None:
        """Drop the memory and the temporary file. Idempotent."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
        self._memory = b""
        self._raw_size = self._skip = 0
        self._lead = b""

    def _open_file(self) -> int:
        assert self._directory is not None
        flags = os.O_RDWR | os.O_CLOEXEC
        if hasattr(os, "O_TMPFILE"):
            try:
                return os.open(self._directory, flags | os.O_TMPFILE, 0o600)
            except FileNotFoundError as error:
                raise Unavailable(f"{self._directory}: the spool folder does not exist") from error
            except OSError as error:
                if error.errno not in _UNSUPPORTED:
                    raise
        fd, name = tempfile.mkstemp(prefix="body.", dir=self._directory)
        os.unlink(name)
        return fd

    def _raw(self, limit: int, offset: int) -> bytes:
        """Up to `limit` octets as they were written, from `offset` behind the replaced head."""
        start = self._skip + offset
        if self._fd < 0:
            return bytes(self._memory[start : start + limit])
        with disk.failures("spool"):
            pieces: list[bytes] = []
            while limit > 0 and (piece := os.pread(self._fd, min(limit, _RANGE), start)):
                pieces.append(piece)
                start += len(piece)
                limit -= len(piece)
        return b"".join(pieces)

    def _write_to(self, fd: int, prefix: bytes) -> int:
        """The octets written."""
        if self._fd < 0:
            rest = memoryview(self._memory)[self._skip :]
            _write_all(fd, (prefix, self._lead, rest))
            return len(prefix) + len(self._lead) + len(rest)
        _write_all(fd, (prefix, self._lead))
        copied = _copy_in_kernel(self._fd, fd, self._skip, self._raw_size - self._skip)
        while chunk := self._raw(_CHUNK, copied):
            _write_all(fd, (chunk,))
            copied += len(chunk)
        return len(prefix) + len(self._lead) + copied


class _Reader(io.RawIOBase):
    """Reads by position, so that readers of one file do not disturb each other."""

    def __init__(self, body: Body) -> None:
        self._body = body
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._body.size}[whence]
        if base + offset < 0:
            raise ValueError(f"seek before the start: {base + offset}")
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        lead = self._body._lead
        wanted = len(buffer)
        if self._at < len(lead):
            piece = lead[self._at : self._at + wanted]
        else:
            piece = self._body._raw(wanted, self._at - len(lead))
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)


def _write_all(fd: int, pieces: Sequence[bytes | bytearray | memoryview]) -> None:
    for piece in pieces:
        rest = memoryview(piece)
        while rest:
            rest = rest[os.write(fd, rest) :]


def _copy_in_kernel(source: int, target: int, offset: int, length: int) -> int:
    """Copy with copy_file_range (a reflink on filesystems that know it). Returns how many octets were copied:
    0, or fewer than asked, where the kernel cannot; the caller copies the rest."""
    copied = 0
    if not hasattr(os, "copy_file_range"):
        return 0
    try:
        while copied < length:
            count = os.copy_file_range(source, target, min(length - copied, _RANGE), offset + copied)
            if count == 0:
                break
            copied += count
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
    return copied
