"""The crash table of the way back, row by row: one engine after the other is killed right after a step, the next goes
on; the user works on here as long as the account is here."""

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from mailplat.core.route import BackendHome, RouteState, ShardHome
from mailplat.directory.tables import route_watcher
from tests.dovecot import Dovecot
from tests.migration.engines import Engines
from tests.migration.house import House, content_of
from tests.migration.way_back import Desk, furnish, move_here, roll_back, same_but_made, until_back

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

# In the order in which a round comes by them.
ROUND = [
    "back.renamed",
    "back.made",
    "back.appended:1",
    "back.appended:3",
    "back.batch",
    "back.expunged",
    "back.deleted",
    "back.round",
    "back.scripts",
    "back.rights",
]
# Each is taken back by the next start (failure mode 3, mirrored).
FENCE = ["move.fenced", "move.acknowledged", "move.closed", "move.delta"]
# Failure mode 4, mirrored.
BEHIND = ["move.committed", "back.let-go", "back.removed", "back.forgotten", "move.released"]


async def test_killed_at_every_row_of_the_way_back(
    dovecot: Dovecot, user: str, house: Callable[..., House], tmp_path: Path, engines: Engines
) -> None:
    furnish(dovecot, user, 6)
    here = house(user)
    await move_here(here)
    desk = Desk(here, user)
    await desk.work()

    async def kill_at(step: str, state: RouteState) -> None:
        assert await asyncio.to_thread(engines.run, tmp_path / "house", step) == -signal.SIGKILL, step
        with (
            here.platform.database.write() as connection
        ):  # instead of the 3 s until nobody waits for the dead
            connection.execute(route_watcher.delete())
        left = here.move(user)
        assert left.route.state is state, step
        assert left.route.home == (
            BackendHome("old") if state is RouteState.LEGACY else ShardHome(left.shard)
        )

    roll_back(here)
    for number, step in enumerate(ROUND):
        await kill_at(step, RouteState.NEW)
        await desk.deliver(400 + number)  # two each, and a UID that is free again
        desk.expunge(await desk.deliver(500 + number))
    for number, step in enumerate(FENCE):
        await kill_at(step, RouteState.ROLLBACK_FENCED)
        await kill_at("move.aborted", RouteState.NEW)
        assert here.move(user).aborts == number + 1
        await desk.deliver(600 + number)
        roll_back(here)  # the word must come again
    seen = here.content(user)
    for step in BEHIND:
        await kill_at(step, RouteState.LEGACY)
    async with here.engine():
        await until_back(here, user)
    same_but_made(content_of(dovecot, user), seen, "Fresh & new")
