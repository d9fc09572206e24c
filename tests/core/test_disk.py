import contextlib
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailplat.core import disk
from mailplat.core.errors import Unavailable


@contextlib.contextmanager
def files_of_at_most(octets: int) -> Iterator[None]:
    """The kernel refuses any write beyond (EFBIG)."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (octets, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_small_file_that_cannot_be_written_stays_as_it_was_and_leaves_nothing_beside_it(
    tmp_path: Path,
) -> None:
    path = tmp_path / "mailplat-mailbox.json"
    disk.write_file(path, b"old", "test")
    with files_of_at_most(100), pytest.raises(Unavailable, match=r"mailplat-mailbox\.json"):
        disk.write_file(path, b"x" * 101, "test")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == [path.name]
