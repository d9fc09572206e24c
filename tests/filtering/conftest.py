from collections.abc import Iterator

import pytest

from mailplat.core.executors import Executors


@pytest.fixture
def executors() -> Iterator[Executors]:
    pools = Executors()
    yield pools
    pools.close()
