"""core/disk.py: small files."""

import os
from pathlib import Path

import pytest

from mailplat.core import disk
from mailplat.core.errors import Unavailable
from tests.core.limited import files_of_at_most


def test_a_small_file_that_cannot_be_written_stays_as_it_was_and_leaves_nothing_beside_it(
    tmp_path: Path,
) -> None:
    path = tmp_path / "mailplat-mailbox.json"
    disk.write_file(path, b"old", "test")
    with files_of_at_most(100), pytest.raises(Unavailable, match=r"mailplat-mailbox\.json"):
        disk.write_file(path, b"x" * 101, "test")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == [path.name]
