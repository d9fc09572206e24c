"""Moves from legacy platforms: what `mailplat migrate plan, start, cutover` have written down."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from mailplat import directory
from mailplat.app.logins import open_sharing
from mailplat.app.wiring import Platform
from mailplat.core.route import BackendHome, RouteState
from mailplat.directory import Backend
from migration import fence
from migration.attendance import URGENT, URGENT_ROOM, Attendance, Hand
from migration.back.bare import BareReturn
from migration.back.bare import travel as travel_bare
from migration.back.returning import Return
from migration.back.travel import finish, residence
from migration.back.travel import travel as travel_back
from migration.beside.carrier import Carrier
from migration.beside.giving import Giver
from migration.beside.rights import RightsHere
from migration.compared import Compared
from migration.crossing import LegacyCrossing, Tools
from migration.errors import Halt
from migration.journey import travel
from migration.lease import Lease
from migration.ledger import RUNNING, Ledger, Move
from migration.numbering import numbering_of
from migration.origins import Origins
from migration.pacing import Pacer, pause_between
from migration.plan.document import LimitTerms
from migration.sources.contract import Source
from migration.sources.imap_account import ImapAccount
from migration.sources.imap_writer import ImapWriter
from migration.sources.opening import open_source
from migration.sources.probe import Probe
from migration.target import Target
from migration.turns import LEGACY_KIND, Turn, Turns
from migration.waves.limits import limits_of

# Behind its deadline a fence has so long to be taken back by whom it belongs to.
LATE_S = 2.0

# Turns of a backend that are handed out for each connection to it: one is worked at, the others wait for a worker.
# Some seconds of small accounts: whoever hands out may read its ledgers for so long.
AHEAD = 8

_TRAVELLING = frozenset({RouteState.LEGACY, RouteState.SEEDING, RouteState.TRACKING})
# Before these nothing is here; after them the doors serve the account, and a step would end its sessions.
_TAKEN_OVER = frozenset({RouteState.SEEDING, RouteState.TRACKING, RouteState.READY})


class FromBackends(Attendance[Move]):
    """`connections`: of all workers together to one backend; `latency`: seconds in which it is to answer a small
    command meanwhile, 0 for no limit."""

    kind = LEGACY_KIND

    def __init__(
        self,
        platform: Platform,
        turns: Turns,
        runner: str,
        lease: Lease,
        rest: float,
        connections: int,
        latency: float,
    ) -> None:
        self._ledger = Ledger(platform.database, platform.clock)
        self._origins = Origins(platform.database)
        super().__init__(platform, self._ledger, turns, runner, lease, rest, on_halt={"cutover": False})
        self._usual = LimitTerms(connections=connections, latency=latency)
        self._limits: Mapping[str, LimitTerms] = {}  # of backends that a wave holds lower
        self._pacers: defaultdict[str, Pacer] = defaultdict(
            lambda: Pacer(platform.clock, max(1, connections // self.workers), latency)
        )
        self._waiting: Counter[str] = Counter()
        self._watches: dict[str, asyncio.Task[None]] = {}

    async def due(self) -> Sequence[Move]:
        moves, self._limits = await self.platform.executors.run("migration", self._read)
        self._waiting = Counter(move.backend for move in moves if move.route.state is RouteState.READY)
        return moves

    def _read(self) -> tuple[Sequence[Move], Mapping[str, LimitTerms]]:
        return self._ledger.due(), limits_of(self.platform.database, self._usual)

    async def find(self, accounts: Collection[int]) -> Sequence[Move]:
        return await self.tools.book(self._ledger.find_moves, accounts)

    async def look(self) -> None:
        await super().look()
        if self.busy:
            await self.keep_to_limits()

    async def keep_to_limits(self) -> None:
        """This worker's share of what each backend bears, as waves have it now."""
        limits = await self.tools.book(limits_of, self.platform.database, self._usual)
        for backend, pacer in self._pacers.items():
            terms = limits.get(backend, self._usual)
            pacer.limit(max(1, terms.connections // self.workers), terms.latency)

    def lane(self, move: Move) -> str:
        return URGENT if self._is_urgent(move) else f"backend:{move.backend}"

    def room(self, lane: str) -> int:
        if lane == URGENT:
            return URGENT_ROOM
        terms = self._limits.get(lane.removeprefix("backend:"), self._usual)
        return AHEAD * max(terms.connections, self.workers)

    def priority(self, move: Move) -> int:
        return 1 if move.cutover or move.rollback else 2

    def may_run(self, move: Move) -> bool:
        return move.plan == RUNNING or move.rollback

    def overdue(self, move: Move) -> bool:
        fenced = move.route.state in (RouteState.FENCED, RouteState.ROLLBACK_FENCED)
        return fenced and move.route.fence_deadline < self.clock.now() - LATE_S

    def _is_urgent(self, move: Move) -> bool:
        """Nobody works on it: whoever did is gone."""
        state = move.route.state
        if state in (RouteState.FENCED, RouteState.ROLLBACK_FENCED):
            return True
        return (state is RouteState.NEW and not move.released) or move.unsettled

    def wants(self, move: Move, turn: Turn) -> bool:
        if self._is_urgent(move):
            return True
        if move.halted:
            return False
        state, now = move.route.state, self.clock.now()
        rested = now >= turn.due_at
        if move.rollback:
            return state is RouteState.NEW and rested
        if move.plan != RUNNING:
            return False
        if state in _TRAVELLING:
            return rested
        if state is RouteState.READY:
            hurries = move.cutover and not turn.failures and not turn.away
            return now >= turn.due_at + self._pause(move, turn) or hurries
        return state is RouteState.NEW and rested and 0.0 < move.sweep_at <= now

    def _pause(self, move: Move, turn: Turn) -> float:
        """Thousands that wait, each looked at every few seconds, would be all that a backend has to do."""
        connections = self._limits.get(move.backend, self._usual).connections
        return max(0.0, pause_between(turn.worked, self._waiting[move.backend], connections) - self.rest)

    def pacer(self, move: Move) -> Pacer:
        return self._pacers[move.backend]

    async def attend(self, hand: Hand[Move]) -> bool:
        move, state = hand.move, hand.move.route.state
        if state in (RouteState.FENCED, RouteState.ROLLBACK_FENCED):
            await fence.abort(self.tools, move, move.route, "whoever set it did not end it")
            return False
        if state is RouteState.NEW and not move.released:
            await fence.release(self.tools, move.account_id)
            return False
        if move.unsettled:
            await finish(self._guarded(hand), move, self._target(move))
            return False
        if state is not RouteState.NEW and move.route.home != BackendHome(move.backend):
            raise Halt(f"the account's home is {move.route.home}, its plan says backend:{move.backend}")
        backend = await self.platform.executors.run(
            "directory", self.platform.directory.backend, move.backend
        )
        owner = await self.platform.executors.run(
            "directory", self.platform.directory.account_by_id, move.account_id
        )
        pacer = self._pacers[move.backend]
        async with pacer.slot():
            if move.rollback:
                await self._go_back(hand, backend)
                return True  # what was held is let go next
            move = await self._take_over(hand)
            target = self._target(move)
            spool = await target.spool()
            self._watch(backend, move.address, pacer, spool)
            began = self.clock.monotonic()
            numbers = numbering_of(self.platform, move)
            source = await open_source(backend, move.address, spool, self.platform.executors, numbers)
            try:
                if isinstance(source, ImapAccount):
                    await self.reached(hand)  # others connect when they first ask
                more = await travel(
                    self._crossing(move, target, backend, source, self._resting(hand, pacer), owner),
                    yields=lambda: self.crowded(move),
                )
                await self.reached(hand)
                return more
            finally:
                hand.worked = self.clock.monotonic() - began
                await source.close()

    def _resting(self, hand: Hand[Move], pacer: Pacer) -> Callable[[], Awaitable[None]]:
        """After a batch."""
        turns = pacer.turns()

        async def rest() -> None:
            await self.reached(hand)
            await turns.rest()

        return rest

    def _watch(self, backend: Backend, address: str, pacer: Pacer, spool: Path) -> None:
        """Measure how fast the backend answers, where nobody does."""
        if backend.name in self._watches or not pacer.controller.target:
            return

        async def measure() -> None:
            probe = Probe(backend, address, spool, self.clock)
            try:
                await pacer.watch(backend.name, probe)
            finally:
                await probe.close()

        task = self._watches[backend.name] = asyncio.create_task(measure())
        task.add_done_callback(lambda _: self._watches.pop(backend.name, None))

    async def leave(self) -> None:
        watches = list(self._watches.values())
        for task in watches:
            task.cancel()
        await super().leave()
        await asyncio.gather(*watches, return_exceptions=True)

    async def _take_over(self, hand: Hand[Move]) -> Move:
        """Whoever worked on it before may have been killed, or may only be slow: from here on nothing that it writes
        is taken, neither by the ledger nor by the shard. Raises StaleEpoch where somebody was faster."""
        route = hand.move.route
        if hand.fresh or route.state not in _TAKEN_OVER:
            return hand.move
        taken = await self.tools.book(self._ledger.advance, route, route.state)
        return replace(hand.move, route=taken)

    def _guarded(self, hand: Hand[Move]) -> Tools:
        """Whose turn is another's writes nothing down."""
        return replace(self.tools, ledger=self._ledger.guarded(self.turns.guard(hand.turn)))

    async def _go_back(self, hand: Hand[Move], backend: Backend) -> None:
        move = hand.move
        here, tools = self._target(move), self._guarded(hand)
        if not backend.imap:
            await self._go_back_bare(tools, move, backend, here)
            return
        there = await ImapWriter.open(backend, move.address, await here.spool())
        there.only_while(hand.held)
        try:
            await self.reached(hand)
            await travel_back(
                Return(
                    ledger=tools.ledger,
                    executors=tools.executors,
                    clock=tools.clock,
                    bus=tools.bus,
                    queue=tools.queue,
                    move=move,
                    backend=backend,
                    origins=self._origins,
                    here=here,
                    there=there,
                    beside=Giver(
                        database=self.platform.database,
                        executors=tools.executors,
                        clock=tools.clock,
                        backend=backend,
                        account_id=move.account_id,
                        address=move.address,
                        here=here,
                        there=there,
                        origins=self._origins,
                        held=hand.held,
                    ),
                    running=lambda: move.account_id in self.running,
                    brake=self.platform.settings.migration.brake,
                )
            )
        finally:
            await there.close()

    async def _go_back_bare(self, tools: Tools, move: Move, backend: Backend, here: Target) -> None:
        executors = self.platform.executors
        shard = here.residence.shard
        await travel_bare(
            BareReturn(
                ledger=tools.ledger,
                executors=executors,
                clock=tools.clock,
                bus=tools.bus,
                queue=tools.queue,
                move=move,
                backend=backend,
                here=here,
                shard=await executors.run(f"store/{shard}", self.platform.store.shard, shard),
                origins=await tools.book(self._origins.of, move.account_id),
            )
        )

    def _target(self, move: Move) -> Target:
        """Once it is new, its home: it may have moved on to another shard since."""
        return Target(self.platform.store, self.platform.executors, residence(move), move.domain)

    def _carrier(
        self,
        move: Move,
        target: Target,
        backend: Backend,
        ledger: Ledger,
        source: Source,
        owner: directory.Account,
    ) -> Carrier:
        here = RightsHere(
            owner=owner,
            target=target,
            executors=self.tools.executors,
            shares=self.platform.shares,
            sharing=open_sharing(self.platform),
            most=self.platform.settings.store_limits.acl,
        )
        return Carrier(
            source=source,
            here=here,
            ledger=ledger,
            executors=self.tools.executors,
            clock=self.tools.clock,
            backend=backend,
            account_id=move.account_id,
            address=move.address,
            target=target,
            limits=self.platform.settings.sieve.limits,
        )

    def _crossing(
        self,
        move: Move,
        target: Target,
        backend: Backend,
        source: Source,
        rest: Callable[[], Awaitable[None]],
        owner: directory.Account,
    ) -> LegacyCrossing:
        tools = self.tools
        ledger = self._ledger.bound(move.account_id, lambda: target.residence.epoch)
        return LegacyCrossing(
            ledger=ledger,
            beside=self._carrier(move, target, backend, ledger, source, owner),
            executors=tools.executors,
            clock=tools.clock,
            bus=tools.bus,
            queue=tools.queue,
            backend=backend,
            origins=self._origins,
            move=move,
            source=source,
            target=target,
            compared=Compared.from_json(move.verified),
            brake=self.platform.settings.migration.brake,
            running=lambda: move.account_id in self.running,
            rest=rest,
        )
