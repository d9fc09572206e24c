"""One account's way back: NEW -> ROLLBACK_FENCED -> LEGACY."""

from sqlalchemy.engine import Connection

from mailplat.core import disk
from mailplat.core.errors import Unavailable
from mailplat.core.route import BackendHome, Residence, Route, ShardHome
from migration import fence, numbering, origins
from migration.back import check
from migration.back.returning import Return
from migration.back.round import run_round
from migration.beside import giving
from migration.book import Round, merge_dropped
from migration.crossing import Tools
from migration.errors import FenceAborted, Halt
from migration.fence import FENCE_S, Phases
from migration.journey import BUDGET_S, COMPARISONS
from migration.ledger import Move
from migration.target import Target

# Rounds before the fence. One that still takes longer than the budget is tried again later.
ROUNDS = 5


async def travel(returning: Return) -> Route:
    """To the commit. Raises Halt, FenceAborted, Unavailable, Paused."""
    route = returning.move.route
    await returning.here.grant(route.epoch)
    await _catch_up(returning)
    lasting: set[str] | None = None
    for _ in range(COMPARISONS):
        seen = set(await check.compare(returning))
        lasting = seen if lasting is None else lasting & seen
        if not lasting:
            break
        await make_round(returning, "back")
    check.refuse(sorted(lasting or ()), COMPARISONS)
    await returning.beside.give()
    await _catch_up(returning)
    return await go_back(returning, route)


async def _catch_up(returning: Return) -> None:
    for _ in range(ROUNDS):
        if await make_round(returning, "back") <= BUDGET_S:
            return
    raise Unavailable("the account changes faster than it goes back; tried again later")


async def make_round(returning: Return, kind: str) -> float:
    """A round with its row in the ledger; its seconds."""
    began = returning.clock.now()
    done = await run_round(returning, kind)
    values: dict[str, object] = {"returned": began, "note": ""}
    if returning.dropped:
        values["dropped"] = merge_dropped(returning.move.dropped, returning.dropped)
    if done.operations:
        await returning.book(returning.ledger.record, returning.account_id, done, **values)
    else:
        await returning.book(returning.ledger.set, returning.account_id, **values)
    disk.step("back.round")
    return done.seconds


async def go_back(returning: Return, route: Route, *, length: float = FENCE_S) -> Route:
    """Raises FenceAborted; the account is here as before then."""
    return await fence.hold(returning, route, lambda _, phases: _last_round(returning, phases), length)


async def _last_round(returning: Return, phases: Phases) -> Round:
    done = await run_round(returning, "back", last=True)
    disk.step("move.delta")
    phases.end("delta")
    await returning.beside.give(fenced=True)
    phases.end("beside")
    differences = await check.compare(returning)
    if differences:
        raise FenceAborted(f"the two sides differ: {'; '.join(differences[:3])}")
    phases.end("verify")
    return done


async def finish(tools: Tools, move: Move, here: Target) -> None:
    """Behind the commit; each step is a no-op the second time. Held mail goes to the backend. What is here is
    removed, since all of it is there: taken up again it would keep POP3 UIDLs and zones of dates that are others
    there, so an account that moves again is copied like any other."""
    await fence.let_go(tools, move.account_id)
    disk.step("back.let-go")
    route = await tools.book(tools.ledger.route, move.account_id)
    if route.home != BackendHome(move.backend):
        raise Halt(f"the account's home is {route.home}; nothing is removed there")
    await here.give_up(route.epoch - 1)
    disk.step("back.removed")
    for name in await tools.book(tools.ledger.watermarks, move.account_id):
        await tools.book(tools.ledger.drop_watermark, move.account_id, name)
    told = await tools.book(tools.ledger.within, _forget, move.account_id)
    disk.step("back.forgotten")
    await tools.book(tools.ledger.set, move.account_id, released=True, copied=0, note=told)
    disk.step("move.released")


def _forget(connection: Connection, account_id: int) -> str:
    """What was kept for the way back; what did not go, for people."""
    origins.forget(connection, account_id)
    numbering.forget(connection, account_id)
    return giving.forget(connection, account_id)


def residence(move: Move) -> Residence:
    """Where the account lives, or lived until it went back."""
    home = move.route.home
    return Residence(
        move.account_id, home.shard if isinstance(home, ShardHome) else move.shard, move.route.epoch
    )
