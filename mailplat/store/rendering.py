"""A message in a file, rendered for the index, whatever its size."""

import os
from pathlib import Path
from typing import BinaryIO, cast

from mailplat.core import disk
from mailplat.store.mapped import MappedFile
from mailplat.store.opening import open_file
from mailplat.wire.mime import Rendering, render

# Octets up to which reading a file is cheaper than mapping it.
_SMALL = 256 * 1024


def render_file(path: Path) -> Rendering:
    """What is in a file, whatever its size, without reading it into our memory. Raises FileNotFoundError,
    Unavailable."""
    fd = open_file(path)
    if fd is None:
        raise FileNotFoundError(path)
    with os.fdopen(fd, "rb") as file, disk.failures(path):
        return render_open(file)


def render_open(file: BinaryIO, *, with_preview: bool = True) -> Rendering:
    """The same of a file that is open. Raises OSError."""
    if os.fstat(file.fileno()).st_size <= _SMALL:
        return render(file.read(), with_preview=with_preview)
    with MappedFile.of(file.fileno()) as octets:  # scans, and copies header blocks only
        return render(cast(bytes, octets), with_preview=with_preview)
