"""Looks at all waves again and again. One worker of a machine does it; of several machines each may."""

import asyncio

import structlog

from mailplat.app.wiring import Platform
from mailplat.core.errors import MailplatError
from migration.ledger import Ledger
from migration.plan.states import STOPPED, WaveState
from migration.plan.stored import Stored
from migration.waves.ledger import Changed, WaveLedger
from migration.waves.stages import Site, attend

log = structlog.get_logger("migration")

# Seconds between two looks: how long a word for a wave waits.
EVERY_S = 1.0
# Share of the time that looking may take, where waves have tens of thousands of accounts.
LOOK_SHARE = 0.1


class Waves:
    """`every`: seconds between two looks."""

    def __init__(self, platform: Platform, every: float = EVERY_S) -> None:
        self._platform = platform
        self._every = every
        self._moves = Ledger(platform.database, platform.clock)
        self._waves = WaveLedger(platform.database, platform.clock)
        self._seen: dict[str, tuple[WaveState, str]] = {}

    async def run(self) -> None:
        """Until cancelled."""
        clock = self._platform.clock
        while True:
            began = clock.monotonic()
            try:
                await self._platform.executors.run("migration", self.look)
            except MailplatError as error:
                log.warning("waves cannot be looked at", reason=str(error))
            except Exception:
                log.exception("waves failed by a bug")
            await asyncio.sleep(max(self._every, (clock.monotonic() - began) / LOOK_SHARE))

    def look(self) -> None:
        """At each wave once, in order; one that cannot be looked at keeps nobody else waiting. Raises Unavailable."""
        before: Stored | None = None
        for wave in self._waves.waves():
            if before is not None and before.plan != wave.plan:
                before = None
            try:
                attend(Site(self._platform, self._moves, self._waves, wave, before))
            except Changed:
                pass  # the next look sees what it is now
            except MailplatError as error:
                log.warning("a wave cannot go on", wave=wave.name, reason=str(error))
            except Exception:
                log.exception("a wave cannot go on because of a bug", wave=wave.name)
            self._log(wave)
            before = wave

    def _log(self, wave: Stored) -> None:
        now = wave.state, wave.reason
        if self._seen.get(wave.name) != now:
            self._seen[wave.name] = now
            say = log.error if wave.state in STOPPED else log.info
            say("wave", wave=wave.name, state=wave.state.value, reason=wave.reason)
