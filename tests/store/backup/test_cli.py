"""`mailplat shard backup` and `mailplat shard restore` as an admin calls them."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailplat.app.settings import load
from mailplat.app.wiring import Platform
from mailplat.core.route import Residence, ShardHome
from mailplat.wire.smtp.address import parse_address
from tests.rig import Rig
from tests.store.conftest import letter, new

ANN, BOB = "ann@example.test", "bob@example.test"


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path / "platform")
    rig.call("domain", "add", "example.test")
    for address in (ANN, BOB):
        rig.call("account", "add", address, "--password-stdin", "--home", "shard:s1", stdin="secret\n")
    yield rig
    rig.stop()


def mailbox(rig: Rig, address: str, name: str = "INBOX", *, add: int = 0, expunge: bool = False) -> int:
    """Messages in a mailbox after some were added or all removed."""
    platform = Platform(load(rig.config))
    try:
        account = platform.directory.account(parse_address(address))
        route = platform.directory.route(account.id)
        assert isinstance(route.home, ShardHome)
        home = Residence(account.id, route.home.shard, route.epoch)
        shard = platform.store.shard(home.shard)
        for number in range(add):
            asyncio.run(platform.store.append(home, name, [new(letter(f"{address} {number}"))]))
        found = shard.mailbox(home, name)
        if expunge:
            shard.expunge_uids(home, found.id, None)
        return shard.mailbox(home, name).messages
    finally:
        platform.close()


def ask(rig: Rig, *arguments: str) -> dict[str, object]:
    (row,) = json.loads(rig.call("shard", *arguments, "--json"))
    assert isinstance(row, dict)
    return row


def test_backup_and_restore(rig: Rig, tmp_path: Path) -> None:
    folder = str(tmp_path / "backup")
    mailbox(rig, ANN, add=3)
    mailbox(rig, BOB, add=2)
    point = ask(rig, "backup", "run", "s1", folder)
    assert point["messages"] == 5
    assert ask(rig, "backup", "verify", folder, "--deep")["problems"] == 0
    listed = ask(rig, "backup", "list", folder)
    assert (listed["point"], listed["accounts"], listed["messages"]) == (point["point"], 2, 5)

    mailbox(rig, ANN, expunge=True)
    mailbox(rig, BOB, add=1)
    arguments = ("restore", "s1", folder, "--account", ANN, "--mailbox", "INBOX", "--beside")
    assert ask(rig, *arguments)["restored"] == 3
    day = "-".join((str(point["point"])[:4], str(point["point"])[4:6], str(point["point"])[6:8]))
    assert mailbox(rig, ANN, f"Restored {day}/INBOX") == 3
    rows = json.loads(
        rig.call("shard", "restore", "s1", folder, "--domain", "example.test", "--into-place", "--json")
    )
    assert {row["account"]: row["restored"] for row in rows} == {ANN: 0, BOB: 0}
    assert mailbox(rig, ANN) == 0  # what was restored beside is there: nothing is missing

    whole = ask(rig, "restore", "s1", folder, "--replace")
    assert (whole["accounts"], whole["messages"], whole["problems"]) == (2, 5, 0)
    assert (mailbox(rig, ANN), mailbox(rig, BOB)) == (3, 2)
    ask(rig, "backup", "run", "s1", folder)
    assert ask(rig, "backup", "prune", folder, "--keep", "1")["points"] == 1


def test_an_account_that_was_removed_and_added_again(rig: Rig, tmp_path: Path) -> None:
    folder = str(tmp_path / "backup")
    mailbox(rig, ANN, add=2)
    ask(rig, "backup", "run", "s1", folder)
    rig.call("account", "remove", ANN)
    rig.call("account", "add", ANN, "--password-stdin", "--home", "shard:s2", stdin="secret\n")
    assert ask(rig, "restore", "s1", folder, "--account", ANN, "--into-place")["restored"] == 2
    assert mailbox(rig, ANN) == 2


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["backup", "verify", "nowhere"], 3),
        (["backup", "prune", "backup", "--keep", "0"], 2),
        (["restore", "s1", "backup"], 1),
        (["restore", "s2", "backup"], 2),
        (["restore", "s1", "backup", "--account", ANN], 2),
        (["restore", "s1", "backup", "--mailbox", "INBOX"], 2),
        (["restore", "s1", "backup", "--account", "eve@example.test", "--beside"], 3),
        (["restore", "s1", "backup", "--account", ANN, "--mailbox", "Gone", "--beside"], 3),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    rig: Rig, tmp_path: Path, arguments: list[str], status: int
) -> None:
    mailbox(rig, ANN, add=1)
    ask(rig, "backup", "run", "s1", str(tmp_path / "backup"))
    words = [
        str(tmp_path / word) if word in ("backup", "nowhere") and n else word
        for n, word in enumerate(arguments)
    ]
    with pytest.raises(RuntimeError, match=f"exit status {status}: mailplat: [^\n]*$"):
        rig.call("shard", *words)
