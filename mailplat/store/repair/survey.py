"""What is on disk. Links are never followed: what is not a plain file or folder of ours is `strange`."""

import errno
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from mailplat.core import disk
from mailplat.store.maildir import FileName, folder_of, parse_name, spread
from mailplat.store.vault.owner import ROOT
from mailplat.wire.imap import mutf7
from mailplat.wire.imap.errors import BadSyntax

_PLACES = ("cur", "new")
_FOLDER = re.compile(r"\.m([1-9][0-9]{0,17})")


@dataclass(frozen=True)
class File:
    place: str  # "cur" or "new"
    name: str
    size: int
    mtime: int
    ctime: float  # when it came to be under this name; mtime is the INTERNALDATE
    inode: int

    @cached_property
    def said(self) -> FileName:
        """Parsed when somebody asks: of a shard in order nobody does."""
        return parse_name(self.name)

    @property
    def settled(self) -> bool:
        """In the folder that its name belongs to; `rows` can only speak of such files."""
        return folder_of(self.name) == self.place


@dataclass(slots=True)
class Contents:
    """Of one mailbox."""

    files: list[File] = field(default_factory=list)
    strange: list[str] = field(default_factory=list)  # "cur/name"


def accounts(root: Path) -> Iterator[tuple[int, Path]]:
    """Accounts by number, with their folders."""
    found: list[tuple[int, Path]] = []
    for spread_folder in _folders(root / "accounts"):
        for folder in _folders(spread_folder):
            if folder.name.isdecimal() and spread(int(folder.name)) == spread_folder.name:
                found.append((int(folder.name), folder))
    yield from sorted(found)


def mailboxes(account: Path) -> list[tuple[int, Path]]:
    """(number, folder) of each; INBOX, the account's own folder, has number 0 and comes first."""
    found = [
        (int(match[1]), folder) for folder in _folders(account) if (match := _FOLDER.fullmatch(folder.name))
    ]
    return [(0, account), *sorted(found)]


def foreign_mailboxes(account: Path) -> list[tuple[str, Path]]:
    """(name, folder) of each folder of a Maildir++ that another program made: `.Work.2020` is Work/2020."""
    found = []
    for folder in _folders(account):
        if folder.name.startswith(".") and not _FOLDER.fullmatch(folder.name) and (folder / "cur").is_dir():
            try:
                name = mutf7.decode(folder.name[1:].encode())
            except (BadSyntax, UnicodeError):
                name = ""  # rebuild finds one
            found.append((name.replace(".", "/"), folder))
    return sorted(found)


def contents(mailbox: Path) -> Contents:
    found = Contents()
    for place in _PLACES:
        with disk.failures(mailbox / place):
            try:
                fd = os.open(mailbox / place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            except OSError as error:
                if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                    raise
                found.strange.append(place)  # a link, or no folder
                continue
            try:
                with os.scandir(fd) as entries:
                    for entry in entries:
                        _look(place, entry, found)
            finally:
                os.close(fd)
    return found


def _look(place: str, entry: os.DirEntry[str], found: Contents) -> None:
    try:
        if not entry.is_file(follow_symlinks=False):
            found.strange.append(f"{place}/{entry.name}")
            return
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:  # renamed or expunged while we look
        return
    found.files.append(
        File(
            place,
            entry.name,
            status.st_size,
            int(status.st_mtime // 1),
            status.st_ctime,
            status.st_ino,
        )
    )


def files(root: Path) -> Iterator[Path]:
    """Of live messages and of the vault."""
    folders = [
        mailbox / place
        for _, account in accounts(root)
        for _, mailbox in mailboxes(account)
        for place in _PLACES
    ]
    for folder in (*folders, *(root / ROOT).glob("*/*/m*")):
        for name in names(folder):
            yield folder / name


def names(folder: Path) -> list[str]:
    """Of what is in it; none where there is no folder."""
    with disk.failures(folder):
        try:
            return os.listdir(folder)
        except (FileNotFoundError, NotADirectoryError):
            return []


def leftovers(tmp: Path, before: float) -> list[Path]:
    """What is in the shard's tmp/ and has not changed since `before` (Unix time): files, and folders of removed
    accounts."""
    found = []
    with disk.failures(tmp), os.scandir(tmp) as entries:
        for entry in entries:
            try:
                if entry.stat(follow_symlinks=False).st_ctime < before:
                    found.append(Path(entry.path))
            except FileNotFoundError:
                continue
    return found


def _folders(path: Path) -> list[Path]:
    with disk.failures(path):
        try:
            entries = list(os.scandir(path))
        except FileNotFoundError:
            return []
    return [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
