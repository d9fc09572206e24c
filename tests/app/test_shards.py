"""`mailplat shard add`, and processes that run while it is called."""

import os
from pathlib import Path

import pytest

from mailplat.app.settings import load
from mailplat.app.shards import Shards
from tests.e2e.test_trouble import PASSWORD, send, subjects
from tests.e2e.wire import Wire
from tests.rig import ONE_WORKER, Rig

CARL = "carl@example.test"


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path / "platform", environment=ONE_WORKER)


def test_a_shard_is_added_while_everything_runs(rig: Rig, tmp_path: Path) -> None:
    rig.call("domain", "add", "example.test")
    rig.start()
    try:
        rig.call("shard", "add", "s3", str(tmp_path / "disk three"), "--weight", "1000000")
        rig.add_account(CARL, PASSWORD)  # by its weight it goes to the new one
        assert send(rig, 1, to=CARL) == 250
        wire = Wire(rig.ports["imap"])
        assert wire.tagged(f'LOGIN {CARL} "{PASSWORD}"'.encode()).startswith("x OK")
        assert subjects(wire) == [1]
        wire.close()
    finally:
        rig.stop()
    rows = {row["shard"]: row for row in rig.query("shard", "list")}
    assert (rows["s3"]["accounts"], rows["s3"]["weight"]) == (1, 1000000.0)
    assert (tmp_path / "disk three" / "index.db").exists()
    assert rig.query("shard", "verify") is not None


def test_the_configuration_keeps_all_else(rig: Rig, tmp_path: Path) -> None:
    real = rig.config.with_name("real.toml")
    rig.config.rename(real)
    rig.config.symlink_to(real)
    real.chmod(0o640)
    before = real.read_text()
    rig.call("shard", "add", "s3", str(tmp_path / 'with "quotes" and \\'))
    assert real.read_text().startswith(before)
    assert rig.config.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert load(rig.config, {}).store.shards["s3"].path == tmp_path / 'with "quotes" and \\'


@pytest.mark.parametrize(
    ("name", "path", "says"),
    [
        ("s1", "new", "shard s1 is there"),
        ("S 3", "new", "a shard's name has"),
        ("s3", "full", "is not empty"),
        ("s3", "platform/data/shards/s1/inside", "one is inside the other"),
        ("s3", "platform/data", "one is inside the other"),
        ("s3", "file", "Not a directory"),
    ],
)
def test_what_cannot_be_added(rig: Rig, tmp_path: Path, name: str, path: str, says: str) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter").touch()
    (tmp_path / "file").touch()
    before = rig.config.read_text()
    with pytest.raises(RuntimeError, match=says):
        rig.call("shard", "add", name, str(tmp_path / path))
    assert rig.config.read_text() == before
    assert not list(rig.root.glob(".*.new"))


def test_a_process_that_runs(rig: Rig, tmp_path: Path) -> None:
    shards = Shards(load(rig.config, {}))
    assert list(shards) == ["s1", "s2"]
    rig.call("shard", "add", "s3", str(tmp_path / "s3"))
    assert shards["s3"].path == tmp_path / "s3"
    text = rig.config.read_text()
    rig.config.write_text(
        text.replace('path = "data/shards/s1"', f'path = "{tmp_path}/moved"\nplacement = false')
    )
    assert list(shards) == ["s1", "s2", "s3"]
    assert not shards["s1"].placement
    assert shards["s1"].path.name == "s1", "mail is not looked for in another place under a process that runs"
    rig.config.write_text("[store")
    os.utime(rig.config, ns=(1, 1))
    assert list(shards) == ["s1", "s2", "s3"], "a file that cannot be read changes nothing"
