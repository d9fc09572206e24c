"""One account's way from shard to shard: the rounds, comparisons and fence of every move, with nobody to wait for.
Its stages are in the ledger (shardmoves.py); the route's one step before the commit is the fence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mailplat.core import disk
from mailplat.core.errors import Unavailable
from mailplat.core.route import Route
from migration.crossing import Crossing, Paused
from migration.errors import Halt
from migration.fence import cut_over
from migration.journey import BUDGET_S, COMPARISONS, make_round, note_copied
from migration.shardmoves import ShardMove, ShardMoves, Stage
from migration.sources.contract import Listed, Status
from migration.sources.shard import ShardAccount
from migration.verify import verify

# Deltas before the fence. One that still takes longer than the budget is tried again later.
DELTAS = 5


@dataclass(slots=True, kw_only=True)
class Transfer(Crossing):
    ledger: ShardMoves
    move: ShardMove
    source: ShardAccount

    async def uidls(self, name: str, status: Status, new: Sequence[Listed]) -> Mapping[int, str]:
        return await self.source.uidls([each.uid for each in new], status.uidvalidity)

    async def close_writes(self, epoch: int) -> None:
        """The old shard first: what it has taken before is in the delta, what comes later is refused there. And a
        legal hold is on the account wherever it lives."""
        await self.source.close_writes(epoch)
        await self.target.grant(epoch)
        held = await self.source.owner()
        if held.held_at is not None:
            await self.target.hold(held)

    async def enter(self, stage: Stage, **values: object) -> None:
        await self.book(self.ledger.set, self.account_id, stage=stage.value, **values)


async def transfer(crossing: Transfer) -> Route:
    """To the commit. Raises what the rounds and the fence raise; Unavailable where the account changes faster than
    it can be copied."""
    route, stage = crossing.move.route, Stage(crossing.move.stage)
    if stage is Stage.PLANNED:
        if not await crossing.book(crossing.ledger.begin, crossing.move):
            raise Paused(f"{crossing.move.address}: another target was chosen")
        disk.step("shardmove.seeding")
        stage = Stage.SEEDING
    await crossing.target.grant(route.epoch)
    disk.step("shardmove.granted")
    if stage is Stage.SEEDING:
        await make_round(crossing, "copy")
        await note_copied(crossing)
        await crossing.enter(Stage.TRACKING, verified=crossing.compared.to_json())
        disk.step("shardmove.tracking")
    await _compare(crossing)
    await crossing.enter(Stage.READY, verified=crossing.compared.to_json())
    disk.step("shardmove.ready")
    await _catch_up(crossing)
    return await cut_over(crossing, route)


async def _catch_up(crossing: Transfer) -> None:
    """Until a delta is short enough for a fence."""
    for _ in range(DELTAS):
        if await make_round(crossing, "delta") <= BUDGET_S:
            return
    await crossing.enter(Stage.TRACKING)
    raise Unavailable("the account changes faster than it can be copied; tried again later")


async def _compare(crossing: Transfer) -> None:
    """As before any cutover; what differs here because users work is compared again inside the fence."""
    lasting: set[str] | None = None
    for attempt in range(COMPARISONS):
        await make_round(crossing, "delta")
        verification = await verify(crossing, deep=True, seed=crossing.account_id + attempt)
        seen = set(verification.differences)
        lasting = seen if lasting is None else lasting & seen
        if not lasting:
            return
    raise Halt(
        f"the two shards differ after {COMPARISONS} comparisons; the account stays where it is:"
        f" {'; '.join(sorted(lasting or ()))[:600]}"
    )
