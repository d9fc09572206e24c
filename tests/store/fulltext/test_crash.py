"""The crash table of the room, row by row: kill -9 after each named step, then a new process looks."""

import json
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from mailplat.wire.imap import search as keys
from tests.store.conftest import HOME, Rig
from tests.store.fulltext.conftest import keep, kept_octets, scanned
from tests.store.fulltext.crash import EVERYTHING

ROOT = Path(__file__).resolve().parents[3]

TABLE = {
    "fulltext.create", "fulltext.enrol", "fulltext.texts", "fulltext.commit", "fulltext.trim", "fulltext.unlink",
}  # fmt: skip


def run(root: Path, armed: list[str]) -> list[dict[str, Any]]:
    root.mkdir()
    command = [sys.executable, "-m", "tests.store.fulltext.crash", str(root)]
    lines = "".join(f"{step}\n" for step in armed)
    done = subprocess.run(
        command, input=lines, capture_output=True, text=True, cwd=ROOT, check=True, timeout=250
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_every_row(tmp_path: Path) -> None:
    (day,) = run(tmp_path / "whole", [""])
    assert day["status"] == 0
    steps = Counter(step for step in day["steps"] if step.startswith("fulltext."))
    assert set(steps) == TABLE
    armed = [f"{step}:{number}" for step, count in steps.items() for number in sorted({1, count})]
    for number, (each, done) in enumerate(zip(armed, run(tmp_path / "cut", armed), strict=True)):
        assert done["status"] == -signal.SIGKILL, each
        look(tmp_path / "cut" / str(number) / "s1")


def look(path: Path) -> None:
    rig = Rig(path)
    present = list(rig.shard.snapshot(HOME, rig.inbox.id).uids)
    right(rig, present)  # before anything was put right
    rig.shard.keep_texts()
    right(rig, present)
    keep(rig)
    right(rig, present)
    left = kept_octets(rig)
    for uid in range(1, 8):
        for word in (f"secret{uid - 1}", f"hidden{uid - 1}"):
            assert (word.encode() in left) is (uid in present)
    rig.close()


def right(rig: Rig, present: list[int]) -> None:
    everything = rig.shard.search(HOME, rig.inbox.id, EVERYTHING)
    assert everything == scanned(rig.shard, EVERYTHING, rig.inbox.id) == present
    for uid in range(1, 8):
        found = rig.shard.search(HOME, rig.inbox.id, keys.Body(f"hidden{uid - 1}"))
        assert found == ([uid] if uid in present else [])
