"""`mailplat migrate directory`, as people type it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailplat.app.cli import main
from migration.directory.drift import FOLDER
from tests.migration.directory.house import DOMAIN, OTHER, SECRET, House

USERS = f"ada@{DOMAIN}:{SECRET}::::::userdb_quota_rule=*:storage=1G\nbob@{DOMAIN}:{{NOPE}}hush\n"


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    here = House(tmp_path / "house")
    here.write("users", USERS)
    here.write("virtual", f"team@{DOMAIN} ada@{DOMAIN}\n")
    found = here.describe(
        'format = "dovecot-passwd-file"\nfile = "users"', 'format = "postfix-virtual"\nfile = "virtual"'
    )
    here.close()
    monkeypatch.setenv("MAILPLAT_CONFIG", str(here.config))
    yield found
    assert [each.name for each in (tmp_path / "house/data" / FOLDER).iterdir()] == ["lock"]


def take_over(path: Path, *more: str) -> int:
    return main(["migrate", "directory", "import", str(path), *more])


def test_dry_then_in_earnest_then_nothing(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert take_over(path, "--dry-run") == 1, "a hash was refused"
    dry = capsys.readouterr()
    assert f"added  account  ada@{DOMAIN}: password {{PLAIN}}, quota 1073741824, active yes" in dry.out
    assert "dry run: nothing was changed" in dry.out
    assert f"users:2: bob@{DOMAIN}: {{NOPE}} is no scheme" in dry.err
    assert main(["account", "list"]) == 3
    assert main(["migrate", "directory", "list"]) == 3
    capsys.readouterr()
    assert take_over(path) == 1
    assert capsys.readouterr().out.splitlines()[:3] == dry.out.splitlines()[:3]
    path.with_name("users").write_text(USERS.replace("{NOPE}", "{PLAIN}"))
    assert take_over(path) == 0
    assert f"changed  account  bob@{DOMAIN}: password {{PLAIN}}" in capsys.readouterr().out
    assert take_over(path) == 0
    said = capsys.readouterr().out
    assert said.splitlines() == ["account as there: 2", "nothing to change"]
    assert "hush" not in dry.out + dry.err


def test_json_is_whole_even_where_the_brake_holds(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert take_over(path, "--json") == 1
    told = json.loads(capsys.readouterr().out)
    assert told["figures"] == {"refused": 1, "account added": 2, "alias added": 1}
    assert [row["change"] for row in told["rows"]] == ["refused", "added", "added", "added"]
    path.with_name("users").write_text(f"bob@{DOMAIN}:{OTHER}\n")
    assert take_over(path, "--json", "--remove-gone") == 2
    said = capsys.readouterr()
    assert json.loads(said.out)["figures"] == {"account changed": 1, "account gone": 1}
    assert "1 of the 3 accounts and aliases" in said.err
    assert take_over(path, "--remove-gone", "-1") == 2
    assert take_over(path, "--json", "--remove-gone", "1") == 0
    assert "removed" in capsys.readouterr().out


def test_what_is_registered_and_forgotten(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert take_over(path, "--once") == 1
    assert main(["migrate", "directory", "list"]) == 3
    take_over(path)
    capsys.readouterr()
    assert main(["migrate", "directory", "list", "--json"]) == 0
    [row] = json.loads(capsys.readouterr().out)
    assert (row["backend"], row["file"], row["note"]) == ("old", str(path), "")
    assert main(["migrate", "directory", "list"]) == 0
    assert " UTC  " in capsys.readouterr().out
    other = path.with_name("other.toml")
    other.write_text(path.read_text())
    assert take_over(other) == 2
    assert (
        f"is taken over from {path}; first: mailplat migrate directory forget old" in capsys.readouterr().err
    )
    assert main(["migrate", "directory", "forget", "old"]) == 0
    assert main(["migrate", "directory", "forget", "old"]) == 3
    assert take_over(other) == 1
    assert main(["account", "list", "--json"]) == 0
    assert take_over(path.with_name("nowhere.toml")) == 2
