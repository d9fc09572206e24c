"""Revisions as Alembic runs them, each time."""

import pytest

from mailplat.db.schema import running
from tests.conftest import by_alembic


@pytest.fixture(autouse=True)
def _tables_by_alembic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "upgrade", by_alembic)
