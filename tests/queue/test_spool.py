from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.queue.spool import FOLDER_S, SpoolDirectory, new_id


@given(st.floats(0, 2**34))
def test_ids_sort_by_time_and_differ(now: float) -> None:
    first, second, later = new_id(now), new_id(now), new_id(now + 1)
    assert first != second
    assert max(first, second) < later


def test_names_never_become_paths(tmp_path: Path) -> None:
    spool = SpoolDirectory(tmp_path)
    for name in ("../../etc/passwd", "", "x" * 16, "0" * 15, "0" * 15 + "/", "0" * 16 + "\n"):
        with pytest.raises(ValueError):
            spool.path(name)


def test_messages_of_one_moment_share_a_folder_and_all_folders_are_used(tmp_path: Path) -> None:
    spool = SpoolDirectory(tmp_path)
    moment = 1_700_000_000 // FOLDER_S * FOLDER_S
    assert len({spool.path(new_id(moment + step / 10)).parent for step in range(FOLDER_S * 10)}) == 1
    assert len({spool.path(new_id(moment + FOLDER_S * step)).parent for step in range(256)}) == 256
    assert spool.path(new_id(moment)).parent.is_dir()


def test_identity_stays(tmp_path: Path) -> None:
    assert SpoolDirectory(tmp_path).identity == SpoolDirectory(tmp_path).identity
    assert SpoolDirectory(tmp_path / "b").identity != SpoolDirectory(tmp_path).identity
