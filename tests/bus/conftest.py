"""Every bus of the contract: memory, and a real Valkey from the wheel."""

from collections.abc import AsyncIterator, Iterator

import pytest

from mailplat.bus import Bus, MemoryBus
from mailplat.bus.embedded import EmbeddedBus
from mailplat.core.clock import ManualClock


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server that lives as long as the tests."""
    server = EmbeddedBus(tmp_path_factory.mktemp("valkey"))
    yield server.start()
    server.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=["memory", "valkey"])
async def buses(request: pytest.FixtureRequest, clock: ManualClock) -> AsyncIterator[tuple[Bus, Bus]]:
    """Two ends of one bus: the same object in memory, two connections to one server."""
    if request.param == "memory":
        memory = MemoryBus(clock)
        await memory.start()
        yield memory, memory
        await memory.close()
        return
    from mailplat.bus.redis import RedisBus

    url = request.getfixturevalue("valkey")
    one, other = RedisBus(url, clock), RedisBus(url, clock)
    await one.start()
    await other.start()
    yield one, other
    await one.close()
    await other.close()
