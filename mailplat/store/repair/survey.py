"""What is on disk. Links are never followed: what is not a plain file or folder of ours is `strange`."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mailplat.core import disk
from mailplat.store.maildir import FileName, folder_of, parse_name, spread

_FOLDER = re.compile(r"\.m([1-9][0-9]{0,17})")


@dataclass(frozen=True, slots=True)
class File:
    place: str  # "cur" or "new"
    name: str
    size: int
    mtime: int
    ctime: float  # when it came to be under this name; mtime is the INTERNALDATE
    inode: int
    said: FileName

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


def contents(mailbox: Path) -> Contents:
    found = Contents()
    for place in ("cur", "new"):
        with disk.failures(mailbox / place):
            try:
                entries = list(os.scandir(mailbox / place))
            except FileNotFoundError:
                continue
            except NotADirectoryError:
                found.strange.append(place)
                continue
            for entry in entries:
                try:
                    if not entry.is_file(follow_symlinks=False):
                        found.strange.append(f"{place}/{entry.name}")
                        continue
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:  # renamed or expunged while we look
                    continue
                said = parse_name(entry.name)
                found.files.append(
                    File(
                        place,
                        entry.name,
                        status.st_size,
                        int(status.st_mtime // 1),
                        status.st_ctime,
                        status.st_ino,
                        said,
                    )
                )
    return found


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
