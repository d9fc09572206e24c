"""Folders and files below a mount. A name of an account or a mailbox never leads out of it, nor does a link: links to
folders are followed within the account's own folder, and within the mount where root has made them (a user with a
shell could else have other users' mail copied into a mailbox of his); links to messages not at all.

Whatever else fails is Unavailable: a folder that cannot be read is not an empty one.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from mailplat.core.errors import NotFound, Unavailable
from mailplat.core.limits.sources import SourceLimits
from migration.errors import Halt
from migration.sources.maildir.location import Template

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
# A FIFO that somebody put there must not hold us.
_FILE = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
# Whose links may lead to other folders of the mount.
_ROOT = 0
_ABSENT = (errno.ENOENT, errno.ENOTDIR)

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
    """`path` is where it is mounted, `own` the folder of the account whose mail is read: its user may have made every
    link below that."""

    def __init__(self, path: Path, own: Path, limits: SourceLimits) -> None:
        self.path = path
        self.limits = limits
        self._own = own

    @classmethod
    def of(cls, template: Template, account: str, limits: SourceLimits) -> Self:
        """Raises Halt for an address that would lead out of its folder."""
        return cls(template.mount, template.own(account), limits)

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
            top, own = os.path.realpath(self.path, strict=True), os.path.realpath(self._own, strict=True)
            _within(top, own, self._own)
            fd, here = _walk(top, own), own
            try:
                for part in path.relative_to(self._own).parts:
                    inner, here = self._enter(fd, here, part, top, own)
                    os.close(fd)
                    fd = inner
            except BaseException:
                os.close(fd)
                raise
        return fd

    def _enter(self, folder: int, here: str, part: str, top: str, own: str) -> tuple[int, str]:
        """A folder in the folder `here`, and where it really is. Nobody can put a link in between: where one is
        followed, it is the one that was looked at."""
        try:
            return os.open(part, _FOLDER, dir_fd=folder), os.path.join(here, part)
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENOTDIR):
                raise
            link = os.open(part, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            try:
                status = os.fstat(link)
                if not stat.S_ISLNK(status.st_mode):
                    raise
                target = os.readlink("", dir_fd=link)
            finally:
                os.close(link)
        name = Path(here, part)
        real = os.path.realpath(os.path.join(here, target), strict=True)
        _within(top, real, name)
        if status.st_uid != _ROOT:
            _within(own, real, name)
        return _walk(top, real), real

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
                if status.st_size > self.limits.index:
                    raise Unavailable(f"{folder / name} has more than {self.limits.index} octets")
                return read_all(file)
        finally:
            os.close(file)


def _within(folder: str, real: str, name: Path) -> None:
    """Raises Halt."""
    if os.path.commonpath((folder, real)) != folder:
        raise Halt(
            f"{name} leads to {real}, out of {folder}: nothing there is read. A link within the mount that is to be"
            " followed must belong to root"
        )


def _walk(top: str, real: str) -> int:
    """The folder `real` below `top`, if there are no links on the way now."""
    fd = os.open(top, _FOLDER)
    try:
        for part in Path(real).relative_to(top).parts:
            inner = os.open(part, _FOLDER, dir_fd=fd)
            os.close(fd)
            fd = inner
    except BaseException:
        os.close(fd)
        raise
    return fd


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
