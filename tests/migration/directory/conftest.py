from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.migration.directory.house import House


@pytest.fixture
def here(tmp_path: Path) -> Iterator[House]:
    opened = House(tmp_path / "house")
    yield opened
    opened.close()
