"""A census of a backend's accounts, through the pacing of the copy: its connections, its latency, its silences."""

import asyncio
import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import sqlalchemy as sa

from mailplat.app.wiring import Platform
from mailplat.core.errors import MailplatError, Unavailable
from mailplat.core.limits.census import CensusLimits
from mailplat.core.route import BackendHome
from mailplat.db.engine import Database
from mailplat.directory import Backend
from mailplat.directory import tables as directory
from migration.census import tables
from migration.census.facts import Facts
from migration.census.reading import read
from migration.errors import Throttled
from migration.pacing import Pacer
from migration.sources.probe import Probe

# Accounts in a row that cannot be read, after which it is the platform that cannot: what is read stays.
IN_A_ROW = 20


@dataclass(frozen=True, slots=True)
class Resident:
    """An account whose home is the backend, and what is known of it. `facts` None: `trouble` may say why."""

    id: int
    address: str
    domain: str
    password_known: bool
    facts: Facts | None = None
    trouble: str = ""
    at: float = 0.0


def residents(database: Database, backend: str) -> list[Resident]:
    """By domain and address. Raises Unavailable."""
    account, route, census = directory.account.c, directory.route.c, tables.account.c
    query = (
        sa.select(
            account.id,
            account.local,
            account.domain,
            account.password_hash != "",
            census.facts,
            census.trouble,
            census.at,
        )
        .join(directory.route, route.account_id == account.id)
        .join(
            tables.account,
            sa.and_(census.account_id == account.id, census.backend == backend),
            isouter=True,
        )
        .where(route.home == str(BackendHome(backend)))
        .order_by(account.domain, account.key)
    )
    with database.read() as connection:
        rows = connection.execute(query).fetchall()
    return [
        Resident(
            number,
            f"{local}@{domain}",
            domain,
            bool(known),
            Facts.from_json(facts) if facts and not trouble else None,
            trouble or "",
            at or 0.0,
        )
        for number, local, domain, known, facts, trouble, at in rows
    ]


class Census:
    """`said`: told after each account how many of how many are done."""

    def __init__(
        self, platform: Platform, backend: Backend, said: Callable[[int, int], None] = lambda done, of: None
    ) -> None:
        settings = platform.settings.migration
        self._platform = platform
        self._backend = backend
        self._limits: CensusLimits = settings.census
        self._pacer = Pacer(platform.clock, settings.connections, settings.latency)
        self._said = said
        self._left: deque[Resident] = deque()
        # Of whom the platform said "later", or Dovecot that no such user has a mailbox: it uses the same word. They
        # are tried once more, behind all others.
        self._deferred: set[int] = set()
        self._done = self._of = self._failed = 0
        self._watch: asyncio.Task[None] | None = None

    async def take(self, accounts: Sequence[Resident], *, again: bool = False) -> int:
        """Those that were not read yet, or could not be; `again`: all. How many were read now. Raises Unavailable
        where the platform or the database does not answer; what is read by then stays."""
        self._left = deque(each for each in accounts if again or each.facts is None)
        self._of, self._done, self._failed = len(self._left), 0, 0
        with TemporaryDirectory(prefix="mailplat-census-") as spool:
            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(min(self._pacer.connections, len(self._left))):
                        group.create_task(self._work(Path(spool)))
            except BaseExceptionGroup as failures:
                raise _first(failures) from failures
            finally:
                if self._watch is not None:
                    self._watch.cancel()
                    await asyncio.gather(self._watch, return_exceptions=True)
        return self._done

    async def _work(self, spool: Path) -> None:
        turns = self._pacer.turns()
        while self._left:
            resident = self._left.popleft()
            try:
                facts, trouble = await self._attempt(resident, spool)
            except Throttled as error:  # the pacer is silent now
                trouble = str(error)
                if resident.id not in self._deferred:
                    self._deferred.add(resident.id)
                    self._left.append(resident)
                    self._count(trouble)
                    continue
                facts = Facts()
            await self._platform.executors.run("migration", self._put, resident.id, facts, trouble)
            self._done += 1
            self._count(trouble)
            self._said(self._done, self._of)
            await turns.rest()

    def _count(self, trouble: str) -> None:
        """Raises Unavailable."""
        self._failed = self._failed + 1 if trouble else 0
        if self._failed >= IN_A_ROW:
            raise Unavailable(
                f"{IN_A_ROW} accounts of {self._backend.name} in a row could not be read, the last one: {trouble};"
                " say it again when the platform answers, what was read is kept"
            )

    async def _attempt(self, resident: Resident, spool: Path) -> tuple[Facts, str]:
        """What it is, and why it could not be read. Raises Throttled."""
        try:
            async with self._pacer.slot():
                facts = await read(self._backend, resident.address, spool, self._limits)
                self._measure(resident.address, spool)
                return facts, ""
        except Throttled:
            raise
        except (MailplatError, OSError) as error:
            return Facts(), str(error) or type(error).__name__

    def _measure(self, address: str, spool: Path) -> None:
        """How fast the backend answers, as `FromBackends` does it; as an account that can be read: one that cannot
        log in says nothing of the platform."""
        if not self._pacer.controller.target or not self._backend.imap:
            return
        if self._watch is not None and not self._watch.done():
            return

        async def measure() -> None:
            probe = Probe(self._backend, address, spool, self._platform.clock)
            try:
                await self._pacer.watch(self._backend.name, probe)
            finally:
                await probe.close()

        self._watch = asyncio.create_task(measure())

    def _put(self, account_id: int, facts: Facts, trouble: str) -> None:
        """What was known of an account that cannot be read now is forgotten: it may be long untrue."""
        row = {
            "account_id": account_id,
            "backend": self._backend.name,
            "at": self._platform.clock.now(),
            "facts": json.dumps({}) if trouble else facts.to_json(),
            "trouble": trouble[:1000],
        }
        with self._platform.database.write() as connection:
            connection.execute(tables.account.delete().where(tables.account.c.account_id == account_id))
            connection.execute(tables.account.insert().values(**row))


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    for each in _leaves(failures):
        if not isinstance(each, asyncio.CancelledError):
            return each
    return failures


def _leaves(failures: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for each in failures.exceptions:
        if isinstance(each, BaseExceptionGroup):
            yield from _leaves(each)
        else:
            yield each
