"""The role `migration` of `mailplat serve`: works on what the ledgers say is due; commands only write the ledgers.

Every worker runs it, so that copying uses all cores and machines. One of them leads: it hands out turns (dispatch.py)
and does what is done once for all (drains, drift, waves). All of them take turns (attendance.py); who is there, and
so who leads, is said in the database (presence.py)."""

import asyncio
from collections.abc import Sequence
from typing import Any

import structlog

from mailplat.app.wiring import Platform
from mailplat.core.errors import Unavailable
from migration.attendance import Attendance
from migration.between_shards import BetweenShards
from migration.directory.drift import Drift
from migration.dispatch import Dispatch
from migration.drains import Drains
from migration.from_backends import FromBackends
from migration.ledger import Ledger
from migration.presence import Doubled, Presence, Worker
from migration.turns import Turns, parse
from migration.waves.runner import EVERY_S, Waves
from migration.workflows import Workflows

log = structlog.get_logger("migration")

# How often the ledgers are asked for work: how long a command waits for its first effect.
POLL_S = 0.25
# How often they are asked whether there is a plan that may be started soon: plans of many domains are read for it.
PREPARE_S = 2.0
# Share of the time that asking may take. With tens of thousands of accounts under way it is the ledger that is slow.
POLL_SHARE = 0.1
# Rounds over an account that is READY and waits for its cutover.
READY_EVERY_S = 5.0
# Seconds until a worker that may not take part asks again.
AGAIN_S = 5.0

# So often does a worker say that it lives while one word counts.
BEATS = 5

# In the platform's data_dir.
FOLDER = "migration"


