"""What Dovecot and Courier do differently, and what they share: Maildir++ folders, letters of flags."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from mailplat.core.errors import NotFound, Unavailable
from migration.errors import Halt
from migration.sources.maildir.listing import Folder, Listing
from migration.sources.maildir.octets import LineEnds
from migration.sources.maildir.tree import Mount
from migration.sources.maildir.uidlist import UidList
from migration.sources.names import decode_name

# What a name says behind ":2," (https://cr.yp.to/proto/maildir.html). P, passed, has no counterpart in IMAP: neither
# server shows it.
LETTERS = {"D": "\\Draft", "F": "\\Flagged", "R": "\\Answered", "S": "\\Seen", "T": "\\Deleted"}

Flags = Callable[[str, str], tuple[str, ...]]  # (what stays of a file's name, its name)


class Layout(Protocol):
    """The files of one account. Synchronous; every method raises Unavailable where something cannot be read."""

    line_ends: LineEnds
    by_select: bool  # the server gives UIDs at a SELECT only, not at STATUS

    def folders(self, prefix: Sequence[str]) -> list[Folder]:
        """All mailboxes; `prefix`: the levels that clients see above all but INBOX."""
        ...

    def subscriptions(self, prefix: Sequence[str]) -> frozenset[str]: ...

    def uidlist(self, folder: Folder) -> UidList | None: ...

    def flags(self, folder: Folder) -> Flags | None:
        """How flags are read, as of now: ask after the listing. None: the files do not say all of them."""
        ...

    def uidls(self, folder: Folder, listing: Listing, text: str) -> Mapping[int, str]:
        """POP3 UIDLs of INBOX, by UID in POP3's order; `text` is the backend's format, where one is known. A message
        that has none yet is left out."""
        ...


def decode(levels: Sequence[bytes], prefix: Sequence[str]) -> str:
    """Our name of a mailbox: as decode_name makes it of what the server shows."""
    return decode_name(b"/".join([*(each.encode() for each in prefix), *levels]), b"/")


def check_root(mount: Mount, path: Path) -> None:
    mount.check()
    try:
        with mount.folder(path):
            return
    except NotFound as error:
        raise Unavailable(
            f"{path}: no such folder. Is {mount.path} mounted, and is that where the mail lies?"
        ) from error


def dotted(mount: Mount, root: Path) -> list[tuple[list[bytes], str]]:
    """Folders of Maildir++: (levels, name of the folder)."""
    found = []
    for name in sorted(mount.folders(root)):
        levels = name.encode("utf-8", "surrogateescape")[1:].split(b".")
        if name.startswith(".") and all(levels) and mount.is_folder(root / name / "cur"):
            found.append((levels, name))
    return _bounded(found, root, mount.limits.mailboxes)


def nested(mount: Mount, root: Path) -> list[tuple[list[bytes], str]]:
    """Folders in folders (LAYOUT=fs)."""
    found: list[tuple[list[bytes], str]] = []
    waiting = [""]
    while waiting:
        above = waiting.pop()
        try:
            inner = mount.folders(root / above)
        except NotFound:
            if not above:
                raise
            continue  # deleted meanwhile; where the server still has it that is seen
        for name in inner:
            if name in ("cur", "new", "tmp"):
                continue
            path = f"{above}/{name}" if above else name
            levels = path.encode("utf-8", "surrogateescape").split(b"/")
            if len(levels) > mount.limits.depth:
                raise Halt(f"{root / path}: {mount.limits.depth} levels of folders; a link in a circle?")
            waiting.append(path)
            if mount.is_folder(root / path / "cur"):
                found.append((levels, path))
        _bounded(found, root, mount.limits.mailboxes)
    return sorted(found)


def _bounded(found: list[tuple[list[bytes], str]], root: Path, most: int) -> list[tuple[list[bytes], str]]:
    if len(found) > most:
        raise Halt(f"{root}: more than {most} mailboxes")
    return found


def letters(name: str) -> str:
    """Behind ":2,"."""
    _, _, information = name.partition(":")
    return information[2:] if information.startswith("2,") else ""
