"""The seam for durable steps on disk: each write, fsync and rename that a promise rests on goes through here.

Each call names its step ("append.rename"). A test arms one step of a child process with the environment
variable MAILPLAT_DIE_AT="STEP" or "STEP:N" (the Nth time, from 1); the process then kills itself with SIGKILL
right *after* that step, so that a crash table can be walked row by row. Unset, a step costs one dict look-up.
"""

import contextlib
import ctypes
import errno
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from mailplat.core.errors import DiskFull, InDoubt, Unavailable

DIE_AT = "MAILPLAT_DIE_AT"

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def _plan() -> dict[str, int]:
    text = os.environ.get(DIE_AT, "")
    name, _, nth = text.partition(":")
    return {name: int(nth or 1)} if name else {}


_armed = _plan()


# Since this release syncfs says when a block could not be written; before, it kept that to itself.
_SYNCFS_REPORTS = (5, 8)


def _find_syncfs() -> "Callable[[int], int] | None":
    if sys.platform != "linux":
        return None
    major, minor = os.uname().release.split(".")[:2]
    if (int(major), int(re.match(r"\d*", minor)[0] or 0)) < _SYNCFS_REPORTS:  # type: ignore[index]  # matches ""
        return None
    return getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)


_syncfs = _find_syncfs()


def step(name: str) -> None:
    """A named durable step is done. Dies here when a test armed it."""
    if name in _armed:
        _armed[name] -= 1
        if _armed[name] == 0:
            os.kill(os.getpid(), signal.SIGKILL)


@contextlib.contextmanager
def failures(what: str | os.PathLike[str]) -> Iterator[None]:
    """Turn the operating system's refusals into ours: ENOSPC and EDQUOT are DiskFull, any other OSError of a
    write is Unavailable. FileNotFoundError passes: who reads a file knows what its absence means."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise refusal(what, error) from error


def refusal(what: str | os.PathLike[str], error: OSError) -> Unavailable:
    """What `failures` raises, for loops in which a context for each file would cost more than the file."""
    kind = DiskFull if error.errno in _FULL else Unavailable
    return kind(f"{what}: {error.strerror or error}")


def fsync(fd: int, name: str) -> None:
    """Raises InDoubt; OSError where the disk is full."""
    with _doubt(name):
        os.fsync(fd)
    step(name)


@contextlib.contextmanager
def _doubt(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise
        raise InDoubt(f"{name}: {error.strerror or error}") from error


class Batch:
    """Many new files of one filesystem made durable by one syncfs(2) instead of an fsync each, which costs some 30
    times less. Open it before the first of them is written: an error of the disk is told to descriptors that were
    open when it happened, and to no other. It waits for whatever else is unwritten on that filesystem: for files
    that many wait for together, not for a single message.

    `supported` is False where the system has no syncfs that reports errors (Linux before 5.8, others)."""

    supported = _syncfs is not None

    def __init__(self, folder: str | Path) -> None:
        """Raises Unavailable."""
        self._folder = folder
        try:
            with failures(folder):
                self._fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise Unavailable(f"{folder}: the folder does not exist") from error

    def close(self) -> None:
        os.close(self._fd)

    def sync(self, name: str) -> None:
        """Raises DiskFull, InDoubt: then none of the files can be relied on."""
        assert _syncfs is not None, "ask `supported` first"
        with failures(self._folder), _doubt(name):
            if _syncfs(self._fd) != 0:
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number))
        step(name)


def rename(source: str | Path, target: str | Path, name: str) -> None:
    """Atomic within one filesystem; durable only after fsync_directory of the target's folder."""
    os.rename(source, target)
    step(name)


def fsync_directory(path: str | Path, name: str) -> None:
    """Raises InDoubt; OSError where the folder cannot be opened or the disk is full."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with _doubt(name):
            os.fsync(fd)
    finally:
        os.close(fd)
    step(name)


def write_file(path: Path, octets: bytes, name: str) -> None:
    """Replace a small file so that a crash leaves the old or the new content, never half: write beside it,
    fsync, rename, fsync of the directory. Steps: NAME.write, NAME.fsync, NAME.rename, NAME.dirsync."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    with failures(path):
        try:
            _write_durably(beside, octets, name)
            rename(beside, path, f"{name}.rename")
        except (OSError, Unavailable):
            with contextlib.suppress(OSError):  # the first error is the one to tell
                beside.unlink()  # a disk that is full has no room for what nobody reads
            raise
        fsync_directory(path.parent, f"{name}.dirsync")


def _write_durably(path: Path, octets: bytes, name: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        rest = memoryview(octets)
        while rest:
            rest = rest[os.write(fd, rest) :]
        step(f"{name}.write")
        fsync(fd, f"{name}.fsync")
    finally:
        os.close(fd)