class Migration:
    """`part`: (index of this worker, number of workers of this machine); `ready_every`: seconds between rounds over a
    READY account, `waves_every` between looks at waves."""

    def __init__(
        self,
        platform: Platform,
        *,
        part: tuple[int, int] = (0, 1),
        ready_every: float = READY_EVERY_S,
        waves_every: float = EVERY_S,
    ) -> None:
        self._platform = platform
        self._clock = platform.clock
        self._part = part
        settings = platform.settings.migration
        folder = platform.settings.platform.data_dir / FOLDER
        self._presence = Presence(platform.database, platform.clock, folder, part[0], settings.workers.lease)
        self._turns = Turns(platform.database)
        shared = platform, self._turns, self._presence.incarnation, self._presence.lease
        self._attended: tuple[Attendance[Any], ...] = (
            FromBackends(*shared, ready_every, settings.connections, settings.latency),
            BetweenShards(*shared, settings.transfers),
        )
        self._workers: Sequence[Worker] = ()
        self._waves_every = waves_every
        self._ledger = Ledger(platform.database, platform.clock)
        self._prepared = False
        self._prepare_at = 0.0
        self._chores: Sequence[asyncio.Task[None]] = ()  # while this worker leads

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`; then every account is left between two batches, and no fence stays behind."""
        try:
            while not stop.is_set():
                if await self._claim():
                    await self._take_part(stop)
                else:
                    await _wait(stop, AGAIN_S)
        finally:
            self._presence.release()

    async def _claim(self) -> bool:
        try:
            await self._platform.executors.run("migration", self._presence.claim)
            await self._beat(busy=False)
        except Unavailable as error:
            log.error("this worker cannot take part in migrations", reason=str(error), again_in_s=AGAIN_S)
            return False
        return True

    async def _beat(self, *, busy: bool) -> None:
        self._workers = await self._platform.executors.run("migration", self._presence.beat, busy=busy)

    async def _take_part(self, stop: asyncio.Event) -> None:
        """Until `stop`, or until another has this worker's name."""
        workflows = Workflows(
            workflows_url(self._platform),
            self._presence.name,
            self._platform.executors,
            self._take,
            lane_turns=self._lane_turns(),
        )
        dispatch = Dispatch(
            self._platform, self._turns, workflows, self._attended, lambda: self._beat(busy=True)
        )
        for kind in self._attended:
            kind.enter()
        alive = asyncio.create_task(self._stay_alive(dispatch))
        try:
            while not stop.is_set() and not alive.done():
                try:
                    await self._look(dispatch, workflows)
                except Unavailable as error:
                    log.warning("the ledgers cannot be read", reason=str(error))
                await _wait(stop, max(POLL_S, dispatch.asked / POLL_SHARE))
        finally:
            alive.cancel()
            await asyncio.gather(alive, return_exceptions=True)
            await self._follow()
            await self._leave(workflows)

    def _lead(self) -> None:
        """Whoever led before may be at it still for a moment, if it hangs: each of these asks the database whether
        somebody else was first."""
        if not self._chores:
            platform, settings = self._platform, self._platform.settings.migration
            chores = (
                Drains(platform),
                Drift(platform, settings.directory_every),
                Waves(platform, self._waves_every),
            )
            self._chores = [asyncio.create_task(each.run()) for each in chores]

    async def _follow(self) -> None:
        for chore in self._chores:
            chore.cancel()
        await asyncio.gather(*self._chores, return_exceptions=True)
        self._chores = ()

    def _lane_turns(self) -> int:
        """As many as connections: what waits, waits where every worker may take it."""
        settings = self._platform.settings.migration
        return max(1, -(-max(settings.connections, settings.transfers) // self._part[1]))

    async def _stay_alive(self, dispatch: Dispatch) -> None:
        """Beside all else: a ledger of a million accounts is read for longer than a lease."""
        while True:
            try:
                await self._beat(busy=dispatch.busy)
            except Doubled as error:
                log.error("this worker leaves its turns to others", reason=str(error))
                return
            except Unavailable as error:
                log.warning("the database cannot be told that this worker lives", reason=str(error))
            await asyncio.sleep(self._platform.settings.migration.workers.lease / BEATS)

    async def _look(self, dispatch: Dispatch, workflows: Workflows) -> None:
        workers = self._workers
        if workers[0].name == self._presence.name:
            self._lead()
            await dispatch.look([each.name for each in workers])
        else:
            await self._follow()
            dispatch.follow()
        used = dispatch.busy or any(each.busy for each in workers)
        if not used and not workflows.is_open:  # its word comes every few seconds only
            used = await self._platform.executors.run("migration", self._presence.anybody_busy)
        if used and not workflows.is_open:
            await workflows.open()
        if not used and not workflows.is_open:
            await self._prepare(workflows)
        if not used and workflows.is_open and not any(kind.busy for kind in self._attended):
            await workflows.close()
        at_work = workflows.is_open and any(kind.busy for kind in self._attended)
        waiting = await workflows.waiting() if at_work else ()
        for kind in self._attended:
            kind.workers, kind.waiting = len(workers), waiting
            await kind.look()

    async def _prepare(self, workflows: Workflows) -> None:
        """Once a plan is there."""
        if self._prepared or self._clock.monotonic() < self._prepare_at:
            return
        self._prepare_at = self._clock.monotonic() + PREPARE_S
        if await self._platform.executors.run("migration", self._ledger.has_plans):
            await workflows.prepare()
            self._prepared = True

    async def _take(self, turn: str) -> None:
        kind, _, _ = parse(turn)
        for each in self._attended:
            if each.kind == kind:
                await each.take(turn)

    async def _leave(self, workflows: Workflows) -> None:
        for kind in self._attended:
            await kind.leave()
        await workflows.close()
        try:
            await self._platform.executors.run("migration", self._presence.leave)
        except Unavailable as error:
            self._presence.release()
            log.warning("the database cannot be told that this worker leaves", reason=str(error))


def workflows_url(platform: Platform) -> str:
    """Where the engine's workflows are kept."""
    settings = platform.settings
    if settings.migration.workflows:
        return settings.migration.workflows
    if platform.database.dialect == "postgresql":
        return settings.database.url
    return f"sqlite:///{settings.platform.data_dir / FOLDER / 'workflows.db'}"


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return
