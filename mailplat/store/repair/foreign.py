"""Files that another program, or somebody with a shell, put into a mailbox, and what becomes of them.

A message gets a file under a name of ours: names of others may be too long to carry a UID, hold octets that are no
text, or be used by their program again. It is a second link, so that no octet is copied, unless lines end with a bare
LF: IMAP and POP3 know CRLF only (RFC 9051 2.2), so that a copy with CRLF becomes the message, and the file as it was
goes to originals/ACCOUNT/MAILBOX/ in the shard. Flags in the name count, keywords do not: their letters mean
something else to each program. The date is the file's mtime.

What is true after a crash behind each step
    foreign.write, .fsync     a file in tmp/: verify sweeps it
    foreign.link, .rename, .dirsync   the file that was put here, and one of ours without a row: verify sweeps that,
                              or a rebuild adopts it and takes the other for its second link
    foreign.commit            the message, and the file that was put here: a second link, which verify removes
    foreign.original, .kept   nothing is open
Where lines were converted the two are not one file, and a crash in the second or third row may double the message.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from mailplat.core import disk
from mailplat.store.flagsets import SYSTEM_MASK
from mailplat.store.maildir import first_name, folder_of, letters, new_unique
from mailplat.store.repair.survey import File
from mailplat.store.site import Site
from mailplat.store.staging import open_plain

ORIGINALS = "originals"

_PIECE = 256 * 1024
_BARE_LF = re.compile(rb"(?<!\r)\n")


@dataclass(frozen=True, slots=True)
class Taken:
    """A file under a name of ours, and the one that it was made from."""

    file: File
    original: Path
    converted: bool


def is_foreign(file: File) -> bool:
    """Whether nobody of ours gave its name: what was adopted has a UID in it, whatever the rest."""
    return not file.said.ours and not file.said.uid


def take(site: Site, folder: Path, file: File) -> Taken:
    """A second file for a foreign one, or for one of ours from another mailbox; durable, but for its entry in the
    folder. Raises Unavailable, DiskFull."""
    original = folder / file.place / file.name
    unique = new_unique()
    information = f":2,{letters(file.said.mask & SYSTEM_MASK)}" if ":2," in file.name else ""
    with disk.failures(original), open_plain(original) as source:
        if not is_foreign(file) or not _has_bare_lf(source):
            key = file.said.key if file.said.ours else ""  # a name of ours says how it was delivered
            name = first_name(unique, file.size, file.said.zone, key=key) + information
            os.link(original, folder / folder_of(name) / name, follow_symlinks=False)
            disk.step("foreign.link")
            return Taken(_described(file, name, file.size), original, converted=False)
        beside = site.tmp / unique
        size = _convert(source, beside)
        name = first_name(unique, size) + information
        os.utime(beside, (file.mtime, file.mtime))
        disk.rename(beside, folder / folder_of(name) / name, "foreign.rename")
        return Taken(_described(file, name, size), original, converted=True)


def finish(site: Site, account_id: int, mailbox_id: int, taken: Taken) -> None:
    """After the commit: the original leaves the mailbox. Raises Unavailable, DiskFull."""
    disk.step("foreign.commit")
    with disk.failures(taken.original):
        if not taken.converted:
            taken.original.unlink(missing_ok=True)
            disk.step("foreign.original")
            return
        kept = site.path / ORIGINALS / str(account_id) / str(mailbox_id)
        kept.mkdir(parents=True, exist_ok=True, mode=0o700)
        target = kept / taken.original.name
        if os.path.lexists(target):
            target = kept / new_unique()
        disk.rename(taken.original, target, "foreign.original")
        disk.fsync_directory(kept, "foreign.kept")


def _described(file: File, name: str, size: int) -> File:
    return replace(file, place=folder_of(name), name=name, size=size)


def _has_bare_lf(source: BinaryIO) -> bool:
    """Leaves the file at its beginning."""
    try:
        return any(_BARE_LF.search(piece, skip) for piece, skip in _pieces(source))
    finally:
        source.seek(0)


def _convert(source: BinaryIO, target: Path) -> int:
    """Bare LF to CRLF, and nothing else. Returns the octets written. Steps: foreign.write, .fsync."""
    size = 0
    with open(target, "xb") as written:
        for piece, skip in _pieces(source):
            size += written.write(piece[:skip] + _BARE_LF.sub(b"\r\n", piece[skip:]))
        written.flush()
        disk.step("foreign.write")
        disk.fsync(written.fileno(), "foreign.fsync")
    return size


def _pieces(source: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """With 1 where the first octet is the LF of a CR that ended the piece before, else 0."""
    carry = False
    while piece := source.read(_PIECE):
        yield piece, int(carry and piece.startswith(b"\n"))
        carry = piece.endswith(b"\r")
