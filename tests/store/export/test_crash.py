"""The crash table of exports, row by row: kill -9 after each named step, then somebody looks at what is there."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mailplat.core import disk
from mailplat.core.errors import InvalidInput
from mailplat.store.export import export
from mailplat.store.repair import verify
from tests.store.conftest import HOME, Rig, letter, new
from tests.store.export.conftest import ANN

ROOT = Path(__file__).resolve().parents[3]

# The table in mailplat/store/export/__init__.py, and whether the export may be taken for whole.
TABLE = {
    "export.marker": False,
    "export.marked": False,
    "export.hold": False,
    "export.move": False,
    "export.sync": False,
    "export.manifest.write": False,
    "export.manifest.fsync": False,
    "export.manifest.rename": False,
    "export.manifest.dirsync": False,
    "export.whole": True,
    "export.done": True,
}

LAST = ("export.hold:5", "export.move:5")  # of the five messages


def run(root: Path, armed: list[str]) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.store.export.crash", str(root)],
        input="".join(f"{step}\n" for step in armed),
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
        timeout=100,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def is_whole(rig: Rig, folder: Path) -> bool:
    """As an admin would know; where it says so, everything that it counts is there."""
    if (folder / "INCOMPLETE").exists():
        return False
    manifest = json.loads((folder / "manifest.json").read_text())
    (account,) = manifest["accounts"]
    for entry in account["mailboxes"]:
        place = folder / entry["path"]
        names = {path.name.partition(":")[0] for path in (place / "cur").iterdir()}
        _, *lines = (place / "dovecot-uidlist").read_text().splitlines()
        assert {line.rpartition(":")[2] for line in lines} == names
        assert len(names) == entry["messages"]
    assert sum(entry["messages"] for entry in account["mailboxes"]) == rig.shard.usage(HOME)[1]
    assert (folder / "passwd").read_text().startswith("ann@example.test:")
    return True


def test_every_row_of_the_table(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "s1")
    rig.append(*(new(letter(str(number)), flags=("word",)) for number in range(3)))
    rig.shard.create(HOME, "Box")
    rig.fill(2, mailbox="Box")
    rig.shard.settle_names()
    before = {path: path.read_bytes() for path in rig.files()}
    rig.store.close()
    (dry, *killed) = run(tmp_path, ["", *TABLE, *LAST])
    rig.reopen()
    assert dry["status"] == 0
    if disk.Batch.supported:  # else there is an export.sync for each file
        assert dry["steps"] == {step: 5 if f"{step}:5" in LAST else 1 for step in TABLE}
    assert is_whole(rig, tmp_path / "0")
    for number, (result, step) in enumerate(zip(killed, [*TABLE, *LAST], strict=True), 1):
        folder = tmp_path / str(number)
        assert result["status"] == -signal.SIGKILL, step
        assert is_whole(rig, folder) == TABLE[step.partition(":")[0]], step
        with pytest.raises(InvalidInput, match="not empty"):
            export(rig.shard, folder, "dovecot", [ANN])
    assert {path: path.read_bytes() for path in rig.files()} == before
    assert verify(rig.shard, sweep_hours=0).problems == []
    rig.close()


def test_without_syncfs_each_file_is_flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk.Batch, "supported", False)
    flushed: list[str] = []
    step = disk.step
    monkeypatch.setattr(disk, "step", lambda name: (flushed.append(name), step(name))[1])
    rig = Rig(tmp_path / "s1")
    rig.fill(2)
    flushed.clear()
    export(rig.shard, tmp_path / "out", "dovecot", [ANN])
    files = [path for path in (tmp_path / "out").rglob("*") if path.name != "manifest.json"]
    # INCOMPLETE was there too; and the folder itself, and the one above
    assert flushed.count("export.sync") == len(files) + 1 + 2
    assert is_whole(rig, tmp_path / "out")
    rig.close()
