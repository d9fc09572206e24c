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
        rig.call("account", "add", address, "--hash", "{PLAIN}secret", "--home", "shard:s1")
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
        shard.grant(account.id, route.epoch)
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
    rig.call("account", "add", ANN, "--hash", "{PLAIN}secret", "--home", "shard:s2")
    assert ask(rig, "restore", "s1", folder, "--account", ANN, "--into-place")["restored"] == 2
    assert mailbox(rig, ANN) == 2


def test_an_account_that_the_directory_has_lost(rig: Rig, tmp_path: Path) -> None:
    folder = str(tmp_path / "backup")
    rig.call("account", "set", ANN, "--quota", "1G")
    rig.call("alias", "add", "info@example.test", ANN)
    mailbox(rig, ANN, add=2)
    ask(rig, "backup", "run", "s1", folder)
    rig.call("alias", "remove", "info@example.test")
    rig.call("account", "remove", ANN)
    arguments = ("restore", "s1", folder, "--account", ANN, "--into-place")
    with pytest.raises(RuntimeError, match="exit status 3"):
        rig.call("shard", *arguments)
    assert ask(rig, *arguments, "--directory")["restored"] == 2
    assert mailbox(rig, ANN) == 2
    (row,) = rig.query("account", "show", ANN)
    assert row["quota"] == 1 << 30
    with pytest.raises(RuntimeError, match="exit status 3"):
        rig.call("alias", "list")
    rig.call("shard", "restore", "s1", folder, "--domain", "example.test", "--into-place", "--directory")
    assert [row["source"] for row in rig.query("alias", "list")] == ["info@example.test"]
    assert mailbox(rig, ANN) == 2
    (line, *_) = rig.query("audit", "list", "--what", "shard.restore", "--subject", ANN)
    assert line["after"]["into_place"] is True


def test_everything_into_an_empty_platform(rig: Rig, tmp_path: Path) -> None:
    folder = str(tmp_path / "backup")
    mailbox(rig, ANN, add=3)
    mailbox(rig, BOB, add=2)
    rig.call("account", "add", "new@example.test", "--hash", "{PLAIN}x", "--home", "shard:s1")
    point = ask(rig, "backup", "run", "s1", folder)
    other = Rig(tmp_path / "other")
    row = ask(other, "restore", "s1", folder)
    assert (row["point"], row["accounts"], row["messages"], row["unknown"]) == (point["point"], 2, 5, 2)
    row = ask(other, "restore", "s1", folder, "--only-directory")
    assert (row["domains_added"], row["accounts_added"], row["aliases_added"]) == (1, 3, 0)
    assert (mailbox(other, ANN), mailbox(other, BOB)) == (3, 2)
    assert mailbox(other, "new@example.test", add=1) == 1
    assert ask(other, "restore", "s1", folder, "--only-directory")["present"] == 3
    row = ask(other, "restore", "s1", folder, "--replace", "--directory")
    assert (row["unknown"], row["present"], row["accounts_added"]) == (0, 3, 0)
    assert (mailbox(other, ANN), mailbox(other, BOB, add=1)) == (3, 3)


def test_mail_is_not_given_to_who_has_the_number_of_its_owner(rig: Rig, tmp_path: Path) -> None:
    folder = str(tmp_path / "backup")
    mailbox(rig, ANN, add=3)
    ask(rig, "backup", "run", "s1", folder)
    other = Rig(tmp_path / "other")
    other.call("domain", "add", "example.test")
    other.call("account", "add", "eve@example.test", "--hash", "{PLAIN}x", "--home", "shard:s1")
    with pytest.raises(RuntimeError, match=r"was ann@.* and is eve@"):
        other.call("shard", "restore", "s1", folder)
    row = ask(other, "restore", "s1", folder, "--account", ANN, "--into-place", "--directory")
    assert row["restored"] == 3
    assert (mailbox(other, ANN), mailbox(other, "eve@example.test", add=1)) == (3, 1)


def test_what_cannot_be_done_is_said_in_one_line(rig: Rig, tmp_path: Path) -> None:
    mailbox(rig, ANN, add=1)
    folder, nowhere = str(tmp_path / "backup"), str(tmp_path / "nowhere")
    ask(rig, "backup", "run", "s1", folder)
    for status, arguments in (
        (3, ["backup", "verify", nowhere]),
        (2, ["backup", "prune", folder, "--keep", "0"]),
        (1, ["restore", "s1", folder]),
        (2, ["restore", "s2", folder]),
        (2, ["restore", "s1", folder, "--account", ANN]),
        (2, ["restore", "s1", folder, "--only-directory", "--replace"]),
        (2, ["restore", "s1", folder, "--mailbox", "INBOX"]),
        (3, ["restore", "s1", folder, "--account", "eve@example.test", "--beside"]),
        (3, ["restore", "s1", folder, "--account", ANN, "--mailbox", "Gone", "--beside"]),
    ):
        with pytest.raises(RuntimeError, match=f"exit status {status}: mailplat: [^\n]*$"):
            rig.call("shard", *arguments)
