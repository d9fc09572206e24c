"""A shard whose device stalls, and one that turns read-only, under a running platform: its accounts get a clear
reply, the others notice nothing, new accounts go elsewhere, and all is well once the trouble is over."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.test_trouble import ANNA, PASSWORD, append, send, subjects
from tests.e2e.wire import Wire
from tests.rig import ONE_WORKER, Rig

BERT = "bert@example.test"  # in s2, whose disk is in trouble; ANNA is in s1

# Seconds until a disk that does not answer is given up; the default is 15.
PATIENCE_S = 1


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    made = Rig(tmp_path / "platform", environment=ONE_WORKER | {"MAILPLAT_STORE__PATIENCE": str(PATIENCE_S)})
    made.call("domain", "add", "example.test")
    made.add_account(ANNA, PASSWORD, "--home", "shard:s1")
    made.add_account(BERT, PASSWORD, "--home", "shard:s2")
    return made


@pytest.fixture
def disk(rig: Rig, tmp_path: Path) -> Iterator[Path]:
    """Shard s2 on a disk of its own, ext4 on a loop device; the platform runs."""
    if os.geteuid() != 0 or shutil.which("mkfs.ext4") is None or shutil.which("fsfreeze") is None:
        pytest.skip("needs root, mkfs.ext4 and fsfreeze for a disk that stalls")
    image = tmp_path / "image"
    mounted = Path(rig.query("config", "show")["store"]["shards"]["s2"]["path"])
    mounted.mkdir(parents=True, exist_ok=True)
    with open(image, "wb") as file:
        file.truncate(256 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    made = subprocess.run(["mount", "-o", "loop", image, mounted], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"no loop image can be mounted here: {made.stderr.strip()}")
    rig.call("shard", "adopt", "s2", "--empty")
    rig.start()
    yield mounted
    rig.stop()
    subprocess.run(["umount", mounted], check=True)


@contextmanager
def stalled(disk: Path) -> Iterator[None]:
    """Every write and every fsync waits; reading what is in memory goes on."""
    subprocess.run(["fsfreeze", "--freeze", disk], check=True)
    try:
        yield
    finally:
        subprocess.run(["fsfreeze", "--unfreeze", disk], check=True)


@pytest.fixture
def anna(rig: Rig, disk: Path) -> Iterator[Wire]:
    yield from logged_in(rig, ANNA)


@pytest.fixture
def bert(rig: Rig, disk: Path) -> Iterator[Wire]:
    yield from logged_in(rig, BERT)


def logged_in(rig: Rig, address: str) -> Iterator[Wire]:
    wire = Wire(rig.ports["imap"])
    assert wire.tagged(f'LOGIN {address} "{PASSWORD}"'.encode()).startswith("x OK")
    yield wire
    wire.close()


def login(rig: Rig, address: str) -> str:
    wire = Wire(rig.ports["imap"])
    try:
        reply = wire.tagged(f'LOGIN {address} "{PASSWORD}"'.encode())
        return reply if not reply.startswith("x OK") else wire.tagged(b"SELECT INBOX")
    finally:
        wire.close()


def test_a_shard_on_a_disk_that_stalls(rig: Rig, disk: Path, anna: Wire, bert: Wire) -> None:
    assert send(rig, 1, to=BERT) == 250
    assert append(bert, 2).startswith("x OK")
    with stalled(disk):
        assert send(rig, 3, to=BERT) == 451
        assert send(rig, 4, to=BERT) == 451
        assert append(bert, 5).startswith("x NO [UNAVAILABLE]")
        for number in range(10, 20):
            assert send(rig, number) == 250
            assert append(anna, number + 10).startswith("x OK")
        assert subjects(anna) == [
            number for pair in zip(range(10, 20), range(20, 30), strict=True) for number in pair
        ]
        assert login(rig, ANNA).startswith("x OK")
        rig.add_account("carl@example.test", PASSWORD)
        homes = {each["address"]: each["home"] for each in rig.query("account", "list", "example.test")}
        assert homes["carl@example.test"] == "shard:s1"
        shards = {each["shard"]: each for each in rig.query("shard", "list")}
        assert "has not answered" in shards["s2"]["placement"]
        assert shards["s1"]["placement"] == "on"
    deadline = time.monotonic() + 30
    while send(rig, 6, to=BERT) != 250:
        assert time.monotonic() < deadline, "the shard did not come back"
    found = subjects(bert)
    assert {1, 2, 6} <= set(found)
    assert len(found) == len(set(found)), "what was refused may have been kept, once"


def test_a_shard_on_a_disk_that_turns_read_only(
    rig: Rig, disk: Path, tmp_path: Path, anna: Wire, bert: Wire
) -> None:
    """As ext4 does by itself after an error of the device (mount option abort)."""
    assert send(rig, 1, to=BERT) == 250
    assert append(bert, 2).startswith("x OK")
    subprocess.run(["mount", "-o", "remount,abort", disk], check=True)
    assert send(rig, 3, to=BERT) == 451
    assert append(bert, 4).startswith("x NO [UNAVAILABLE]")
    assert send(rig, 10) == 250
    assert append(anna, 11).startswith("x OK")
    assert subjects(anna) == [10, 11]
    shards = {each["shard"]: each for each in rig.query("shard", "list")}
    assert "Read-only file system" in shards["s2"]["placement"]
    rig.stop()
    subprocess.run(["umount", disk], check=True)
    subprocess.run(["mount", "-o", "loop", tmp_path / "image", disk], check=True)
    rig.start()
    for wire in logged_in(rig, BERT):
        assert subjects(wire) == [1, 2], "what was acknowledged is there, what was refused is not"
