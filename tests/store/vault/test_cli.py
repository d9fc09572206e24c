"""`mailplat vault`, `mailplat audit` and `mailplat account remove` as an admin calls them."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
        add_account(rig, address)
    yield rig
    rig.stop()


def add_account(rig: Rig, address: str) -> None:
    rig.call("account", "add", address, "--password-stdin", "--home", "shard:s1", stdin="secret\n")


def mailbox(rig: Rig, address: str, *subjects: str, expunge: bool = False) -> list[str]:
    """Subjects in the INBOX after some were added, or after all were expunged."""
    platform = Platform(load(rig.config))
    try:
        account = platform.directory.account(parse_address(address))
        route = platform.directory.route(account.id)
        assert isinstance(route.home, ShardHome)
        home = Residence(account.id, route.home.shard, route.epoch)
        shard = platform.store.shard(home.shard)
        shard.grant(account.id, route.epoch)
        for subject in subjects:
            asyncio.run(platform.store.append(home, "INBOX", [new(letter(subject))]))
        found = shard.mailbox(home, "INBOX")
        if expunge:
            shard.expunge_uids(home, found.id, None)
        return [subject for (subject,) in shard.rows(home, found.id, None, ["subject"])]
    finally:
        platform.close()


def ask(rig: Rig, *arguments: str) -> list[dict[str, Any]]:
    found = json.loads(rig.call(*arguments, "--json"))
    assert isinstance(found, list)
    return found


def test_search_and_restore(rig: Rig) -> None:
    mailbox(rig, ANN, "One", "Two", "Three", expunge=True)
    mailbox(rig, BOB, "Four", expunge=True)
    listed = ask(rig, "vault", "list")
    assert [(row["address"], row["messages"]) for row in listed] == [(ANN, 3), (BOB, 1)]
    found = ask(rig, "vault", "search", "--domain", "example.test")
    assert len(found) == 4
    (two,) = ask(rig, "vault", "search", "--account", ANN, "--subject", "two", "--from", "ann@")
    assert (two["address"], two["mailbox"], two["why"], two["uid"]) == (ANN, "INBOX", "expunged", 2)
    (row,) = ask(rig, "vault", "restore", "--account", ANN, "--id", two["id"])
    assert (row["messages"], row["missing"], row["mailboxes"]) == (1, 0, "INBOX")
    assert len(mailbox(rig, ANN)) == 1
    rows = ask(rig, "vault", "restore", "--domain", "example.test", "--all")
    assert sorted(row["messages"] for row in rows) == [1, 2]
    assert len(mailbox(rig, ANN)) == 3
    done = ask(rig, "audit", "list", "--what", "vault")
    assert [(row["action"], row["subject"]) for row in done] == [
        ("vault.search", "example.test"),
        ("vault.search", ANN),
        ("vault.restore", ANN),
        ("vault.restored", ANN),
        ("vault.restore", "example.test"),
        ("vault.restored", ANN),
        ("vault.restored", BOB),
    ]
    assert done[1]["after"] == {"sender": "ann@", "subject": "two"}
    assert all(row["who"] for row in done)


def test_an_account_that_was_removed_and_added_again(rig: Rig) -> None:
    mailbox(rig, ANN, "Kept")
    rig.call("account", "remove", ANN)
    (row,) = ask(rig, "vault", "list", "--account", ANN)
    assert (row["messages"], row["removed"] != "-") == (1, True)
    assert len(ask(rig, "vault", "search", "--domain", "example.test", "--why", "account")) == 1
    add_account(rig, ANN)
    assert mailbox(rig, ANN) == []
    (row,) = ask(rig, "vault", "restore", "--account", ANN, "--all")
    assert row["messages"] == 1
    assert len(mailbox(rig, ANN)) == 1


def test_an_account_without_mail_is_removed_too(rig: Rig) -> None:
    rig.call("account", "remove", BOB)
    assert rig.attempt("vault", "list").returncode == 3


def test_hold(rig: Rig) -> None:
    rig.call("vault", "hold", ANN, "--reason", "case 7")
    mailbox(rig, ANN, "One", expunge=True)
    (held,) = ask(rig, "vault", "holds")
    assert (held["address"], held["reason"], held["home"]) == (ANN, "case 7", "shard:s1")
    for refused in (
        ("vault", "purge", "--account", ANN, "--reason", "space"),
        ("vault", "hold", ANN, "--reason", "case 8"),
    ):
        with pytest.raises(RuntimeError, match=r"hold|held"):
            rig.call(*refused)
    rig.call("account", "remove", ANN)
    (held,) = ask(rig, "vault", "holds")
    assert held["home"] == "removed"
    rig.call("vault", "release", ANN)
    with pytest.raises(RuntimeError, match="not held"):
        rig.call("vault", "release", ANN)
    assert ask(rig, "vault", "purge", "--account", ANN, "--reason", "space") == [{"messages": 1}]
    log = ask(rig, "audit", "list", "--subject", ANN)
    assert [row["action"] for row in log] == ["vault.hold", "vault.hold", "vault.release", "vault.purge"]
    assert log[0]["after"] == {"reason": "case 7"}
    assert log[2]["before"]["reason"] == "case 7"
    assert ask(rig, "audit", "list", "--what", "vault.purge", "--since", "2000-01-01")[0]["after"] == {
        "reason": "space"
    }


def test_what_makes_no_sense_is_refused(rig: Rig) -> None:
    for arguments in (
        ("vault", "restore", "--account", ANN),
        ("vault", "restore", "--account", ANN, "--id", "12"),
        ("vault", "search", "--account", ANN, "--since", "yesterday"),
        ("vault", "hold", "nobody@example.test", "--reason", "x"),
    ):
        with pytest.raises(RuntimeError, match=r"exit status [23]"):
            rig.call(*arguments)


def test_days_are_a_setting(rig: Rig) -> None:
    with open(rig.config, "a") as file:
        file.write("\n[vault]\ndays = 0\n")
    mailbox(rig, ANN, "One", expunge=True)
    with pytest.raises(RuntimeError, match="exit status 3"):
        rig.call("vault", "list")
