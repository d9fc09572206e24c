"""One mailbox as its folders and its list of UIDs say.

readdir may leave out a file that is renamed while it reads (every change of a flag is a rename), and NFS may show a
folder as it was a moment ago. So what the list of UIDs names and the folders lack is gone only when two looks at
folders that have not changed in between agree; the list itself keeps names of messages that are gone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mailplat.core.errors import Unavailable
from migration.sources.maildir.tree import Mount
from migration.sources.maildir.uidlist import Entry, UidList, base

# Looks at a mailbox whose files are renamed all the time, before it is left for later.
LOOKS = 10

File = tuple[str, str]  # folder, name


@dataclass(frozen=True, slots=True)
class Folder:
    """Where one mailbox is. `path` has cur/ and new/, `control` the list of UIDs; each below its mount."""

    name: str  # ours
    wire: bytes
    mount: Mount
    path: Path
    control_mount: Mount
    control: Path


@dataclass(frozen=True, slots=True)
class Message:
    base: str
    entry: Entry
    file: File


@dataclass(frozen=True, slots=True)
class Listing:
    uidlist: UidList | None  # None: there is no list yet
    messages: dict[int, Message]  # by UID, ascending
    without_uid: frozenset[str]  # files, by the part of the name that stays


def files(folder: Folder) -> tuple[dict[str, File], tuple[int, ...], bool]:
    """(by the part of the name that stays; when cur/ and new/ changed last; that they did not meanwhile). new/ first:
    a message that moves to cur/ meanwhile is seen at least once."""
    found: dict[str, File] = {}
    stamps: list[int] = []
    calm = True
    for place in ("new", "cur"):
        path = folder.path / place
        before = folder.mount.stamp(path)
        for name in folder.mount.names(path):
            if not name.startswith("."):
                found[base(name)] = (place, name)
        calm = calm and folder.mount.stamp(path) == before
        stamps.append(before)
    return found, tuple(stamps), calm


def look(folder: Folder, read_list: Callable[[Folder], UidList | None]) -> Listing:
    """Raises NotFound where the mailbox is gone, Unavailable where it cannot be read, or changes faster than that."""
    found: dict[str, File] = {}
    before: tuple[int, ...] | None = None
    for _ in range(LOOKS):
        more, stamps, calm = files(folder)
        found |= more
        uidlist = read_list(folder)
        entries = uidlist.entries if uidlist is not None else {}
        if entries.keys() <= found.keys() or (calm and stamps == before):
            messages = {
                entry.uid: Message(name, entry, found[name])
                for name, entry in entries.items()
                if name in found
            }
            return Listing(uidlist, messages, frozenset(found.keys() - entries.keys()))
        before = stamps if calm else None
    raise Unavailable(f"{folder.path}: its files are renamed faster than they can be listed")
