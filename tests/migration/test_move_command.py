"""`mailplat migrate move` and `mailplat shard drain`, as people type them; no engine runs."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mailplat.app.cli import main
from mailplat.core.address import Address
from mailplat.core.route import BackendHome, RouteState
from mailplat.directory import Backend
from tests.migration.shards import DOMAIN, Shards

Asked = Callable[..., tuple[int, str, str]]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shards]:
    opened = Shards(tmp_path, ["ann", "bob"])
    monkeypatch.setenv("MAILPLAT_CONFIG", str(tmp_path / "mailplat.toml"))
    yield opened
    opened.close()


@pytest.fixture
def ask(here: Shards, capsys: pytest.CaptureFixture[str]) -> Asked:
    """(exit status, standard output, standard error) of a command."""

    def asked(*words: str) -> tuple[int, str, str]:
        status = main(list(words))
        said = capsys.readouterr()
        return status, said.out, said.err

    return asked


def rows(text: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(text)
    return found


def test_an_account_and_a_domain(here: Shards, ask: Asked) -> None:
    status, out, _ = ask("migrate", "move", f"ann@{DOMAIN}", "--to", "s2", "--json")
    assert status == 0
    (row,) = rows(out)
    assert (row["address"], row["state"], row["source"], row["shard"]) == (
        f"ann@{DOMAIN}",
        "planned",
        "s1",
        "s2",
    )
    status, out, _ = ask("migrate", "move", DOMAIN, "--to", "s2", "--json")
    assert (status, len(rows(out))) == (0, 2)
    status, out, _ = ask("migrate", "status", DOMAIN, "--json")
    assert [(each["address"], each["cause"]) for each in rows(out)] == [
        (f"ann@{DOMAIN}", "move"), (f"bob@{DOMAIN}", "move"),
    ]  # fmt: skip
    status, out, _ = ask("migrate", "report", DOMAIN)
    assert (status, out.splitlines()[0]) == (
        0, f"{DOMAIN}: 0 of 2 accounts moved between shards; 0 fences taken back",
    )  # fmt: skip
    assert ask("migrate", "move", DOMAIN, "--cancel")[0] == 0
    assert all(move.cancelled for move in here.ledger.moves())


def test_what_cannot_be_is_said(here: Shards, ask: Asked) -> None:
    ann = f"ann@{DOMAIN}"
    with pytest.raises(SystemExit):
        ask("migrate", "move", ann)
    assert ask("migrate", "move", ann, "--to", "s9")[0] == 2
    assert ask("migrate", "move", f"eve@{DOMAIN}", "--to", "s2")[0] == 3
    status, _, err = ask("migrate", "move", ann, "--to", "s1")
    assert (status, "lives in shard s1 already" in err) == (0, True)
    assert ask("migrate", "move", ann, "--cancel")[0] == 3
    assert ask("migrate", "move", ann, "--to", "s2")[0] == 0
    status, _, err = ask("migrate", "move", ann, "--to", "s3")
    assert (status, "is on its way to shard s2" in err) == (2, True)
    here.platform.directory.add_backend(Backend("old", imap="127.0.0.1:1"))
    here.platform.directory.add_account(Address("leo", DOMAIN), home=BackendHome("old"))
    status, _, err = ask("migrate", "move", f"leo@{DOMAIN}", "--to", "s2")
    assert (status, "lives on backend:old" in err) == (2, True)
    status, _, err = ask("migrate", "move", ann, "--to", "s2", "--wait")
    assert (status, "no `mailplat serve` is running" in err) == (1, True)
    ask("shard", "drain", "s3")
    status, _, err = ask("migrate", "move", f"bob@{DOMAIN}", "--to", "s3")
    assert (status, "s3 is being drained" in err) == (2, True)


def test_an_account_in_its_fence_is_not_removed(here: Shards, ask: Asked) -> None:
    now = here.platform.clock.now()
    here.platform.directory.advance(here.route("ann"), RouteState.SHARD_FENCED, fence_deadline=now + 30)
    for words in (
        ("account", "remove", f"ann@{DOMAIN}"),
        ("vault", "hold", f"ann@{DOMAIN}", "--reason", "x"),
    ):
        status, _, err = ask(*words)
        assert (status, "is being moved" in err) == (1, True), words
    assert here.residents("s1") == [each.id for each in here.accounts.values()]


def test_a_drain_is_marked_shown_and_taken_back(here: Shards, ask: Asked) -> None:
    assert ask("shard", "drain", "s9")[0] == 3
    assert ask("shard", "drain", "s1", "--to", "s1")[0] == 2
    assert ask("shard", "drain", "s1", "--to", "s9")[0] == 3
    assert ask("shard", "drain", "s1", "--cancel")[0] == 3
    status, out, _ = ask("shard", "drain", "s1", "--to", "s2", "s3", "--json")
    (row,) = rows(out)
    assert (status, row["state"], row["accounts"]) == (0, "draining, 2 left", 2)
    status, out, _ = ask("shard", "list", "--json")
    assert {each["shard"]: each["placement"] for each in rows(out)} == {
        "s1": "draining, 2 left", "s2": "on", "s3": "off",
    }  # fmt: skip
    assert ask("shard", "drain", "s2")[0] == 0
    status, _, err = ask("shard", "drain", "s3")
    assert (status, "last shard" in err) == (2, True)
    status, _, err = ask("account", "add", f"new@{DOMAIN}", "--hash", "{PLAIN}x")
    assert (status, "s1: is being drained" in err) == (1, True)
    assert ask("shard", "drain", "s1", "--cancel")[0] == 0
    status, out, _ = ask("audit", "list", "--json")
    assert [each["action"] for each in rows(out) if each["action"].startswith("shard")].count(
        "shard.drain"
    ) == 2
