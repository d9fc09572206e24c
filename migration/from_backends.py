"""Moves from legacy platforms: what `mailplat migrate plan, start, cutover` have written down."""

from collections import defaultdict
from collections.abc import Sequence

from mailplat.app.wiring import Platform
from mailplat.core.route import BackendHome, RouteState
from mailplat.directory import Backend
from migration import fence
from migration.attendance import Account, Attendance
from migration.back.returning import Return
from migration.back.travel import finish, residence
from migration.back.travel import travel as travel_back
from migration.compared import Compared
from migration.crossing import LegacyCrossing
from migration.errors import Halt
from migration.journey import travel
from migration.ledger import RUNNING, Ledger, Move
from migration.origins import Origins
from migration.pacing import Pacer
from migration.sources.contract import Source
from migration.sources.imap_writer import ImapWriter
from migration.sources.opening import open_source
from migration.target import Target

_TRAVELLING = frozenset({RouteState.LEGACY, RouteState.SEEDING, RouteState.TRACKING})


class FromBackends(Attendance[Move]):
    """`connections`: of all workers together to one backend."""

    def __init__(self, platform: Platform, part: tuple[int, int], rest: float, connections: int) -> None:
        self._ledger = Ledger(platform.database, platform.clock)
        self._origins = Origins(platform.database)
        super().__init__(platform, self._ledger, part, rest, on_halt={"cutover": False})
        self._pacers: defaultdict[str, Pacer] = defaultdict(
            lambda: Pacer(platform.clock, max(1, connections // part[1]))
        )

    async def due(self) -> Sequence[Move]:
        return await self.platform.executors.run("migration", self._ledger.due, self.part)

    def may_run(self, move: Move) -> bool:
        return move.plan == RUNNING or move.rollback

    def is_due(self, move: Move, account: Account) -> bool:
        state = move.route.state
        if state in (RouteState.FENCED, RouteState.ROLLBACK_FENCED):
            return True  # nobody works on it: whoever did is gone
        if state is RouteState.NEW and not move.released:
            return True
        if move.unsettled:
            return True
        rested = self.clock.monotonic() >= account.not_before
        if move.rollback:
            return state is RouteState.NEW and rested
        if move.plan != RUNNING:
            return False
        if state in _TRAVELLING:
            return rested
        if state is RouteState.READY:
            return rested or (move.cutover and not account.failures)
        return state is RouteState.NEW and rested and 0.0 < move.sweep_at <= self.clock.now()

    async def attend(self, move: Move) -> bool:
        state = move.route.state
        if state in (RouteState.FENCED, RouteState.ROLLBACK_FENCED):
            await fence.abort(self.tools, move, move.route, "the engine was restarted inside the fence")
            return False
        if state is RouteState.NEW and not move.released:
            await fence.release(self.tools, move.account_id)
            return False
        if move.unsettled:
            await finish(self.tools, move, self._origins, self._target(move))
            return False
        if state is not RouteState.NEW and move.route.home != BackendHome(move.backend):
            raise Halt(f"the account's home is {move.route.home}, its plan says backend:{move.backend}")
        backend = await self.platform.executors.run(
            "directory", self.platform.directory.backend, move.backend
        )
        pacer = self._pacers[move.backend]
        async with pacer.slot():
            if move.rollback:
                await self._go_back(move, backend)
                return True  # what was held is let go next
            target = self._target(move)
            spool = await target.spool()
            source = await open_source(backend, move.address, spool, self.platform.executors)
            try:
                return await travel(self._crossing(move, backend, source), yields=lambda: pacer.crowded)
            finally:
                await source.close()

    async def _go_back(self, move: Move, backend: Backend) -> None:
        here, tools = self._target(move), self.tools
        there = await ImapWriter.open(backend, move.address, await here.spool())
        try:
            await travel_back(
                Return(
                    ledger=self._ledger,
                    executors=tools.executors,
                    clock=tools.clock,
                    bus=tools.bus,
                    queue=tools.queue,
                    move=move,
                    backend=backend,
                    origins=self._origins,
                    here=here,
                    there=there,
                    running=lambda: move.account_id in self.running,
                )
            )
        finally:
            await there.close()

    def _target(self, move: Move) -> Target:
        """Once it is new, its home: it may have moved on to another shard since."""
        return Target(self.platform.store, self.platform.executors, residence(move), move.domain)

    def _crossing(self, move: Move, backend: Backend, source: Source) -> LegacyCrossing:
        tools = self.tools
        return LegacyCrossing(
            ledger=self._ledger,
            executors=tools.executors,
            clock=tools.clock,
            bus=tools.bus,
            queue=tools.queue,
            backend=backend,
            origins=self._origins,
            move=move,
            source=source,
            target=self._target(move),
            compared=Compared.from_json(move.verified),
            running=lambda: move.account_id in self.running,
        )
