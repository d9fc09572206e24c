"""The role `migration` of `mailplat serve`: works on what the ledgers say is due; commands only write the ledgers.

Every worker runs it for its part of the accounts, so that copying uses all cores."""

import asyncio

import structlog

from mailplat.app.wiring import Platform
from mailplat.core.errors import Unavailable
from migration.between_shards import BetweenShards
from migration.directory.drift import Drift
from migration.drains import Drains
from migration.from_backends import FromBackends
from migration.waves.runner import EVERY_S, Waves

log = structlog.get_logger("migration")

# How often the ledgers are asked for work: how long a command waits for its first effect.
POLL_S = 0.25
# Share of the time that asking may take. With tens of thousands of accounts under way it is the ledger that is slow.
POLL_SHARE = 0.1
# Rounds over an account that is READY and waits for its cutover.
READY_EVERY_S = 5.0


class Migration:
    """`part`: (index of this worker, number of workers), it has the accounts whose number modulo the second is the
    first; `ready_every`: seconds between rounds over a READY account, `waves_every` between looks at waves."""

    def __init__(
        self,
        platform: Platform,
        *,
        part: tuple[int, int] = (0, 1),
        ready_every: float = READY_EVERY_S,
        waves_every: float = EVERY_S,
    ) -> None:
        settings = platform.settings.migration
        self._clock = platform.clock
        self._attended = (
            FromBackends(platform, part, ready_every, settings.connections, settings.latency),
            BetweenShards(platform, part, settings.transfers),
        )
        # What one worker of a machine does for all.
        self._chores: tuple[Drains | Drift | Waves, ...] = ()
        if part[0] == 0:
            self._chores = (
                Drains(platform),
                Drift(platform, settings.directory_every),
                Waves(platform, waves_every),
            )

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`; then every account is left between two batches, and no fence stays behind."""
        chores = [asyncio.create_task(each.run()) for each in self._chores]
        try:
            while not stop.is_set():
                began = self._clock.monotonic()
                try:
                    for each in self._attended:
                        await each.look()
                except Unavailable as error:
                    log.warning("the ledger cannot be read", reason=str(error))
                try:
                    asked = self._clock.monotonic() - began
                    await asyncio.wait_for(stop.wait(), max(POLL_S, asked / POLL_SHARE))
                except TimeoutError:
                    continue
        finally:
            for chore in chores:
                chore.cancel()
            await asyncio.gather(*chores, return_exceptions=True)
            for kind in self._attended:
                await kind.leave()
