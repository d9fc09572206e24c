"""Brings over what one account has beside its mail."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog

from mailplat.core import disk
from mailplat.core.clock import Clock
from mailplat.core.errors import MailplatError, StaleEpoch
from mailplat.core.executors import Executors
from mailplat.core.limits.sieve import SieveLimits
from mailplat.directory import Backend
from mailplat.sieve.scripts import Scripts
from mailplat.sieve.scripts import read as read_scripts
from migration.beside import answers, kept, scripts
from migration.beside.answers import Memory
from migration.beside.kept import Kept
from migration.beside.mapping import Given
from migration.beside.rights import Lists, RightsHere, from_kept, to_kept
from migration.book import Book
from migration.sources.contract import Source
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
    source: Source
    here: RightsHere
    _taken: Scripts | None = None  # what the last `bring` was told of scripts; None: they could not be read
    _listed: bool = False  # it could read rights

    async def bring(self, *, fenced: bool = False) -> None:
        """Raises StaleEpoch, and Unavailable where our own side cannot answer; never for the source's sake."""
        longest = FENCE_S if fenced else PATIENCE_S
        known = await self.executors.run("migration", kept.of, self.ledger.database, self.account_id)
        await self._bring_scripts(known, longest)
        disk.step("beside.scripts")
        await self._bring_rights(known, longest)
        disk.step("beside.rights")
        await self._bring_answers(known, longest)
        disk.step("beside.answers")

    async def _bring_scripts(self, known: Mapping[str, Kept], longest: float) -> None:
        source = self._scripts_source
        found = await self._read(kept.SCRIPTS, known, source, self._scripts, longest)
        self._taken = None
        if found is None:
            return
        self._taken, left = scripts.sift(found, self.limits)
        content = scripts.describe(source, self._taken, left)
        stored = await self.executors.run("migration", self._stored)
        if content != known.get(kept.SCRIPTS) or stored != self._taken:  # else a commit less while users wait
            now = self.clock.now()
            await self._write(scripts.keep, self.account_id, self._taken, content, now)

    async def _bring_rights(self, known: Mapping[str, Kept], longest: float) -> None:
        source = self._rights_source
        wanted = await self._read(kept.RIGHTS, known, source, self._translated, longest)
        self._listed = wanted is not None
        if wanted is None:
            # Those of the last time, and none on what was made since: it began with those of the mailbox above it.
            wanted = from_kept(known.get(kept.RIGHTS, Kept()), await self.target.mailboxes())
        await self.here.put(wanted)
        if self._listed:
            content = to_kept(source, wanted, await self.target.mailboxes())
            if content != known.get(kept.RIGHTS):
                await self._write(kept.put, self.account_id, kept.RIGHTS, self.clock.now(), content)

    async def _bring_answers(self, known: Mapping[str, Kept], longest: float) -> None:
        source = "mount" if self._home is not None else ""
        memory = await self._read(kept.ANSWERS, known, source, self._answers, longest)
        if memory is not None:
            now = self.clock.now()
            await self._write(answers.keep, self.account_id, memory, now, self.limits.answers)

    async def differences(self) -> list[str]:
        """Of what `bring` could read: scripts here and those that it was told, rights as both sides say them now.
        Raises what the source raises."""
        found = []
        if self._taken is not None:
            here = await self.executors.run("migration", self._stored)
            if here != self._taken:
                found.append("Sieve scripts differ")
        if self._listed:
            found += await self.here.differences(await self._translated())
        return found

    def _stored(self) -> Scripts:
        with self.ledger.database.read() as connection:
            return read_scripts(connection, self.account_id)

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

    async def _scripts(self) -> Scripts:
        home = self._home
        if self.backend.managesieve:
            return await scripts.read(self.backend, self.address)
        assert home is not None
        return await self._from_mount(HomeFolder(home, self.address, self.backend.limits).scripts)

    async def _answers(self) -> Memory:
        home = self._home
        assert home is not None
        octets = await self._from_mount(HomeFolder(home, self.address, self.backend.limits).answers)
        return answers.parse(octets or b"", self.address)

    async def _from_mount(self, function: Callable[[], T]) -> T:
        return await self.executors.run(f"maildir/{self.backend.name}", function)

    @property
    def _rights_source(self) -> str:
        if not isinstance(self.source, Lists) or not self.source.offers_acl:
            return ""
        return "mount" if self.backend.maildir else "imap"

    async def _translated(self) -> dict[str, Given]:
        assert isinstance(self.source, Lists)
        marks = await self.executors.run("migration", self.ledger.watermarks, self.account_id)
        said = await self.source.access_lists({name: mark.wire for name, mark in marks.items()})
        return await self.here.translate(said, old=self.source.has_old_rights)

    async def _read(
        self,
        kind: str,
        known: Mapping[str, Kept],
        source: str,
        read: Callable[[], Awaitable[T]],
        longest: float,
    ) -> T | None:
        """None where nobody said where to look, or it could not be read: then it is kept why."""
        if not source:
            if kind in known:
                await self._write(kept.drop, self.account_id, kind)
            return None
        try:
            async with asyncio.timeout(longest):
                return await read()
        except StaleEpoch:
            raise
        except (MailplatError, TimeoutError) as error:
            why = str(error) or f"no answer in {longest:g} s"
            log.warning("not read", account=self.address, what=kind, source=source, reason=why)
            await self._write(kept.unread, self.account_id, kind, self.clock.now(), source, why)
            return None

    async def _write(self, function: Callable[..., None], *args: Any) -> None:
        await self.executors.run("migration", self.ledger.within, function, *args)
