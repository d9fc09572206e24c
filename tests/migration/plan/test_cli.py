"""`mailplat migrate plan`, as people type it: for a backend, from a file, and for a domain as ever."""

import json
from pathlib import Path

import pytest

from mailplat.app.cli import main
from mailplat.core.address import Address
from mailplat.core.route import BackendHome
from migration.plan.document import parse
from tests.migration.house import House


def test_from_a_census_to_a_plan_that_is_applied_again(
    counted: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "old.toml"
    words = ["migrate", "plan", "old", "--alpha", "A.test", "--waves", "2", "--write", str(file)]
    assert main(words) == 0
    said = capsys.readouterr()
    assert "tied to the alpha domains and with them: d.test" in said.err
    assert "old-alpha: 2 domains, 4 accounts, risk 5 to 5" in said.out
    found = parse(file.read_text(), "x")
    assert [(each.name, each.domains) for each in found.in_order()] == [
        ("old-alpha", ["a.test", "d.test"]),
        ("old-1", ["b.test"]),
        ("old-2", ["c.test"]),
    ]
    assert main(words) == 2, "what was edited is not written over"
    assert main(["migrate", "plan", "--apply", str(file)]) == 0
    assert "a.test: in no wave -> old-alpha" in capsys.readouterr().out
    assert main(["migrate", "plan", "--apply", str(file)]) == 0
    assert capsys.readouterr().out == "nothing to change\n"
    assert main(["migrate", "plan", "--show"]) == 0
    shown = capsys.readouterr().out
    assert parse(shown, "x") == found
    assert "# planned, not approved" in shown
    file.write_text(file.read_text().replace("bake = 24.0", "bakes = 24.0", 1))
    assert main(["migrate", "plan", "--apply", str(file)]) == 2
    assert "the nearest known key is wave.old-alpha.bake" in capsys.readouterr().err


def test_what_was_not_read_is_not_planned(counted: House, capsys: pytest.CaptureFixture[str]) -> None:
    counted.platform.directory.add_account(Address("carol", "a.test"), home=BackendHome("old"))
    assert main(["migrate", "plan", "old"]) == 2
    assert (
        "1 accounts of old were not read yet; first: mailplat migrate census old" in capsys.readouterr().err
    )


def test_a_domain_is_planned_as_ever(counted: House, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["migrate", "plan", "a.test", "--shard", "s1", "--json"]) == 0
    assert [each["address"] for each in json.loads(capsys.readouterr().out)] == ["anna@a.test", "bob@a.test"]


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ([], 2, "name a domain or a backend"),
        (["--show"], 3, "no plan was applied"),
        (["--show", "old"], 3, "no plan old was applied"),
        (["a.test", "--waves", "2"], 3, "there is no backend a.test; known: old"),
        (["old", "--waves", "0"], 2, "--waves: a number from 1"),
        (["old", "--alpha", "z.test"], 2, "no account of z.test lives on backend old"),
        (["old", "--take-out", "a.test"], 2, "--take-out goes with --apply"),
        (["--apply", "/nonexistent"], 2, "/nonexistent: "),
        (["nowhere.test"], 3, "nowhere.test"),
    ],
)
def test_what_cannot_be(
    counted: House, words: list[str], status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["migrate", "plan", *words]) == status
    assert said in capsys.readouterr().err
