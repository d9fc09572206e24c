"""The one place where a message's file is opened for its octets.

A later release may keep files compressed or encrypted, and says so in their names (C=, maildir.py). Whoever wants the
octets of a message comes through here, so that decoding has one place. What moves, links or copies a file as it is
(COPY, the vault, a backup) does not look into it, and keeps its C=.
"""

import contextlib
import os
from pathlib import Path

from mailplat.core import disk
from mailplat.core.errors import Unavailable
from mailplat.store.maildir import parse_name


def open_file(path: Path | str) -> int | None:
    """A descriptor, None where there is no such file. Raises Unavailable, also for what this release cannot read."""
    if ",C=" in os.path.basename(path):  # names are many, and hardly one says that
        said = parse_name(os.path.basename(path))
        if not said.readable:
            raise Unavailable(f"{path}: {unreadable(said.coding)}")
    with contextlib.suppress(FileNotFoundError), disk.failures(path):
        # a link put there by hand must not lead out of the account
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    return None


def unreadable(coding: str) -> str:
    """What to tell an admin."""
    return f"encoded as {coding!r} by a later release; it is kept: install that release to read it"
