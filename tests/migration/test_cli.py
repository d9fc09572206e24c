"""The commands, as people type them."""

import json
from pathlib import Path

import pytest

from mailplat.app.cli import main
from mailplat.core.route import BackendHome
from tests.dovecot import Dovecot
from tests.migration.house import DOMAIN, MASTER, House, client, letter

pytestmark = pytest.mark.interop


@pytest.fixture
def config(tmp_path: Path, user: str, dovecot: Dovecot, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A platform whose directory knows the domain, no backend yet."""
    here = House(tmp_path / "house", None, [])
    here.platform.directory.add_domain(DOMAIN)
    here.close()
    monkeypatch.setenv("MAILPLAT_CONFIG", str(tmp_path / "house" / "mailplat.toml"))
    secret = tmp_path / "secret"
    secret.write_text(MASTER[1] + "\n")
    return secret


def add(secret: Path, dovecot: Dovecot, *more: str) -> int:
    words = f"migrate backend add old --imap 127.0.0.1:{dovecot.imap_port} --imap-tls none"
    words += (
        f" --pop3 127.0.0.1:{dovecot.pop3_port} --pop3-tls none --relay lmtp:127.0.0.1:{dovecot.lmtp_port}"
    )
    words += f" --master-user {MASTER[0]} --master-password-file {secret}"
    return main([*words.split(), *more])


def test_a_backend_is_added_checked_and_listed(
    config: Path, dovecot: Dovecot, user: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with client(dovecot, user) as imap:
        imap.append("INBOX", letter(1))
    assert add(config, dovecot) == 0
    assert add(config, dovecot) == 1
    capsys.readouterr()
    assert main(["migrate", "backend", "check", "old", "--account", user, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["result"] for row in rows] == ["ok", "ok", "ok"]
    assert "1 messages; with CONDSTORE" in rows[0]["detail"]
    assert main(["migrate", "backend", "check", "old", "--account", "nobody@moving.test"]) == 1
    assert main(["migrate", "backend", "list", "--json"]) == 0
    printed = capsys.readouterr().out
    assert MASTER[1] not in printed
    assert main(["migrate", "backend", "check", "new"]) == 3


@pytest.mark.parametrize("style", ["login", "plain"])
def test_both_styles_of_a_master_user_work_with_dovecot(
    config: Path, dovecot: Dovecot, user: str, style: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert add(config, dovecot, "--master-style", style) == 0
    assert main(["migrate", "backend", "check", "old", "--account", user]) == 0, capsys.readouterr().out


@pytest.mark.parametrize(
    "wrong",
    [
        ["--imap", "nowhere"],
        ["--relay", "uucp:127.0.0.1:25"],
        ["--uidl-format", "%q"],
        ["--master-password-file", "/nonexistent"],
    ],
)
def test_what_cannot_be_right_is_said(config: Path, dovecot: Dovecot, wrong: list[str]) -> None:
    assert add(config, dovecot, *wrong) == 2


def test_from_plan_to_cutover_without_an_engine(
    config: Path, dovecot: Dovecot, user: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    add(config, dovecot)
    assert main(["migrate", "plan", DOMAIN]) == 3
    assert main(["migrate", "status", DOMAIN]) == 3
    assert main(["account", "add", user, "--home", "backend:old"]) == 0
    assert main(["migrate", "plan", DOMAIN, "--shard", "s9"]) == 2
    assert main(["migrate", "plan", DOMAIN, "--shard", "s2"]) == 0
    assert main(["migrate", "cutover", DOMAIN]) == 2, "not started"
    assert main(["migrate", "start", DOMAIN]) == 0
    assert main(["migrate", "pause", DOMAIN]) == 0
    assert main(["migrate", "watch", DOMAIN]) == 0, "a paused plan rests"
    assert main(["migrate", "resume", DOMAIN]) == 0
    capsys.readouterr()
    assert main(["migrate", "cutover", DOMAIN]) == 2
    assert f"{DOMAIN} cannot be cut over: no password is known here of" in capsys.readouterr().err
    assert main(["migrate", "cutover", DOMAIN, "--unknown-passwords"]) == 1
    assert "no `mailplat serve` is running" in capsys.readouterr().err
    assert main(["migrate", "status", DOMAIN, "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["state"], row["shard"], row["cutover"]) == ("legacy", "s2", True)
    assert main(["migrate", "report", DOMAIN, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["accounts"], report["planned"]) == (0, 1)
    here = House(tmp_path / "house", None, [])
    assert here.move(user).route.home == BackendHome("old")
    here.close()


@pytest.mark.parametrize("style", ["login", "plain"])
def test_a_backend_with_only_pop3(
    config: Path, dovecot: Dovecot, user: str, style: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with client(dovecot, user) as imap:
        imap.append("INBOX", letter(1))
    words = f"migrate backend add old --relay lmtp:127.0.0.1:{dovecot.lmtp_port} --master-user {MASTER[0]}"
    words += f" --master-password-file {config} --master-style {style}"
    pop3 = f" --pop3 127.0.0.1:{dovecot.pop3_port} --pop3-tls none"
    for wrong in ("", f"{pop3} --maildir-path maildir:/mail/%u", f"{pop3} --uidl-format %u"):
        assert main((words + wrong).split()) == 2
    assert main((words + pop3).split()) == 0
    capsys.readouterr()
    assert main(["migrate", "backend", "check", "old", "--account", user, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["check"].split()[0] for row in rows] == ["pop3", f"lmtp:127.0.0.1:{dovecot.lmtp_port}"]
