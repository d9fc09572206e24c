"""Folders and files below a mount. A name of an account or a mailbox never leads out of it, nor does a link: links to
folders are followed within the mount only, links to messages not at all.

Whatever else fails is Unavailable: a folder that cannot be read is not an empty one.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from mailplat.core.errors import NotFound, Unavailable
from migration.errors import Halt

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
# A FIFO that somebody put there must not hold us.
_FILE = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_ABSENT = (errno.ENOENT, errno.ENOTDIR)

# Of a list of UIDs, of keywords, of subscriptions, octets: two million messages.
MAX_LIST = 512 * 1024 * 1024
_CHUNK = 1024 * 1024


@contextlib.contextmanager
def failures(what: Path | str) -> Iterator[None]:
    """OSError as NotFound where nothing is there, else as Unavailable."""
    try:
        yield
    except OSError as error:
        if error.errno in _ABSENT:
            raise NotFound(f"{what}: there is none") from error
        raise Unavailable(f"{what}: {error.strerror or error}") from error


class Mount:
    """`path` is where it is mounted."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def check(self) -> None:
        """Raises Unavailable where nothing is mounted there: an empty folder, or none."""
        try:
            with failures(self.path), os.scandir(self.path) as entries:
                if next(entries, None) is not None:
                    return
        except NotFound as error:
            raise Unavailable(f"{self.path}: no such folder; is it mounted?") from error
        raise Unavailable(f"{self.path} is empty; is it mounted?")

    @contextlib.contextmanager
    def folder(self, path: Path) -> Iterator[int]:
        """Its descriptor. Raises NotFound, Unavailable; Halt where it is outside of the mount."""
        fd = self._open(path)
        try:
            yield fd
        finally:
            os.close(fd)

    def _open(self, path: Path) -> int:
        with failures(path):
            top, real = os.path.realpath(self.path, strict=True), os.path.realpath(path, strict=True)
            if os.path.commonpath((top, real)) != top:
                raise Halt(f"{path} leads to {real}, out of {top}: nothing there is read")
            fd = os.open(top, _FOLDER)
            try:
                # Nobody can put a link in between: none is followed from here on.
                for part in Path(real).relative_to(top).parts:
                    inner = os.open(part, _FOLDER, dir_fd=fd)
                    os.close(fd)
                    fd = inner
            except BaseException:
                os.close(fd)
                raise
        return fd

    def names(self, path: Path) -> list[str]:
        """All entries of a folder."""
        with self.folder(path) as fd, failures(path):
            return os.listdir(fd)

    def folders(self, path: Path) -> list[str]:
        """Entries that are folders, or links that lead to one; where that cannot be told, links too."""
        with self.folder(path) as fd, failures(path), os.scandir(fd) as entries:
            return [each.name for each in entries if _leads_to_folder(each)]

    def stamp(self, path: Path) -> int:
        """When its entries changed last, nanoseconds."""
        with self.folder(path) as fd, failures(path):
            return os.fstat(fd).st_mtime_ns

    def is_folder(self, path: Path) -> bool:
        try:
            with self.folder(path):
                return True
        except NotFound:
            return False

    def octets(self, folder: Path, name: str) -> bytes | None:
        """A small file's; None where there is none."""
        try:
            with self.folder(folder) as fd, failures(folder / name):
                file, status = open_file(fd, name)
        except NotFound:
            return None
        try:
            with failures(folder / name):
                if status.st_size > MAX_LIST:
                    raise Unavailable(f"{folder / name} has more than {MAX_LIST} octets")
                return read_all(file)
        finally:
            os.close(file)


def _leads_to_folder(entry: "os.DirEntry[str]") -> bool:
    if not entry.is_symlink():
        return entry.is_dir(follow_symlinks=False)
    try:
        return entry.is_dir()
    except OSError:
        return True  # whoever opens it says why


def open_file(folder: int, name: str) -> tuple[int, os.stat_result]:
    """Its descriptor, and what it is. Raises OSError; for what is no plain file OSError too."""
    fd = os.open(name, _FILE, dir_fd=folder)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a plain file")
    except BaseException:
        os.close(fd)
        raise
    return fd, status


def read_all(fd: int) -> bytes:
    pieces = []
    while piece := os.read(fd, _CHUNK):
        pieces.append(piece)
    return b"".join(pieces)
