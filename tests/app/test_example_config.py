"""config/mailplat.toml names every key that there is, with the default where there is one."""

import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from mailplat.app.settings import Settings, load

EXAMPLE = Path(__file__).resolve().parents[2] / "config/mailplat.toml"


def test_the_example_is_right() -> None:
    settings = load(EXAMPLE, {})
    assert sorted(settings.store.shards) == ["s1", "s2"]


def test_the_example_has_every_key() -> None:
    content = tomllib.loads(EXAMPLE.read_text())
    missing = [
        f"{section}.{key}"
        for section, field in Settings.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
        for key in field.annotation.model_fields
        if key not in content.get(section, {})
    ]
    assert missing == []


def test_the_example_shows_the_defaults() -> None:
    content: dict[str, Any] = tomllib.loads(EXAMPLE.read_text())
    defaults = Settings().model_dump(mode="json")
    for section in ("auth", "smtp", "imap", "pop3", "bus", "relay", "log", "database", "filter", "quota"):
        assert content[section] == {key: defaults[section][key] for key in content[section]}, section
