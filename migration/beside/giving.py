"""The way back of what lies beside mail: what changed here since the cutover, and nothing else.

It stops no way back, which may be taken in need: what the backend does not take stays here, and is told of.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field

import structlog
from sqlalchemy.engine import Connection

from mailplat.core import disk
from mailplat.core.clock import Clock
from mailplat.core.errors import MailplatError, NotFound, Unavailable
from mailplat.core.executors import Executors
from mailplat.core.rights import NONE, Rights, parse, render
from mailplat.core.route import Residence
from mailplat.db.engine import Database
from mailplat.directory import Backend
from mailplat.sieve import scripts, vacation
from mailplat.sieve.scripts import Scripts
from mailplat.store import Mailbox, Shard
from mailplat.store.acl import Acl
from migration.beside import kept
from migration.beside.carrier import FENCE_S, PATIENCE_S
from migration.beside.kept import Kept, Left
from migration.beside.mapping import letters_for, letters_of
from migration.beside.scripts import digest
from migration.errors import Throttled
from migration.lease import Held
from migration.origins import Origin, Origins
from migration.sources.imap_writer import ImapWriter
from migration.sources.managesieve import ManageSieve, Refused
from migration.target import Target

log = structlog.get_logger("migration")


@dataclass(slots=True, kw_only=True)
class Giver:
    """Of one account. What did not go back is kept by the last `give`, for `forget` to tell."""

    database: Database
    executors: Executors
    backend: Backend
    account_id: int
    address: str
    clock: Clock
    here: Target
    there: ImapWriter
    origins: Origins
    held: Held
    left: dict[str, list[Left]] = field(default_factory=dict)  # by kind

    async def give(self, *, fenced: bool = False) -> None:
        """Idempotent. Raises Unavailable, StaleEpoch of our own side; never for the backend's sake."""
        self.left = {}
        known = await self.executors.run("migration", kept.of, self.database, self.account_id)
        ours = await self.executors.run("migration", _read, self.database, self.account_id)
        origins = await self.executors.run("migration", self.origins.of, self.account_id)
        shared, mailboxes = await self.here.acls(), await self.here.mailboxes()
        was, had = known.get(kept.SCRIPTS, Kept()), known.get(kept.RIGHTS, Kept())
        await self._attempt(kept.SCRIPTS, lambda: self._scripts(was, ours), fenced)
        disk.step("back.scripts")
        await self._attempt(
            kept.RIGHTS, lambda: self._rights(had, mailboxes.values(), shared, origins), fenced
        )
        disk.step("back.rights")
        if fenced:
            await self.executors.run("migration", self._keep)

    def _keep(self) -> None:
        every = [each for some in self.left.values() for each in some]
        content = Kept(things={kind: len(some) for kind, some in self.left.items()}, left=every)
        with self.database.write() as connection:
            kept.put(connection, self.account_id, kept.GIVEN, self.clock.now(), content)

    def _leave(self, kind: str, what: str, why: str) -> None:
        self.left.setdefault(kind, []).append(Left(what, why))

    async def _attempt(self, kind: str, work: Callable[[], Awaitable[None]], fenced: bool) -> None:
        longest = FENCE_S if fenced else PATIENCE_S
        try:
            async with asyncio.timeout(longest):
                await work()
        except (MailplatError, TimeoutError) as error:
            why = str(error) or f"no answer in {longest:g} s"
            log.warning("did not go back", account=self.address, what=kind, reason=why)
            self._leave(kind, f"{kind} that changed here", why)

    async def _scripts(self, known: Kept, ours: Scripts) -> None:
        changed, gone = changed_scripts(known, ours)
        if not changed and not gone and ours.active == known.active:
            return
        if not self.backend.managesieve:
            what = ", ".join([*changed, *gone]) or "which script is active"
            self._leave(kept.SCRIPTS, f"scripts: {what}", "the backend has no --managesieve to give them to")
            return
        there = await ManageSieve.open(self.backend, self.address)
        there.only_while(self.held)
        try:
            await self._send(there, ours, changed, gone, known.active)
        finally:
            await there.close()

    async def _send(
        self, there: ManageSieve, ours: Scripts, changed: list[str], gone: dict[str, str], was_active: str
    ) -> None:
        now = await there.read()
        for name in changed:
            if now.octets.get(name) != ours.octets[name]:
                await self._say(f"script {name!r}", there.put(name, ours.octets[name]))
        if ours.active not in (was_active, now.active):
            await self._say(f"script {ours.active!r} as the active one", there.activate(ours.active))
        for name, was in gone.items():
            # What somebody has changed there since is not ours to remove.
            if name in now.octets and digest(now.octets[name]) == was:
                await self._say(f"the removal of script {name!r}", there.remove(name))

    async def _rights(
        self,
        known: Kept,
        mailboxes: Iterable[Mailbox],
        shared: Mapping[int, Acl],
        origins: Mapping[str, Origin],
    ) -> None:
        """Of each mailbox, what was given or taken since. What else its list has there stays as it is."""
        for mailbox in mailboxes:
            now = {key: render(entry.rights) for key, entry in shared.get(mailbox.id, {}).items()}
            changed = changed_rights(known, mailbox, now)
            origin = origins.get(mailbox.object_id)
            if not changed:
                continue
            spelled = known.things.get(mailbox.object_id, {}).get("spelled", {})
            if origin is None or not origin.wire or not self.there.offers_acl:
                why = "the backend has no ACL" if origin is not None else "the mailbox is not on the backend"
                self._leave(kept.RIGHTS, f"rights on {mailbox.name}: {', '.join(changed)}", why)
                continue
            for key in changed:
                what = f"rights on {mailbox.name}: {key} {now.get(key, 'none')}"
                await self._set_rights(origin.wire, spelled.get(key, key), parse(now.get(key, "")), what)

    async def _set_rights(self, wire: bytes, identifier: str, rights: Rights, what: str) -> None:
        """Again and again the same. Read back: a server may take less than it is told."""
        try:
            await self.there.set_rights(wire, identifier, letters_for(rights, old=self.there.has_old_rights))
            said = (await self.there.access_lists({"": wire})).get("") or []
        except Throttled:
            raise
        except (NotFound, Unavailable) as error:
            self._leave(kept.RIGHTS, what, str(error))
            return
        old = self.there.has_old_rights
        has = {name.lower(): letters_of(letters, old=old)[0] for name, letters in said}.get(
            identifier.lower(), NONE
        )
        if has != rights:
            why = f"the backend has {identifier} {render(has) or 'without rights'} now"
            self._leave(kept.RIGHTS, what, why)

    async def _say(self, what: str, work: Awaitable[None]) -> None:
        try:
            await work
        except (Refused, NotFound) as error:
            self._leave(kept.SCRIPTS, what, str(error))


