"""Moves between our own shards: nobody has to say when, each goes to its end by itself."""

from collections.abc import Collection, Sequence

import structlog

from mailplat.app.wiring import Platform
from mailplat.core import disk
from mailplat.core.errors import DiskFull, NotFound, StaleEpoch
from mailplat.core.route import Residence, RouteState, ShardHome
from mailplat.store import Shard
from mailplat.store.transfer import is_closed
from migration import fence
from migration.attendance import URGENT, URGENT_ROOM, Attendance, Hand
from migration.compared import Compared
from migration.errors import Halt
from migration.lease import Lease
from migration.pacing import Pacer, backoff
from migration.shardmoves import LIVING, Orphan, ShardMove, ShardMoves, Stage
from migration.sources.shard import ShardAccount
from migration.target import Target
from migration.transfer import Transfer, transfer
from migration.turns import SHARD_KIND, Turn, Turns

log = structlog.get_logger("migration")

# Seconds between two looks at a move that is done or waits.
REST_S = 2.0

LANE = "shards"
# Turns that are handed out for each transfer: one is worked at, one waits.
AHEAD = 2


class BetweenShards(Attendance[ShardMove]):
    """`transfers`: accounts at a time, of all workers together."""

    kind = SHARD_KIND

    def __init__(self, platform: Platform, turns: Turns, runner: str, lease: Lease, transfers: int) -> None:
        self._ledger = ShardMoves(platform.database, platform.clock)
        super().__init__(platform, self._ledger, turns, runner, lease, REST_S)
        self._transfers = transfers
        self._pacer = Pacer(platform.clock, transfers)

    async def due(self) -> Sequence[ShardMove]:
        for orphan in await self.tools.book(self._ledger.orphans):
            await self._bury(orphan)
        return await self.tools.book(self._ledger.due)

    async def find(self, accounts: Collection[int]) -> Sequence[ShardMove]:
        return await self.tools.book(self._ledger.moves, accounts=accounts)

    async def look(self) -> None:
        await super().look()
        self._pacer.limit(max(1, self._transfers // self.workers), 0.0)

    def lane(self, move: ShardMove) -> str:
        return URGENT if self._is_urgent(move) else LANE

    def room(self, lane: str) -> int:
        return URGENT_ROOM if lane == URGENT else AHEAD * max(self._transfers, self.workers)

    def may_run(self, move: ShardMove) -> bool:
        return not move.cancelled

    def overdue(self, move: ShardMove) -> bool:
        return False  # its fence ends by itself or with its worker

    def _is_urgent(self, move: ShardMove) -> bool:
        """Whoever worked on a fence or behind a commit is gone, where nobody does."""
        return move.route.state is RouteState.SHARD_FENCED or move.stage == Stage.MOVED.value

    def wants(self, move: ShardMove, turn: Turn) -> bool:
        urgent = self._is_urgent(move) or move.cancelled
        if (move.halted or move.is_over) and not urgent:
            return False
        at_once = urgent or move.stage == Stage.PLANNED.value
        return self.clock.now() >= turn.due_at or (at_once and not turn.failures)

    def pacer(self, move: ShardMove) -> Pacer:
        return self._pacer

    def rest_after_abort(self, move: ShardMove) -> float:
        """Each fence ends the sessions of its account."""
        return backoff(move.aborts + 2)

    async def attend(self, hand: Hand[ShardMove]) -> bool:
        move = hand.move
        if move.route.state is RouteState.SHARD_FENCED:
            await fence.abort(self.tools, move, move.route, "the engine was restarted inside the fence")
            return True
        if move.stage == Stage.MOVED.value:
            await self._finish(move)
            return False
        if move.cancelled:
            await self._discard(move)
            await self.tools.book(self._ledger.forget, move.account_id)
            return False
        async with self._pacer.slot():
            now = await self.tools.book(self._ledger.find_move, move.account_id)
            if (now.shard, now.stage, now.route) != (move.shard, move.stage, move.route) or now.cancelled:
                return True  # it waited for long
            if now.route.home != ShardHome(now.source) or now.route.state not in LIVING:
                raise Halt(
                    f"the account is {now.route.state.value} on {now.route.home}, the move is from shard:{now.source}"
                )
            await transfer(self._crossing(now, hand.turn))
        return True

    async def failed(self, move: ShardMove, error: Exception) -> None:
        """A copy that does not fit leaves room for those that do, and may find another shard."""
        if isinstance(error, DiskFull):
            await self._discard(move)
            await self.tools.book(self._ledger.start_again, move.account_id, f"{move.shard} is full: {error}")

    # behind the commit

    async def _finish(self, move: ShardMove) -> None:
        """Held mail goes on; then the old shard gives the account up, its vault but for the messages that moved. Each
        step is a no-op the second time."""
        if not move.released:
            await fence.release(self.tools, move.account_id)
        await self._give_up(move.source, move.account_id, move.fence_epoch)
        disk.step("shardmove.removed")
        await self.tools.book(self._ledger.set, move.account_id, stage=Stage.DONE.value, note="")
        disk.step("shardmove.done")

    async def _give_up(self, name: str, account_id: int, epoch: int) -> None:
        shard = await self.platform.store.opened(name)
        await self.platform.executors.run(f"store/{name}", _give_up, shard, account_id, epoch)

    async def _discard(self, move: ShardMove) -> None:
        """The copy, never the account: nothing that its route calls home."""
        route = await self.tools.book(self._ledger.route, move.account_id)
        if route.home == ShardHome(move.shard):
            raise Halt(f"shard {move.shard} is the account's home; nothing is removed there")
        shard = await self.platform.store.opened(move.shard)
        await self.platform.executors.run(f"store/{move.shard}", shard.discard, move.account_id, route.epoch)
        disk.step("shardmove.discarded")

    async def _bury(self, orphan: Orphan) -> None:
        """The account was removed. Its home took it into the vault; the other copy goes."""
        try:
            if orphan.stage == Stage.MOVED.value:
                await self._give_up(orphan.source, orphan.account_id, orphan.fence_epoch)
            elif orphan.stage != Stage.DONE.value:
                shard = await self.platform.store.opened(orphan.shard)
                await self.platform.executors.run(
                    f"store/{orphan.shard}", shard.discard, orphan.account_id, 2**62
                )
        except NotFound as error:  # that shard has left the configuration
            log.warning("a copy stays behind", account=orphan.address, reason=str(error))
        await self.tools.book(self._ledger.forget, orphan.account_id)

    def _crossing(self, move: ShardMove, turn: Turn) -> Transfer:
        platform, tools, epoch = self.platform, self.tools, move.route.epoch
        here = Residence(move.account_id, move.source, epoch)
        there = Residence(move.account_id, move.shard, epoch)
        return Transfer(
            ledger=self._ledger.guarded(self.turns.guard(turn)),
            executors=tools.executors,
            clock=tools.clock,
            bus=tools.bus,
            queue=tools.queue,
            move=move,
            source=ShardAccount(platform.store, platform.executors, here),
            target=Target(platform.store, platform.executors, there),
            compared=Compared.from_json(move.verified),
            running=lambda: move.account_id in self.running,
        )


def _give_up(shard: Shard, account_id: int, epoch: int) -> None:
    """Raises StaleEpoch where the account was granted another epoch there since, which nobody can have done."""
    try:
        shard.remove_account(Residence(account_id, shard.name, epoch), moved=True)
    except StaleEpoch:
        if not is_closed(shard.site, account_id):
            raise
