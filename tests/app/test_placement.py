"""Where new accounts go."""

import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailplat.app.placement import Placement
from mailplat.app.sections import ShardSection
from mailplat.core.errors import Unavailable


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A filesystem of its own."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a filesystem")
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=80m", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


def spread(placement: Placement, accounts: int) -> Counter[str]:
    counts: Counter[str] = Counter()
    for _ in range(accounts):
        counts[placement.choose(counts)] += 1
    return counts


def test_a_shard_takes_its_share_by_weight(tmp_path: Path) -> None:
    shards = {
        name: ShardSection(path=tmp_path / name, weight=weight)
        for name, weight in (("a", 1.0), ("b", 3.0), ("c", 1.0))
    }
    counts = spread(Placement(shards), 100)
    assert 59 <= counts["b"] <= 61
    assert abs(counts["a"] - counts["c"]) <= 1


def test_a_larger_disk_takes_more(tmp_path: Path, small: Path) -> None:
    """80 MB beside gigabytes."""
    shards = {"large": ShardSection(path=tmp_path / "large"), "small": ShardSection(path=small)}
    assert spread(Placement(shards), 10) == {"large": 10}


def test_a_shard_with_placement_off_takes_nothing(tmp_path: Path) -> None:
    shards = {
        "a": ShardSection(path=tmp_path / "a", weight=100, placement=False),
        "b": ShardSection(path=tmp_path / "b"),
    }
    assert spread(Placement(shards), 5) == {"b": 5}


def test_a_shard_that_is_drained_takes_nothing(tmp_path: Path) -> None:
    shards = {name: ShardSection(path=tmp_path / name) for name in "abc"}
    drained = {"a"}
    placement = Placement(shards, drained=lambda: drained)
    assert placement.candidates() == ["b", "c"]
    drained.clear()
    assert placement.candidates() == ["a", "b", "c"], "asked anew each time"


def test_one_that_is_named_takes_also_with_placement_off(tmp_path: Path) -> None:
    shards = {name: ShardSection(path=tmp_path / name, placement=False) for name in "ab"}
    assert Placement(shards).choose({}, ["b"]) == "b"
    with pytest.raises(Unavailable, match="b: is being drained"):
        Placement(shards, drained=lambda: {"b"}).choose({}, ["b"])


def test_a_full_disk_takes_nothing(tmp_path: Path, small: Path) -> None:
    (small / "filling").write_bytes(bytes(30 << 20))
    placement = Placement({"a": ShardSection(path=small), "b": ShardSection(path=tmp_path / "b")})
    assert "less than 64 MiB free" in placement.condition("a").trouble
    assert placement.candidates() == ["b"]


def test_a_read_only_disk_takes_nothing(tmp_path: Path, small: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", small], check=True)
    placement = Placement({"a": ShardSection(path=small), "b": ShardSection(path=tmp_path / "b")})
    assert "Read-only file system" in placement.condition("a").trouble
    assert placement.candidates() == ["b"]


def test_no_shard_takes_accounts(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    shards = {
        "off": ShardSection(path=tmp_path / "a", placement=False),
        "broken": ShardSection(path=tmp_path / "file"),
    }
    with pytest.raises(Unavailable, match=r"broken: .*Not a directory.*off: placement is off"):
        Placement(shards).choose({})


def test_a_look_leaves_nothing_behind(tmp_path: Path) -> None:
    placement = Placement({"a": ShardSection(path=tmp_path / "a")})
    placement.choose({})
    assert [entry for entry in (tmp_path / "a").rglob("*") if entry.is_file()] == []
