"""`mailplat sieve`."""

import io
import json
import sys
from pathlib import Path

import pytest

from mailplat.app.cli import main

SCRIPT = b'require "fileinto";\r\n# \xe4\n'


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "mailplat.toml"
    path.write_text(
        '[platform]\nhostname = "h"\n[database]\nurl = "sqlite:///m.db"\n[store.shards.s1]\npath = "s1"\n'
    )
    run(str(path), "domain", "add", "example.org")
    hashed = "{PLAIN}x"
    run(str(path), "account", "add", "ann@example.org", "--hash", hashed)
    return str(path)


def run(config: str, *words: str, expected: int = 0) -> None:
    assert main([*words, "--config", config]) == expected


def test_scripts_of_an_account(
    config: str, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "script"
    file.write_bytes(SCRIPT)
    run(config, "sieve", "put", "ann@example.org", "mine", str(file), "--activate")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"stop;")))
    run(config, "sieve", "put", "ann@example.org", "other", "-")
    capfdbinary.readouterr()
    run(config, "sieve", "show", "ann@example.org")
    assert capfdbinary.readouterr().out == SCRIPT
    run(config, "sieve", "show", "ann@example.org", "other")
    assert capfdbinary.readouterr().out == b"stop;"
    run(config, "sieve", "list", "ann@example.org")
    lines = [line.split()[:3] for line in capfdbinary.readouterr().out.splitlines()]
    assert lines == [
        [b"NAME", b"ACTIVE", b"OCTETS"],
        [b"mine", b"yes", b"%d" % len(SCRIPT)],
        [b"other", b"no", b"5"],
    ]
    run(config, "sieve", "remove", "ann@example.org", "mine", expected=2)
    run(config, "sieve", "activate", "ann@example.org", expected=2)
    run(config, "sieve", "activate", "ann@example.org", "--none")
    run(config, "sieve", "remove", "ann@example.org", "mine")
    run(config, "sieve", "rename", "ann@example.org", "other", "new")
    run(config, "sieve", "activate", "ann@example.org", "mine", expected=3)
    run(config, "sieve", "show", "ann@example.org", expected=3)
    capfdbinary.readouterr()
    run(config, "audit", "list", "--what", "sieve")
    said = capfdbinary.readouterr().out
    assert [name in said for name in (b"sieve.put", b"sieve.activate", b"sieve.rename")] == [True] * 3


def test_of_an_account_that_lives_elsewhere_nothing_is_changed(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(
        config, "migrate", "backend", "add", "old", "--imap", "127.0.0.1:1", "--relay", "smtp:127.0.0.1:1",
        "--managesieve", "127.0.0.1:4190", "--managesieve-tls", "implicit",
        "--master-user", "m", "--master-password-file", str(_secret(tmp_path)),
    )  # fmt: skip
    run(config, "account", "add", "bob@example.org", "--home", "backend:old", "--hash", "{PLAIN}x")
    run(config, "sieve", "put", "bob@example.org", "a", str(_secret(tmp_path)), expected=2)
    run(config, "sieve", "list", "bob@example.org", expected=3)
    capsys.readouterr()
    run(config, "migrate", "backend", "list", "--json")
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["managesieve"], row["managesieve_tls"]) == ("127.0.0.1:4190", "implicit")


def _secret(folder: Path) -> Path:
    (folder / "secret").write_text("x")
    return folder / "secret"
