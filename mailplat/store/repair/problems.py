"""Kinds of differences between index and files, and what `rebuild` does about each; the words are stable, monitors
may look for them."""

import os
from pathlib import Path

from mailplat.store import identity
from mailplat.store.types import Problem

MISSING = "missing"  # a row whose file is not there
SIZE = "size"  # a file that is shorter or longer than its row says
NAME = "name"  # a file under another name than its row says: somebody renamed it
FOREIGN = "foreign"  # a file without a row that is no leftover of ours
DOUBLE = "double"  # two files that claim to be one message
COUNT = "count"  # totals that were not those of the rows (corrected)
RENDERING = "rendering"  # a row without its rendering
FOLDER = "folder"  # a mailbox without its folder
STRANGE = "strange"  # what no mailbox, account or message is: a link, a device, a folder of another name
UNREADABLE = "unreadable"  # a file that a later release has encoded; it is kept
UNKNOWN = "unknown"  # a folder with mail that the index does not know
DESCRIPTION = "description"  # a mailbox or account whose small file is missing or cannot be read
LINES = "lines"  # a file that was put here with bare LF: what IMAP and POP3 show has CRLF


def problem(kind: str, path: Path, text: str) -> Problem:
    """Names on disk may hold anything: what a terminal cannot show, or takes for a command, is written as \\x1b."""
    return Problem(kind, _visible(os.fsdecode(path)), _visible(text))


def _visible(text: str) -> str:
    whole = os.fsencode(text).decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in whole)


CURES = {
    MISSING: "the message is gone for clients, as if it had been expunged; look for it in a backup first",
    SIZE: "the message stays under its UID with what the file has; look for it in a backup first",
    NAME: "the flags in the name are taken",
    FOREIGN: "becomes a message with a new UID",
    DOUBLE: "becomes a message with a new UID; removed if it is the same, octet for octet",
    COUNT: "corrected already",
    RENDERING: "made from the file",
    FOLDER: "the mailbox is gone; an account begins again, empty; look for it in a backup first",
    STRANGE: "left alone, never followed: remove it by hand",
    UNKNOWN: "becomes a mailbox or an account, or a message, again",
    DESCRIPTION: "written from the index; where that is lost too, comes back under Recovered/ with a new UIDVALIDITY",
    LINES: "becomes a message with CRLF; the file as it was is kept in originals/",
    identity.ABSENT: "nothing: mount the disk, or `shard restore`, or `shard adopt --empty`",
    identity.FOREIGN_SHARD: "nothing: mount the right disk, or `shard adopt`",
    identity.MISSING: "a new index from the files",
    identity.DAMAGED: "a new index from the files; the damaged one is kept beside it",
    identity.FOREIGN_INDEX: "a new index from the files; the other shard's is kept beside it",
    identity.OLDER: "a new index from the files; of the old one only what no file says is kept",
    identity.UNMARKED: "a new index from the files; of the old one only what no file says is kept",
}
