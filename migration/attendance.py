"""One kind of moves, attended to by one worker: what is due, one task an account, and what a failure leads to."""

import asyncio
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

import structlog

from mailplat.app.wiring import Platform
from mailplat.core.errors import MailplatError, Unavailable
from migration.book import Book, Passage
from migration.certificate import events
from migration.crossing import Paused, Tools
from migration.errors import FenceAborted, Halt, Throttled
from migration.pacing import backoff

log = structlog.get_logger("migration")

M = TypeVar("M", bound=Passage)


@dataclass(slots=True)
class Account:
    """What this process remembers of an account between two works on it."""

    failures: int = 0
    epoch: int = 0  # of the route as this process left it
    not_before: float = 0.0  # monotonic
    worked: float = 0.0  # seconds of the last work on it, without waiting for a connection
    task: asyncio.Task[None] | None = None


class Attendance(ABC, Generic[M]):
    """An account is always one worker's, `part` is (index of this one, number of workers); after a crash the worker
    that takes its place finishes or takes back what it finds begun. `rest`: seconds until an account that is as far
    as it can be is looked at again."""

    def __init__(
        self,
        platform: Platform,
        ledger: Book,
        part: tuple[int, int],
        rest: float,
        *,
        on_halt: Mapping[str, Any] | None = None,
    ) -> None:
        self.platform = platform
        self.part = part
        self.clock = platform.clock
        self.rest = rest
        self._on_halt = dict(on_halt or {})
        self.tools = Tools(
            ledger=ledger,
            executors=platform.executors,
            clock=platform.clock,
            bus=platform.bus,
            queue=platform.queue,
        )
        self._accounts: defaultdict[int, Account] = defaultdict(Account)
        self.running: frozenset[int] = frozenset()

    @abstractmethod
    async def due(self) -> Sequence[M]:
        """This worker's."""

    @abstractmethod
    def may_run(self, move: M) -> bool:
        """False where it is to stop between two batches."""

    @abstractmethod
    def is_due(self, move: M, account: Account) -> bool: ...

    @abstractmethod
    async def attend(self, move: M) -> bool:
        """True when there is more to do at once."""

    async def look(self) -> None:
        moves = await self.due()
        self.running = frozenset(each.account_id for each in moves if self.may_run(each))
        for move in moves:
            account = self._accounts[move.account_id]
            if account.task is None and self.is_due(move, account):
                account.task = asyncio.create_task(self._work(move, account))

    async def leave(self) -> None:
        """Every account is left between two batches, and no fence stays behind."""
        self.running = frozenset()
        tasks = [each.task for each in self._accounts.values() if each.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _work(self, move: M, account: Account) -> None:
        try:
            more = await self.attend(move)
            account.failures = 0
            account.not_before = 0.0 if more else self.clock.monotonic() + self.rest_after(move, account)
        except Paused:
            account.not_before = 0.0
        except FenceAborted as error:
            log.warning("cutover failed", account=move.address, reason=str(error))
            account.not_before = self.clock.monotonic() + self.rest_after_abort(move)
        except Halt as error:
            log.error("move halted", account=move.address, reason=str(error))
            await self.note(move, halted=str(error), **self._on_halt)
        except MailplatError as error:
            await self._retry(move, account, error)
        except Exception as error:
            log.exception("move failed by a bug", account=move.address)
            await self._retry(move, account, error)
        finally:
            account.task = None

    def rest_after(self, move: M, account: Account) -> float:
        return self.rest

    def rest_after_abort(self, move: M) -> float:
        return self.rest

    async def failed(self, move: M, error: Exception) -> None:
        """Before it is tried again."""

    async def _retry(self, move: M, account: Account, error: Exception) -> None:
        account.failures += 1
        wait = backoff(account.failures)
        account.not_before = self.clock.monotonic() + wait
        log.warning("move interrupted", account=move.address, reason=str(error), again_in_s=round(wait, 1))
        await self.note(move, note=f"{type(error).__name__}: {error}")
        if isinstance(error, Throttled):
            await self._note_throttled(move, error)
        try:
            await self.failed(move, error)
        except MailplatError as second:
            log.warning("move cannot be tidied up", account=move.address, reason=str(second))

    async def _note_throttled(self, move: M, error: Throttled) -> None:
        detail = {"text": str(error)[:300], "retry_after_s": error.retry_after}
        try:
            await self.platform.executors.run(
                "migration",
                partial(
                    events.note,
                    self.platform.database,
                    move.account_id,
                    self.clock.now(),
                    events.THROTTLED,
                    **detail,
                ),
            )
        except Unavailable as unwritten:
            log.warning("the ledger cannot be written", account=move.address, reason=str(unwritten))

    async def note(self, move: M, **values: object) -> None:
        try:
            await self.platform.executors.run("migration", self.tools.ledger.set, move.account_id, **values)
        except Unavailable as error:
            log.warning("the ledger cannot be written", account=move.address, reason=str(error))
