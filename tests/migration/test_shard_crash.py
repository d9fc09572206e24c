"""The crash table of moves between shards, row by row: a child is killed right after each step, another engine goes
on. At every instant one shard takes writes."""

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailplat.core.errors import StaleEpoch
from mailplat.core.route import Door, RouteState
from mailplat.directory.tables import route_watcher
from tests.migration.engines import Engines
from tests.migration.shards import Shards
from tests.until import until

pytestmark = pytest.mark.timeout(180)

# As engines.SERVER; an engine ends when every move is over, or when there is none any more.
SERVER = """
import asyncio, os, sys
from pathlib import Path
from mailplat.core import disk
from tests.migration.shards import Shards
from tests.until import until

async def main(root):
    here = Shards(Path(root))
    async with here.engine():
        await until(lambda: False, 60)
    here.close()

for line in sys.stdin:
    root, step = line.split()
    if (child := os.fork()) == 0:
        os.environ[disk.DIE_AT] = step
        disk._armed.update(disk._plan())
        sys.stdout = sys.stderr
        asyncio.run(main(root))
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""

# step -> (shard that the route calls home, stage that a killed engine leaves)
STEPS = {
    "shardmove.seeding": ("s1", "seeding"),
    "shardmove.granted": ("s1", "seeding"),
    "append.rename:20": ("s1", "seeding"),
    "move.batch:1": ("s1", "seeding"),
    "shardmove.tracking": ("s1", "tracking"),
    "shardmove.ready": ("s1", "ready"),
    "move.fenced": ("s1", "fenced"),
    "move.acknowledged": ("s1", "fenced"),
    "move.closed": ("s1", "fenced"),
    "move.delta": ("s1", "fenced"),
    "move.granted": ("s1", "fenced"),
    "move.committed": ("s2", "moved"),
    "move.released": ("s2", "moved"),
    "shardmove.removed": ("s2", "moved"),
    "shardmove.done": ("s2", "done"),
}


@pytest.fixture(scope="module")
def engines() -> Iterator[Engines]:
    started = Engines(SERVER)
    yield started
    started.close()


def open_house(root: Path) -> Shards:
    """With what a dead engine leaves behind but for the 3 s until nobody waits for it."""
    here = Shards(root, ["ann"])
    with here.platform.database.write() as connection:
        connection.execute(route_watcher.delete())
    return here


async def fill(here: Shards) -> None:
    home = here.residence("ann")
    here.shard("s1").create(home, "Archive")
    await here.append("ann", count=16, flags=("\\Seen", "$Work"))
    await here.append("ann", "Archive", count=16)


@pytest.mark.parametrize("step", STEPS)
async def test_killed_at(step: str, tmp_path: Path, engines: Engines) -> None:
    here = open_house(tmp_path)
    await fill(here)
    old = here.residence("ann")
    here.ask("s2", "ann")
    here.close()
    assert await asyncio.to_thread(engines.run, tmp_path, step) == -signal.SIGKILL
    here = open_house(tmp_path)
    try:
        left = here.move("ann")
        assert (here.home("ann"), left.state) == STEPS[step]
        if left.route.door is Door.SERVE:  # whoever serves the account goes on
            await here.append("ann", count=2)
        if step == "move.closed":
            with pytest.raises(StaleEpoch):
                here.shard("s1").create(old, "Late")
        if left.route.state is not RouteState.SHARD_FENCED:
            before = here.content("ann")
        async with here.engine():
            if left.route.state is RouteState.SHARD_FENCED:
                before = here.content("ann")
            await here.done("ann")
            assert here.move("ann").aborts == (left.route.state is RouteState.SHARD_FENCED)
        assert here.home("ann") == "s2"
        assert here.content("ann") == before
        assert here.residents("s1") == []
        with pytest.raises(StaleEpoch):
            here.shard("s1").create(old, "Late")
    finally:
        here.close()


async def test_killed_while_a_fence_is_taken_back(tmp_path: Path, engines: Engines) -> None:
    here = open_house(tmp_path)
    await fill(here)
    here.ask("s2", "ann")
    here.close()
    assert await asyncio.to_thread(engines.run, tmp_path, "move.granted") == -signal.SIGKILL
    open_house(tmp_path).close()
    assert await asyncio.to_thread(engines.run, tmp_path, "move.aborted") == -signal.SIGKILL
    here = open_house(tmp_path)
    try:
        route = here.route("ann")
        assert (route.state, here.home("ann")) == (RouteState.FINAL, "s1")
        await here.append("ann", count=2)
        before = here.content("ann")
        async with here.engine():
            await here.done("ann")
        assert here.content("ann") == before
    finally:
        here.close()


@pytest.mark.parametrize("step", ["shardmove.discarded", "sweep.rename"])
async def test_killed_while_a_copy_is_removed(step: str, tmp_path: Path, engines: Engines) -> None:
    here = open_house(tmp_path)
    await fill(here)
    here.ask("s2", "ann")
    here.close()
    assert await asyncio.to_thread(engines.run, tmp_path, "shardmove.ready") == -signal.SIGKILL
    here = open_house(tmp_path)
    before = here.content("ann")
    here.ledger.cancel([here.accounts["ann"].id])
    here.close()
    assert await asyncio.to_thread(engines.run, tmp_path, step) == -signal.SIGKILL
    here = open_house(tmp_path)
    try:
        async with here.engine():
            await until(lambda: not here.ledger.moves() and not here.residents("s2"))
        assert here.content("ann") == before
        here.ask("s2", "ann")
        async with here.engine():
            await here.done("ann")
        assert here.content("ann") == before
    finally:
        here.close()
