"""One message file into the export: a hard link where that can be, else a copy."""

import contextlib
import errno
import os
import stat
from pathlib import Path
from typing import NamedTuple

from mailplat.core import disk
from mailplat.core.errors import DiskFull, NotFound, Unavailable
from mailplat.core.route import Residence
from mailplat.store import fetch
from mailplat.store.export.picture import Message
from mailplat.store.export.types import ExportReport, Note
from mailplat.store.maildir import folder_of
from mailplat.store.site import MailboxRow, Site

_CHUNK = 1 << 20

# Why a file is copied instead: another filesystem, one without links, another user's file (fs.protected_hardlinks),
# no /proc, too many links (ext4: 65,000), a file whose last name is gone by now.
_NO_LINK = frozenset({errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.EACCES, errno.ENOENT, errno.EMLINK})


class Source(NamedTuple):
    """An open message file and what it says of itself."""

    fd: int
    size: int
    mtime: int


class Placed(NamedTuple):
    size: int
    virtual_size: int | None  # with CRLF at the end of each line; None: the octets were not read


class Files:
    """Message files of one shard, on their way into the folder of an export."""

    def __init__(self, site: Site, report: ExportReport, *, link: bool) -> None:
        self._site = site
        self._report = report
        self._linking = link

    def open(self, owner: str, residence: Residence, row: MailboxRow, message: Message) -> Source | None:
        """None: expunged meanwhile (counted), or missing (a problem of the report). Close `fd`. Raises DiskFull."""
        fd = self._by_name(self._site.mailbox_folder(row), message.name)
        if fd is None:
            try:
                fd = self._by_index(residence, row, message)
            except DiskFull:
                raise
            except Unavailable as error:
                self._report.problems.append(Note("missing", owner, row.name, f"UID {message.uid}: {error}"))
                return None
        if fd is None:
            self._report.gone += 1
            return None
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            os.close(fd)
            text = f"UID {message.uid}: {message.name} is no file"
            self._report.problems.append(Note("missing", owner, row.name, text))
            return None
        if status.st_size != message.size:
            text = f"UID {message.uid}: its file has {status.st_size} octets, the index says {message.size}"
            self._report.problems.append(Note("size", owner, row.name, text))
        return Source(fd, status.st_size, int(status.st_mtime // 1))

    def place(self, source: Source, internaldate: int, target: Path) -> Placed:
        """Step: export.place. The file's mtime is its INTERNALDATE; one that says otherwise is copied, the shard's
        own is not touched. Raises Unavailable, DiskFull."""
        with disk.failures(target):
            if self._linking and source.mtime == internaldate and self._link(source.fd, target):
                self._report.linked += 1
                placed = Placed(source.size, None)
            else:
                placed = Placed(source.size, _copy(source.fd, target, internaldate))
                self._report.copied += 1
        disk.step("export.place")
        return placed

    def _link(self, fd: int, target: Path) -> bool:
        """By descriptor: this file, whatever its name is by now."""
        try:
            # src_dir_fd is not used by an absolute path; only with it does Python ask linkat to follow
            os.link(f"/proc/self/fd/{fd}", target, src_dir_fd=fd, follow_symlinks=True)
        except OSError as error:
            if error.errno not in _NO_LINK:
                raise
            self._linking = error.errno in (errno.EMLINK, errno.ENOENT)  # of this file only
            return False
        return True

    @staticmethod
    def _by_name(folder: Path, name: str) -> int | None:
        path = folder / folder_of(name) / name
        with contextlib.suppress(FileNotFoundError, Unavailable), disk.failures(path):
            # a link put there by hand must not lead out of the account
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        return None  # asked for again through the index, which says what is wrong

    def _by_index(self, residence: Residence, row: MailboxRow, message: Message) -> int | None:
        """The file under its present name; None: expunged. Raises Unavailable."""
        try:
            file = fetch.open_message(self._site, residence, row.id, message.uid)
        except NotFound:  # with its mailbox
            return None
        if file is None:
            return None
        with file:
            return os.dup(file.fileno())


def _copy(fd: int, target: Path, mtime: int) -> int:
    """Returns the virtual size: its octets when each line ends with CRLF. Not durable yet."""
    virtual = 0
    last = b""
    at = 0
    copy = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        while chunk := os.pread(fd, _CHUNK, at):
            at += len(chunk)
            virtual += len(chunk) + chunk.count(b"\n") - chunk.count(b"\r\n")
            virtual -= last == b"\r" and chunk[:1] == b"\n"
            last = chunk[-1:]
            rest = memoryview(chunk)
            while rest:
                rest = rest[os.write(copy, rest) :]
        os.utime(copy, (mtime, mtime))
    finally:
        os.close(copy)
    return virtual
