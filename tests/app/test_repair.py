"""A shard that must not be served as it is: the platform says so, serves the others, and an admin mends it."""

import json
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mailplat.store import identity
from tests.e2e.test_trouble import PASSWORD, send, subjects
from tests.e2e.wire import Wire
from tests.rig import ONE_WORKER, Rig

ANNA, BEN = "anna@example.test", "ben@example.test"


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path / "platform", environment=ONE_WORKER)
    made.call("domain", "add", "example.test")
    made.add_account(ANNA, PASSWORD, "--home", "shard:s1")
    made.add_account(BEN, PASSWORD, "--home", "shard:s2")
    yield made
    made.stop()


def shard(rig: Rig, name: str) -> Path:
    return Path(rig.query("config", "show")["store"]["shards"][name]["path"])


def login(rig: Rig, address: str) -> tuple[Wire, str]:
    wire = Wire(rig.ports["imap"])
    return wire, wire.tagged(f'LOGIN {address} "{PASSWORD}"'.encode())


def ready(rig: Rig) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{rig.ports['http']}/readyz", timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def await_ready(rig: Rig) -> None:
    """An answer may be a second old."""
    deadline = time.monotonic() + 20.0
    while (answer := ready(rig))[0] != 200:
        assert time.monotonic() < deadline, answer
        time.sleep(0.05)


def verified(rig: Rig, *arguments: str) -> tuple[int, Any]:
    done = rig.attempt("shard", "verify", *arguments, "--json")
    return done.returncode, json.loads(done.stdout)


def test_an_index_of_yesterday_is_not_served(rig: Rig, tmp_path: Path) -> None:
    index = shard(rig, "s1") / "index.db"
    yesterday = tmp_path / "yesterday.db"
    shutil.copy(index, yesterday)  # nobody has it open, so that there is no log beside it
    rig.start()
    assert send(rig, 1, to=ANNA) == 250
    assert send(rig, 2, to=BEN) == 250
    rig.stop()
    shutil.copy(yesterday, index)
    rig.start()
    assert send(rig, 3, to=ANNA) == 451
    assert send(rig, 4, to=BEN) == 250
    wire, answer = login(rig, ANNA)
    assert answer.startswith("x NO [UNAVAILABLE]")
    wire.close()
    wire, answer = login(rig, BEN)
    assert answer.startswith("x OK")
    assert subjects(wire) == [2, 4]
    wire.close()
    status, text = ready(rig)
    assert status == 503
    assert "mailplat shard rebuild s1" in text
    assert '"shard s2":"ok"' in text
    status, found = verified(rig, "--all")
    assert status == 1
    assert [(row["shard"], row["kind"], row["path"]) for row in found] == [("s1", identity.OLDER, "index.db")]
    # nobody can open it, so that nothing has to be stopped
    rig.call("shard", "rebuild", "s1")
    assert send(rig, 5, to=ANNA) == 250
    wire, _ = login(rig, ANNA)
    assert subjects(wire) == [1, 5]
    wire.close()
    await_ready(rig)
    status, found = verified(rig)
    assert (status, [row["all"] for row in found]) == (0, [[], []])


def test_a_disk_that_is_not_mounted(rig: Rig, tmp_path: Path) -> None:
    path = shard(rig, "s2")
    rig.call("shard", "backup", "run", "s2", str(tmp_path / "backup"))
    shutil.move(path, tmp_path / "away")
    path.mkdir()
    status, found = verified(rig, "s2")
    assert (status, [problem["kind"] for problem in found[0]["all"]]) == (1, [identity.ABSENT])
    with pytest.raises(RuntimeError, match="mount its disk"):
        rig.call("shard", "rebuild", "s2")
    places = {row["shard"]: row["placement"] for row in rig.query("shard", "list")}
    assert places["s1"] == "on"
    assert "is the disk mounted?" in places["s2"]
    assert list(path.iterdir()) == []
    rig.call("shard", "restore", "s2", str(tmp_path / "backup"))
    assert verified(rig, "s2")[0] == 0, "it is the shard that was there"
    shutil.rmtree(path)
    rig.call("shard", "adopt", "s2", "--empty")
    assert verified(rig, "s2")[0] == 0
    shutil.rmtree(path)
    shutil.move(tmp_path / "away", path)
    assert [problem["kind"] for problem in verified(rig, "s2")[1][0]["all"]] == [identity.FOREIGN_SHARD]
    rig.call("shard", "adopt", "s2")
    assert verified(rig, "s2")[0] == 0
    assert [row["action"] for row in rig.query("audit", "list", "--what", "shard.adopt")] == [
        "shard.adopt"
    ] * 2


def test_files_put_into_a_mailbox_by_hand(rig: Rig) -> None:
    rig.start()
    wire, _ = login(rig, ANNA)
    assert subjects(wire) == []
    (inbox,) = shard(rig, "s1").glob("accounts/*/*")
    (inbox / "new" / "by hand").write_bytes(b"Subject: 7\r\n\r\n")
    status, found = verified(rig, "s1", "--all")
    assert (status, [row["kind"] for row in found]) == (1, ["foreign"])
    assert found[0]["cure"] == "becomes a message with a new UID"
    rig.call("shard", "verify", "s1", "--adopt")
    assert subjects(wire) == [7]
    wire.close()
