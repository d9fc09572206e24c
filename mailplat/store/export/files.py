"""Message files of an account into the export: a hard link where that can be, else a copy.

They are gathered in a folder of their own first. Where one was expunged, or moved to another mailbox, before it was
reached, the account is looked at again, and only what came meanwhile is gathered: until there is a moment of which
nothing is missing. Then the format gives each its place.
"""

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
from mailplat.store.export.picture import Folder, Message, Picture, take
from mailplat.store.export.tree import Tree
from mailplat.store.export.types import ExportReport, Note, Owner
from mailplat.store.maildir import folder_of
from mailplat.store.site import MailboxRow, Site

_CHUNK = 1 << 20

# Looks at an account in which something is always gone before it was reached. Each look gathers only what came since
# the one before, so that the second is mostly the last.
_ROUNDS = 10

# Why a file is copied instead: another filesystem, one without links, another user's file (fs.protected_hardlinks),
# no /proc, too many links (ext4: 65,000), a file whose last name is gone by now.
_NO_LINK = frozenset({errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.EACCES, errno.ENOENT, errno.EMLINK})


class Source(NamedTuple):
    """An open message file and what it says of itself."""

    fd: int
    size: int
    mtime: int


class Held(NamedTuple):
    size: int
    virtual_size: int | None  # with CRLF at the end of each line; None: linked, the octets were not read


class Files:
    """Of one shard; of one account at a time: `gather`, then `held` and `move` for each message, then `drop`."""

    def __init__(self, site: Site, tree: Tree, report: ExportReport, *, link: bool) -> None:
        self._site = site
        self._tree = tree
        self._report = report
        self._linking = link
        self._folder = tree.path / ".held"
        self._held: dict[tuple[int, int], Held] = {}  # by number of the mailbox and UID

    def gather(self, owner: Owner) -> Picture | None:
        """The account at a moment of which every file is held, but for those that are missing, which are problems.
        None: it is not here any more. Raises Unavailable, DiskFull."""
        self._tree.make(self._folder)
        missing: set[tuple[int, int]] = set()
        for _ in range(_ROUNDS):
            picture = take(self._site, owner.account_id)
            if picture is None:
                return None
            gone = sum(self._gather(owner, picture, folder, missing) for folder in picture.folders)
            if not gone:
                return picture
        self._report.gone += gone
        return picture

    def _gather(self, owner: Owner, picture: Picture, folder: Folder, missing: set[tuple[int, int]]) -> int:
        """How many were gone already."""
        gone = 0
        for message in folder.messages:
            key = (folder.row.id, message.uid)
            if key in self._held or key in missing:
                continue
            before = len(self._report.problems)
            source = self._open(owner.name, picture.residence, folder.row, message)
            if source is not None:
                try:
                    self._held[key] = self._hold(source, message.internaldate, self._path(key))
                finally:
                    os.close(source.fd)
            elif len(self._report.problems) > before:
                missing.add(key)
            else:
                gone += 1
        return gone

    def held(self, row: MailboxRow, message: Message) -> Held | None:
        return self._held.get((row.id, message.uid))

    def move(self, row: MailboxRow, message: Message, target: Path) -> None:
        """To its place. Step: export.move. Raises Unavailable, DiskFull."""
        key = (row.id, message.uid)
        held = self._held.pop(key)
        with disk.failures(target):
            disk.rename(self._path(key), target, "export.move")
        if held.virtual_size is None:
            self._report.linked += 1
        else:
            self._report.copied += 1
        self._report.messages += 1
        self._report.octets += held.size

    def drop(self) -> None:
        """What was expunged after it was gathered."""
        with disk.failures(self._folder):
            for key in self._held:
                self._path(key).unlink()
            self._held.clear()
            self._folder.rmdir()

    def _path(self, key: tuple[int, int]) -> Path:
        return self._folder / f"{key[0]}.{key[1]}"

    def _open(self, owner: str, residence: Residence, row: MailboxRow, message: Message) -> Source | None:
        """None: gone, or missing, which is a new problem of the report. Close `fd`. Raises DiskFull."""
        fd = self._by_name(self._site.mailbox_folder(row), message.name)
        if fd is None:
            try:
                fd = self._by_index(residence, row, message)
            except DiskFull:
                raise
            except Unavailable as error:
                self._problem("missing", owner, row, f"UID {message.uid}: {error}")
                return None
        if fd is None:
            return None
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            os.close(fd)
            self._problem("missing", owner, row, f"UID {message.uid}: {message.name} is no file")
            return None
        if status.st_size != message.size:
            text = f"UID {message.uid}: its file has {status.st_size} octets, the index says {message.size}"
            self._problem("size", owner, row, text)
        return Source(fd, status.st_size, int(status.st_mtime // 1))

    def _problem(self, kind: str, owner: str, row: MailboxRow, text: str) -> None:
        self._report.problems.append(Note(kind, owner, row.name, text))

    def _hold(self, source: Source, internaldate: int, target: Path) -> Held:
        """Step: export.hold. The file's mtime is its INTERNALDATE; one that says otherwise is copied, the shard's own
        is not touched."""
        with disk.failures(target):
            if self._linking and source.mtime == internaldate and self._link(source.fd, target):
                held = Held(source.size, None)
            else:
                held = Held(source.size, _copy(source.fd, target, internaldate))
                self._tree.give(target)
        disk.step("export.hold")
        return held

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
