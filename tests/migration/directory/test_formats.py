"""The registry of formats."""

from pathlib import Path

from migration.directory import formats


def test_every_format_is_described() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs/migration.md").read_text()
    for name in formats.names():
        assert f"`{name}`" in page, name