def changed_scripts(known: Kept, ours: Scripts) -> tuple[list[str], dict[str, str]]:
    """Since the commit: names that are new or have other octets, and those that are gone, with their SHA-256 then."""
    then = {name: str(each["sha256"]) for name, each in known.things.items()}
    changed = [name for name, octets in ours.octets.items() if then.get(name) != digest(octets)]
    return changed, {name: said for name, said in then.items() if name not in ours.octets}


def changed_rights(known: Kept, mailbox: Mailbox, now: Mapping[str, str]) -> list[str]:
    """Since the commit: identifiers whose letters are others."""
    before = known.things.get(mailbox.object_id, {}).get("rights", {})
    return [key for key in sorted({*before, *now}) if before.get(key, "") != now.get(key, "")]


def preview(database: Database, shard: Shard, residence: Residence) -> tuple[int, int]:
    """How many scripts, and how many rights, `give` would take back now. Synchronous. Raises Unavailable."""
    known = kept.of(database, residence.account_id)
    was, ours = known.get(kept.SCRIPTS, Kept()), _read(database, residence.account_id)
    changed, gone = changed_scripts(was, ours)
    only_active = not changed and not gone and ours.active != was.active
    shared, rights = shard.acls(residence), 0
    for mailbox in shard.mailboxes(residence):
        now = {key: render(entry.rights) for key, entry in shared.get(mailbox.id, {}).items()}
        rights += len(changed_rights(known.get(kept.RIGHTS, Kept()), mailbox, now))
    return len(changed) + len(gone) + only_active, rights


def _read(database: Database, account_id: int) -> Scripts:
    with database.read() as connection:
        return scripts.read(connection, account_id)


def forget(connection: Connection, account_id: int) -> str:
    """Behind the commit: nothing of it is needed here any more, but scripts that did not go back. What is to be told
    of what did not, also the second time."""
    given = kept.read(connection, account_id).get(kept.GIVEN, Kept())
    kept.forget(connection, account_id)
    vacation.forget(connection, account_id)
    if given.left:
        kept.put(connection, account_id, kept.GIVEN, 0.0, given)
    if not given.things.get(kept.SCRIPTS):
        scripts.forget(connection, account_id)
    return "".join(f"did not go back: {each.what}: {each.why}; " for each in given.left).removesuffix("; ")
