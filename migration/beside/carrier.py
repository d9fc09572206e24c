"""Brings over what one account has beside its mail."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog

from mailplat.core import disk
from mailplat.core.clock import Clock
from mailplat.core.errors import MailplatError, StaleEpoch
from mailplat.core.executors import Executors
from mailplat.core.limits.sieve import SieveLimits
from mailplat.directory import Backend
from migration.beside import kept, scripts
from migration.book import Book
from migration.sources.maildir import location as locations
from migration.sources.maildir.home import HomeFolder
from migration.sources.maildir.location import Location
from migration.target import Target

T = TypeVar("T")

log = structlog.get_logger("migration")

# Of one kind inside a fence, seconds: users wait. A ManageSieve server answers in some 20 ms.
FENCE_S = 5.0
# Of one kind while nobody waits.
PATIENCE_S = 60.0


@dataclass(slots=True, kw_only=True)
class Carrier:
    """Of one account's move. Writes under the guard of `ledger`, which is bound to the engine's epoch."""

    ledger: Book
    executors: Executors
    clock: Clock
    backend: Backend
    account_id: int
    address: str
    target: Target
    limits: SieveLimits

    async def bring(self, *, fenced: bool = False) -> None:
        """Raises StaleEpoch, and Unavailable where our own side cannot answer; never for the source's sake."""
        longest = FENCE_S if fenced else PATIENCE_S
        await self._attempt(kept.SCRIPTS, self._scripts_source, self._scripts, longest)
        disk.step("beside.scripts")

    @property
    def _home(self) -> Location | None:
        """Where the account's home folder is on a mount."""
        if not self.backend.maildir:
            return None
        location = locations.parse(self.backend.maildir)
        return location if location.home is not None else None

    @property
    def _scripts_source(self) -> str:
        return "managesieve" if self.backend.managesieve else "mount" if self._home is not None else ""

    async def _scripts(self) -> Callable[..., None] | None:
        home = self._home
        if self.backend.managesieve:
            found = await scripts.read(self.backend, self.address)
        else:
            assert home is not None
            found = await self._from_mount(HomeFolder(home, self.address).scripts)

        def keep(connection: Any) -> None:
            scripts.keep(
                connection,
                self.account_id,
                self._scripts_source,
                found,
                self.limits,
                self.clock.now(),
            )

        return keep

    async def _from_mount(self, function: Callable[[], T]) -> T:
        return await self.executors.run(f"maildir/{self.backend.name}", function)

    async def _attempt(
        self,
        kind: str,
        source: str,
        read: Callable[[], Awaitable[Callable[..., None] | None]],
        longest: float,
    ) -> None:
        """`read` asks the source and returns what is to be written then, in one transaction."""
        if not source:
            await self._write(kept.drop, self.account_id, kind)
            return
        try:
            async with asyncio.timeout(longest):
                keep = await read()
        except StaleEpoch:
            raise
        except (MailplatError, TimeoutError) as error:
            why = str(error) or f"no answer in {longest:g} s"
            log.warning("not read", account=self.address, what=kind, source=source, reason=why)
            now = self.clock.now()
            await self._write(kept.unread, self.account_id, kind, now, source, why)
            return
        if keep is not None:
            await self._write(keep)

    async def _write(self, function: Callable[..., None], *args: Any) -> None:
        await self.executors.run("migration", self.ledger.within, function, *args)
