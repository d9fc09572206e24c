"""config/mailplat.toml names every key that there is, with the default where there is one."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mailplat.app.settings import Settings, load

EXAMPLE = Path(__file__).resolve().parents[2] / "config/mailplat.toml"


def test_the_example_is_right() -> None:
    settings = load(EXAMPLE, {})
    assert sorted(settings.store.shards) == ["s1", "s2"]


def missing(wanted: dict[str, Any], content: dict[str, Any], place: str = "") -> Iterator[str]:
    for key, value in wanted.items():
        if key not in content:
            yield place + key
        elif isinstance(value, dict):
            yield from missing(value, content[key], f"{place}{key}.")


def test_the_example_has_every_key() -> None:
    content = tomllib.loads(EXAMPLE.read_text())
    assert list(missing(Settings().without_secrets(), content)) == []


def test_the_example_shows_the_defaults() -> None:
    content: dict[str, Any] = tomllib.loads(EXAMPLE.read_text())
    defaults = Settings().without_secrets()
    for section in ("auth", "smtp", "imap", "pop3", "bus", "relay", "log", "database", "filter", "quota"):
        assert content[section] == {key: defaults[section][key] for key in content[section]}, section
    assert content["store"]["limits"] == defaults["store"]["limits"]
