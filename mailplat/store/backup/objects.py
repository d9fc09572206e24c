"""Octets into a backup and out of it: hard links on one filesystem, else copies; durable batch by batch."""

import contextlib
import errno
import hashlib
import os
from pathlib import Path

from mailplat.core import disk
from mailplat.store.backup.manifest import CHUNK, digest_file
from mailplat.store.backup.repository import Repository
from mailplat.store.backup.verify import DAMAGED, MISSING
from mailplat.store.types import Problem

# A file up to this is read once: hashed and copied from memory.
_SMALL = 4 << 20

# Why a file cannot be linked and is copied instead: another filesystem, a filesystem without links, no /proc, too
# many links (ext4: 65,000), a file whose last name is gone.
_NO_LINK = frozenset({errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.ENOENT, errno.EMLINK, errno.EACCES})


class Flush:
    """New files and names in some folders of one filesystem, made durable together: by one syncfs where the system
    has it, else by an fsync each. Open it before the first of them is written."""

    def __init__(self, folder: Path) -> None:
        self._batch = disk.Batch(folder) if disk.Batch.supported else None
        self._folder = folder
        self._files: list[Path] = []
        self._folders: set[Path] = set()

    def close(self) -> None:
        if self._batch is not None:
            self._batch.close()

    def add(self, file: Path) -> None:
        """A file that was written, and its name."""
        if self._batch is None:
            self._files.append(file)
            self._folders.add(file.parent)

    def add_name(self, file: Path) -> None:
        """The name of a file whose octets are on disk."""
        if self._batch is None:
            self._folders.add(file.parent)

    def sync(self, step: str) -> None:
        if self._batch is not None:
            self._batch.sync(step)
            return
        with disk.failures(self._folder):
            for file in self._files:
                fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    disk.fsync(fd, step)
                finally:
                    os.close(fd)
            for folder in self._folders:
                disk.fsync_directory(folder, step)
        self._files.clear()
        self._folders.clear()


class Intake:
    """One batch of files on their way into `objects/`. `take` each, then `settle`; only then may anything speak of
    them."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._flush = Flush(repository.path)
        self._staged: list[tuple[Path, Path]] = []
        self._linking = True
        self.linked = 0
        self.copied = 0
        self.octets = 0  # of what was new

    def close(self) -> None:
        self._flush.close()

    def take(self, fd: int) -> tuple[str, int]:
        """(digest, size) of an open file, which stays open. Raises DiskFull, Unavailable."""
        with disk.failures(self._repository.path):
            size = os.fstat(fd).st_size
            octets = _read(fd) if size <= _SMALL else None
            digest = hashlib.sha256(octets).hexdigest() if octets is not None else _digest(fd)
            if octets is not None:
                size = len(octets)
            target = self._repository.object(digest)
            if not target.exists():
                self.octets += size
                if not (self._linking and self._link(fd, target)):
                    self._copy(fd, octets, target)
        return digest, size

    def settle(self) -> None:
        """Steps: backup.sync, backup.rename, backup.dirsync."""
        if self._staged:
            self._flush.sync("backup.sync")
            with disk.failures(self._repository.path):
                for source, target in self._staged:
                    disk.rename(source, target, "backup.rename")
                    self._flush.add_name(target)
        self._staged.clear()
        self._flush.sync("backup.dirsync")

    def _link(self, fd: int, target: Path) -> bool:
        """By descriptor: it is this file that was hashed, whatever its name is by now. The octets are on disk: they
        were before their row was."""
        try:
            # src_dir_fd is not used by an absolute path; only with it does Python ask linkat to follow
            os.link(f"/proc/self/fd/{fd}", target, src_dir_fd=fd, follow_symlinks=True)
        except FileExistsError:
            return True
        except OSError as error:
            if error.errno not in _NO_LINK:
                raise
            self._linking = error.errno in (errno.EMLINK, errno.ENOENT)  # of this file only
            return False
        self._flush.add_name(target)
        self.linked += 1
        disk.step("backup.link")
        return True

    def _copy(self, fd: int, octets: bytes | None, target: Path) -> None:
        staged = self._repository.tmp / target.name
        if staged.exists():  # twice in one batch
            return
        copy_file(fd, staged, octets=octets)
        self._flush.add(staged)
        self._staged.append((staged, target))
        self.copied += 1
        disk.step("backup.copy")


def copy_file(fd: int, target: Path, *, octets: bytes | None = None, mtime: int | None = None) -> None:
    """A new file with the same octets and, unless told another, the same mtime. Not durable yet."""
    date = os.fstat(fd).st_mtime_ns if mtime is None else mtime * 10**9
    with contextlib.ExitStack() as stack:
        copy = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        stack.callback(os.close, copy)
        if octets is not None:
            _write(copy, octets)
        else:
            at = 0
            while chunk := os.pread(fd, CHUNK, at):
                _write(copy, chunk)
                at += len(chunk)
        os.utime(copy, ns=(date, date))


def put_back(
    repository: Repository, digest: str, target: Path, date: int, what: str, flush: Flush
) -> Problem | None:
    """An object as the file `target` with this mtime: by a link where it has that already, else by a copy. Says what
    is wrong with it instead, of `what`, when it is missing or not what it was. Step: restore.file."""
    source = repository.object(digest)
    relative = str(source.relative_to(repository.path))
    try:
        if digest_file(source) != digest:
            return Problem(DAMAGED, relative, f"{what}: not restored")
    except FileNotFoundError:
        return Problem(MISSING, relative, f"{what}: not restored")
    with disk.failures(target):
        if not _link_back(source, target, date):
            fd = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
            try:
                copy_file(fd, target, mtime=date)
            finally:
                os.close(fd)
        flush.add(target)
    disk.step("restore.file")
    return None


def _link_back(source: Path, target: Path, date: int) -> bool:
    """Where the object has this date too, and the filesystem can."""
    if int(source.stat().st_mtime // 1) != date:
        return False
    with contextlib.suppress(PermissionError, NotImplementedError):
        try:
            os.link(source, target, follow_symlinks=False)
            return True
        except FileExistsError:
            raise
        except OSError:  # another filesystem, too many links: a copy says why where that fails too
            return False
    return False


def _read(fd: int) -> bytes:
    pieces = []
    at = 0
    while piece := os.pread(fd, _SMALL, at):
        pieces.append(piece)
        at += len(piece)
    return b"".join(pieces)


def _digest(fd: int) -> str:
    digest = hashlib.sha256()
    at = 0
    while chunk := os.pread(fd, CHUNK, at):
        digest.update(chunk)
        at += len(chunk)
    return digest.hexdigest()


def _write(fd: int, octets: bytes) -> None:
    rest = memoryview(octets)
    while rest:
        rest = rest[os.write(fd, rest) :]
