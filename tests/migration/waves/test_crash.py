"""The crash table of migration/waves, row by row: a runner is killed right after each step, another goes on."""

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from migration.plan.states import STOPPED, WaveState
from migration.plan.stored import RETURNED
from tests.migration.engines import Engines
from tests.migration.waves.rows import Standing
from tests.migration.waves.test_stages import MONDAY, spoil

# Looks at the waves of the platform in ROOT until it dies after STEP, at most five times.
LOOKS = """
import os, sys
from pathlib import Path
from mailplat.core import disk
from tests.migration.waves.rows import Standing

for line in sys.stdin:
    root, step = line.split()
    if (child := os.fork()) == 0:
        os.environ[disk.DIE_AT] = step
        disk._armed.update(disk._plan())
        sys.stdout = sys.stderr
        Standing(Path(root)).look(5)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""

STEPS = (
    "wave.planned",
    "wave.copying",
    "wave.ready",
    "wave.cutting",
    "wave.asked",
    "wave.baking",
    "wave.started",
    "wave.judged",
    "wave.told",
    "wave.returned",
    "wave.done",
    "wave.paused",
    "wave.halted",
)


@pytest.fixture(scope="module")
def runners() -> Iterator[Engines]:
    started = Engines(LOOKS)
    yield started
    started.close()


@pytest.mark.parametrize("step", STEPS)
async def test_killed_at(step: str, tmp_path: Path, runners: Engines) -> None:
    root = tmp_path / "house"
    breach = "halt" if step == "wave.halted" else "rollback-domain"
    here = Standing(root, approval=False, bake=0.0, error_budget=0.1, on_breach=breach)
    try:
        spoil(here, "b.test")
        here.waves.start("w1", "anna")
        if step == "wave.paused":
            here.look()
            here.moves.set(here.of("a.test")[0].account_id, halted="a disk is gone")
        ended = 0
        for _ in range(20):
            ended = await asyncio.to_thread(runners.run, root, step)
            if ended:
                break
            here.work()
            _date_back(here)
        assert ended == -signal.SIGKILL, (here.state(), here.wave().reason)
        _go_on(here)
        assert [here.state(name) for name in ("w1", "w2")] == [WaveState.DONE, WaveState.DONE]
        for domain in ("a.test", "c.test"):
            assert [each.state for each in here.of(domain)] == ["new", "new"], here.wave().reason
            assert not any(each.rollback for each in here.of(domain))
        if step != "wave.halted":
            assert here.wave().fates == {"b.test": RETURNED}
            assert all(each.rollback for each in here.of("b.test"))
        assert here.plan_of("unplanned.test") is None
    finally:
        here.close()


def _date_back(here: Standing) -> None:
    """To the hour of which the counters speak."""
    for domain in ("a.test", "b.test", "c.test"):
        for move in here.of(domain):
            if move.moved > MONDAY + 3600.0:
                here.moves.set(move.account_id, moved=MONDAY)


def _go_on(here: Standing) -> None:
    for _ in range(30):
        for name in ("w1", "w2"):
            if here.state(name) in STOPPED:
                here.waves.resume(name, "anna")
        here.look()
        here.work()
        _date_back(here)
        if here.state("w2") is WaveState.DONE:
            return
