"""One account's way through the states of its route (core.route.TRANSITIONS), as far as it can go now."""

from collections.abc import Callable

from mailplat.core import disk
from mailplat.core.route import Route, RouteState
from migration import afresh
from migration.book import merge_dropped
from migration.compared import Compared
from migration.crossing import Crossing, LegacyCrossing
from migration.delta import run_round
from migration.errors import Halt
from migration.fence import cut_over
from migration.ledger import COPIED, QUIET_ROUNDS
from migration.sweep import SWEEPS_S, sweep
from migration.verify import verify

# A delta round that took longer would be too long for a fence: track on.
BUDGET_S = 10.0
# A copy that took no longer is compared at once, whoever waits: to come again costs the account, and its platform, a
# login, a survey and a turn more.
SHORT_S = 0.5
# Comparisons, each after a delta round, before a difference that stays counts as one: users work meanwhile.
COMPARISONS = 3


async def travel(crossing: LegacyCrossing, *, yields: Callable[[], bool] = lambda: False) -> bool:
    """Until READY, and beyond it when the cutover was asked for; after NEW one sweep. Where `yields` says that others
    wait, no further than a copy that took long: large accounts are here before any of them is compared. True then:
    there is more to do. Raises what the rounds and the fence raise."""
    route, began = crossing.move.route, crossing.clock.monotonic()
    if route.state is RouteState.LEGACY:
        route = await crossing.advance(route, RouteState.SEEDING, began=crossing.clock.now())
        disk.step("move.seeding")
    else:
        await crossing.target.grant(route.epoch)  # a crash may lie between the route's step and this
    if crossing.move.afresh and route.state in COPIED:
        route = await afresh.begin(crossing, route)
    if route.state is RouteState.SEEDING:
        await make_round(crossing, "copy")
        await note_copied(crossing)
        verified = crossing.compared.to_json()
        route = await crossing.advance(route, RouteState.TRACKING, quiet=0, verified=verified)
        disk.step("move.tracking")
        if crossing.clock.monotonic() - began > SHORT_S and yields():
            return True
    if (
        route.state is RouteState.READY and not crossing.compared.mailboxes
    ):  # resumed after a halt: compare anew
        route = await crossing.advance(route, RouteState.TRACKING, quiet=0)
    if route.state is RouteState.TRACKING:
        route = await _track(crossing, route)
    if route.state is RouteState.READY:
        route = await _keep_ready(crossing, route)
    if route.state is RouteState.READY and crossing.move.cutover:
        route = await cut_over(crossing, route)
    if crossing.move.route.state is RouteState.NEW:
        await _sweep(crossing)
    return False


async def make_round(crossing: Crossing, kind: str) -> float:
    """A round with its row in the ledger; its seconds. A delta that found nothing leaves no row."""
    done = await run_round(crossing, kind)
    values: dict[str, object] = {"copied": crossing.copied, "note": ""}
    if crossing.dropped:
        values["dropped"] = merge_dropped(crossing.move.dropped, crossing.dropped)
    if done.operations or kind != "delta":
        await crossing.book(crossing.ledger.record, crossing.account_id, done, **values)
        crossing.told = crossing.told[0], crossing.copied
    elif crossing.move.note:
        await crossing.book(crossing.ledger.set, crossing.account_id, note="")
    return done.seconds


async def _track(crossing: LegacyCrossing, route: Route) -> Route:
    quiet = crossing.move.quiet
    while quiet < QUIET_ROUNDS:
        quiet = quiet + 1 if await make_round(crossing, "delta") <= BUDGET_S else 0
    if crossing.move.locks_out:
        if quiet != crossing.move.quiet:
            await crossing.book(crossing.ledger.set, crossing.account_id, quiet=quiet)
        await make_round(crossing, "delta")  # stay close to the source until somebody logs in, or approves
        return route
    verification = await compare(crossing)
    ready = await crossing.advance(route, RouteState.READY, verified=verification.to_json())
    disk.step("move.ready")
    return ready


async def note_copied(crossing: Crossing) -> None:
    """What comes from now on came by a delta."""
    marks = await crossing.book(crossing.ledger.watermarks, crossing.account_id)
    crossing.compared.copied = {
        name: (mark.status.uidvalidity, mark.status.uidnext or 1) for name, mark in marks.items()
    }


async def compare(crossing: Crossing) -> Compared:
    """While users work the two sides always differ by what came a moment ago; a difference that a delta round does
    not heal is one. Raises Halt for those. (Inside the fence every difference counts.)"""
    lasting: set[str] | None = None
    for attempt in range(COMPARISONS):
        if crossing.beside is not None:
            await crossing.beside.bring()
        verification = await verify(crossing, deep=True, seed=crossing.account_id + attempt)
        seen = set(verification.differences)
        lasting = seen if lasting is None else lasting & seen
        if not lasting:
            return crossing.compared
        await make_round(crossing, "delta")
    raise Halt(
        f"the two sides differ after {COMPARISONS} comparisons; nothing is cut over:"
        f" {'; '.join(sorted(lasting or ()))[:600]}"
    )


async def _keep_ready(crossing: LegacyCrossing, route: Route) -> Route:
    """Right before a fence this round is what makes the last delta short; a comparison may have taken minutes."""
    if await make_round(crossing, "delta") <= BUDGET_S:
        return route
    return await crossing.advance(route, RouteState.TRACKING, quiet=0)


async def _sweep(crossing: LegacyCrossing) -> None:
    done = await sweep(crossing)
    move = crossing.move
    sweeps = move.sweeps + 1
    later = SWEEPS_S[sweeps] if sweeps < len(SWEEPS_S) else None
    await crossing.book(
        crossing.ledger.record,
        crossing.account_id,
        done,
        sweeps=sweeps,
        sweep_at=0.0 if later is None else move.moved + later,
        strays=move.strays + done.added,
        late_flags=move.late_flags + done.changed,
    )
