"""The verbs that take a wave's name, as people type them. No engine runs: the tests look at the waves."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailplat.app.cli import main
from migration.plan.states import WaveState
from tests.migration.waves.rows import Standing


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Standing]:
    monkeypatch.setenv("MAILPLAT_CONFIG", str(tmp_path / "house" / "mailplat.toml"))
    made = Standing(tmp_path / "house")
    yield made
    made.close()


def migrate(*words: str) -> int:
    return main(["migrate", *words])


def test_the_life_of_a_wave(here: Standing, capsys: pytest.CaptureFixture[str]) -> None:
    assert migrate("watch", "w1") == 0, "nothing happens before it is started"
    assert migrate("start", "w1") == 0
    assert migrate("start", "w1") == 0
    here.look()
    assert migrate("pause", "w1") == 0
    assert here.state() is WaveState.PAUSED
    capsys.readouterr()
    assert migrate("watch", "w1") == 1
    assert "mailplat: wave w1 is paused: by " in capsys.readouterr().err
    assert migrate("start", "w1") == 2
    assert migrate("resume", "w1") == 0
    here.copy("a.test")
    here.copy("b.test")
    here.look(2)
    assert migrate("approve", "--wave", "w1", "--by", "Eve", "--reason", "told on Monday") == 0
    capsys.readouterr()
    assert migrate("status", "--waves", "--json") == 0
    first, second = json.loads(capsys.readouterr().out)
    assert (first["wave"], first["state"], first["accounts"], first["ready"]) == ("w1", "ready", 4, 4)
    assert first["approved_by"].startswith("Eve (by ")
    assert first["remark"] == "", "it does not wait for that any more"
    assert [each["domain"] for each in first["per_domain"]] == ["a.test", "b.test"]
    assert (second["state"], second["done_at"]) == ("planned", None)
    assert migrate("status", "w1") == 0
    assert "a.test  2         2 ready" in capsys.readouterr().out
    assert migrate("plan", "--show") == 0
    assert "# ready, approved by Eve (by " in capsys.readouterr().out


def test_domains_are_spoken_of_as_ever(here: Standing, capsys: pytest.CaptureFixture[str]) -> None:
    assert migrate("plan", "a.test") == 0
    assert migrate("start", "a.test") == 0
    assert here.plan_of("a.test") == "running"
    assert migrate("pause", "a.test") == 0
    assert here.plan_of("a.test") == "paused"
    assert migrate("resume", "a.test") == 0
    capsys.readouterr()
    assert migrate("status", "a.test", "--json") == 0
    assert [each["address"] for each in json.loads(capsys.readouterr().out)] == ["anna@a.test", "bob@a.test"]


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["start", "w9"], 2, "'w9' is no domain name"),
        (["start", "nowhere.test"], 3, "there is no plan for nowhere.test"),
        (["pause", "w1"], 2, "wave w1 is planned: there is nothing to pause"),
        (["resume", "w1"], 2, "wave w1 is planned: it need not be resumed"),
        (["approve", "--wave", "w9", "--reason", "x"], 3, "there is no wave w9"),
        (["approve", "--reason", "x"], 2, "name a domain, or a wave"),
        (["approve", "a.test", "--reason", "x"], 2, "name what is accepted with --item"),
        (
            ["approve", "--wave", "w1", "--item", "x", "--reason", "x"],
            2,
            "--item is of a domain's certificate",
        ),
    ],
)
def test_what_cannot_be(
    here: Standing, words: list[str], status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert migrate(*words) == status
    assert said in capsys.readouterr().err
