"""The role `migration` of `mailplat serve`: works on what the ledger says is due; commands only write the ledger.

Every worker runs it for its part of the accounts, so that copying uses all cores; an account is always one worker's,
and after a crash the worker that takes its place finishes or takes back what it finds begun."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass

import structlog

from mailplat.app.wiring import Platform
from mailplat.core.errors import MailplatError, Unavailable
from mailplat.core.route import BackendHome, Residence, RouteState
from mailplat.directory import Backend
from migration import fence
from migration.compared import Compared
from migration.crossing import Crossing, Paused, Tools
from migration.errors import FenceAborted, Halt
from migration.journey import travel
from migration.ledger import RUNNING, Ledger, Move
from migration.pacing import CONNECTIONS, Pacer, backoff
from migration.sources.contract import Source
from migration.sources.imap_account import ImapAccount
from migration.target import Target

log = structlog.get_logger("migration")

# How often the ledger is asked for work: how long a command waits for its first effect.
POLL_S = 0.25
# Rounds over an account that is READY and waits for its cutover.
READY_EVERY_S = 5.0

_TRAVELLING = frozenset({RouteState.LEGACY, RouteState.SEEDING, RouteState.TRACKING})


@dataclass(slots=True)
class _Account:
    """What this process remembers of an account between two works on it."""

    failures: int = 0
    not_before: float = 0.0  # monotonic
    task: asyncio.Task[None] | None = None


class Migration:
    """`part`: (index of this worker, number of workers), it has the accounts whose number modulo the second is the
    first; `connections`: of all workers together to one backend; `ready_every`: seconds between rounds over a READY
    account."""

    def __init__(
        self,
        platform: Platform,
        *,
        part: tuple[int, int] = (0, 1),
        connections: int = CONNECTIONS,
        ready_every: float = READY_EVERY_S,
    ) -> None:
        self._platform = platform
        self._part = part
        self._clock = platform.clock
        self._ledger = Ledger(platform.database, platform.clock)
        self._tools = Tools(
            ledger=self._ledger,
            executors=platform.executors,
            clock=platform.clock,
            bus=platform.bus,
            queue=platform.queue,
        )
        self._ready_every = ready_every
        self._accounts: defaultdict[int, _Account] = defaultdict(_Account)
        self._pacers: defaultdict[str, Pacer] = defaultdict(
            lambda: Pacer(platform.clock, max(1, connections // part[1]))
        )
        self._running: frozenset[int] = frozenset()

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`; then every account is left between two batches, and no fence stays behind."""
        try:
            while not stop.is_set():
                try:
                    await self._look()
                except Unavailable as error:
                    log.warning("the ledger cannot be read", reason=str(error))
                try:
                    await asyncio.wait_for(stop.wait(), POLL_S)
                except TimeoutError:
                    continue
        finally:
            self._running = frozenset()
            tasks = [each.task for each in self._accounts.values() if each.task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _look(self) -> None:
        moves = await self._platform.executors.run("migration", self._ledger.due, self._part)
        self._running = frozenset(each.account_id for each in moves if each.plan == RUNNING)
        for move in moves:
            account = self._accounts[move.account_id]
            if account.task is None and self._is_due(move, account):
                account.task = asyncio.create_task(self._work(move, account))

    def _is_due(self, move: Move, account: _Account) -> bool:
        state = move.route.state
        if state is RouteState.FENCED:
            return True  # nobody works on it: whoever did is gone
        if state is RouteState.NEW and not move.released:
            return True
        rested = self._clock.monotonic() >= account.not_before
        if state in _TRAVELLING:
            return rested
        if state is RouteState.READY:
            return rested or (move.cutover and not account.failures)
        return state is RouteState.NEW and rested and 0.0 < move.sweep_at <= self._clock.now()

    async def _work(self, move: Move, account: _Account) -> None:
        try:
            more = await self._attend(move)
            account.failures = 0
            account.not_before = 0.0 if more else self._clock.monotonic() + self._ready_every
        except Paused:
            account.not_before = 0.0
        except FenceAborted as error:
            log.warning("cutover failed", account=move.address, reason=str(error))
            account.not_before = self._clock.monotonic() + self._ready_every
        except Halt as error:
            log.error("move halted", account=move.address, reason=str(error))
            await self._note(move, halted=str(error), cutover=False)
        except MailplatError as error:
            await self._retry(move, account, error)
        except Exception as error:
            log.exception("move failed by a bug", account=move.address)
            await self._retry(move, account, error)
        finally:
            account.task = None

    async def _retry(self, move: Move, account: _Account, error: Exception) -> None:
        account.failures += 1
        wait = backoff(account.failures)
        account.not_before = self._clock.monotonic() + wait
        log.warning("move interrupted", account=move.address, reason=str(error), again_in_s=round(wait, 1))
        await self._note(move, note=f"{type(error).__name__}: {error}")

    async def _note(self, move: Move, **values: object) -> None:
        try:
            await self._platform.executors.run("migration", self._ledger.set, move.account_id, **values)
        except Unavailable as error:
            log.warning("the ledger cannot be written", account=move.address, reason=str(error))

    async def _attend(self, move: Move) -> bool:
        """True when there is more to do at once."""
        state = move.route.state
        if state is RouteState.FENCED:
            await fence.abort(self._tools, move, move.route, "the engine was restarted inside the fence")
            return False
        if state is RouteState.NEW and not move.released:
            await fence.release(self._tools, move.account_id)
            return False
        if state is not RouteState.NEW and move.route.home != BackendHome(move.backend):
            raise Halt(f"the account's home is {move.route.home}, its plan says backend:{move.backend}")
        backend = await self._platform.executors.run(
            "directory", self._platform.directory.backend, move.backend
        )
        pacer = self._pacers[move.backend]
        async with pacer.slot():
            target = self._target(move)
            source = await ImapAccount.open(backend, move.address, await target.spool())
            try:
                return await travel(self._crossing(move, backend, source), yields=lambda: pacer.crowded)
            finally:
                await source.close()

    def _target(self, move: Move) -> Target:
        residence = Residence(move.account_id, move.shard, move.route.epoch)
        return Target(self._platform.store, self._platform.executors, residence, move.domain)

    def _crossing(self, move: Move, backend: Backend, source: Source) -> Crossing:
        tools = self._tools
        return Crossing(
            ledger=tools.ledger,
            executors=tools.executors,
            clock=tools.clock,
            bus=tools.bus,
            queue=tools.queue,
            backend=backend,
            move=move,
            source=source,
            target=self._target(move),
            compared=Compared.from_json(move.verified),
            running=lambda: move.account_id in self._running,
        )
