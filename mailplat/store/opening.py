"""The one place where a message's file is opened for its octets.

A later release may keep files compressed or encrypted, and says so in their names (C=, maildir.py). Whoever wants the
octets of a message comes through here, so that decoding has one place. What moves, links or copies a file as it is
(COPY, the vault, a backup) does not look into it, and keeps its C=.
"""

import os
from pathlib import Path

from mailplat.core import disk
from mailplat.core.errors import Unavailable
from mailplat.store.maildir import parse_name

# One read of what a file has beyond the size that was expected, octets.
_PIECE = 1024 * 1024


# A link put there by hand must not lead out of the account.
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW


def open_file(path: Path | str) -> int | None:
    """A descriptor, None where there is no such file. Raises Unavailable, also for what this release cannot read."""
    _check_coding(path)
    try:
        return os.open(path, _FLAGS)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise disk.refusal(path, error) from error


def open_folder(path: Path) -> int | None:
    """A descriptor for read_file, None where there is no such folder. Raises Unavailable."""
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise disk.refusal(path, error) from error


def read_file(name: str, size: int, folder: int) -> bytes | None:
    """The whole message, None where there is no such file. `name` is relative to an open folder. Raises Unavailable
    as `open_file`.

    `size`, the index's word for its octets, is a hint: where it is right the system is called three times, and
    messages are many and small. Where it is not, the octets are those of the file."""
    if ",C=" in name:
        _check_coding(name)
    try:
        fd = os.open(name, _FLAGS, dir_fd=folder)
        try:
            octets = os.read(fd, size + 1)
            return octets if len(octets) == size else _read_on(fd, octets)
        finally:
            os.close(fd)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise disk.refusal(name, error) from error


def read_all(fd: int) -> bytes:
    """The whole message; closes the descriptor. Raises Unavailable."""
    with os.fdopen(fd, "rb", buffering=0) as file, disk.failures("message file"):
        return file.readall()


def _read_on(fd: int, octets: bytes) -> bytes:
    pieces = [octets]
    while piece := os.read(fd, _PIECE):
        pieces.append(piece)
    return b"".join(pieces)


def _check_coding(path: Path | str) -> None:
    """Raises Unavailable for what this release cannot read."""
    if ",C=" in os.path.basename(path):  # names are many, and hardly one says that
        said = parse_name(os.path.basename(path))
        if not said.readable:
            raise Unavailable(f"{path}: {unreadable(said.coding)}")


def unreadable(coding: str) -> str:
    """What to tell an admin."""
    return f"encoded as {coding!r} by a later release; it is kept: install that release to read it"
