"""The fence: for a few seconds nobody writes; the last changes come over; one compare-and-set decides.

Whatever happens before the commit, and when the deadline comes, the fence is taken back: the route returns to
TRACKING, mail that was held goes to the legacy platform, waiting logins go through to it. The epoch of the commit
and that of the abort are the same number: of two that try, one finds the row changed.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from mailplat.core import disk
from mailplat.core.errors import MailplatError, StaleEpoch
from mailplat.core.hint import RouteChanged
from mailplat.core.route import Route, ShardHome
from mailplat.directory.watch import acknowledged
from mailplat.queue import Filter
from mailplat.queue.rows import HELD
from migration.book import Passage, Round
from migration.certificate import events
from migration.crossing import Crossing, Fenced, Tools
from migration.delta import run_round
from migration.errors import FenceAborted
from migration.sweep import SWEEPS_S
from migration.verify import verify

log = structlog.get_logger("migration")

# The longest that users wait. What is not done by COMMIT_MARGIN_S before is not begun any more.
FENCE_S = 30.0
COMMIT_MARGIN_S = 1.0
# How often we look whether all doors have acknowledged; nobody tells us.
ACKNOWLEDGE_POLL_S = 0.02
# For the count of the mail that is held: the fence's end waits for it.
COUNT_S = 2.0


Last = Callable[[Route, "Phases"], Awaitable[Round]]


class Phases:
    """Milliseconds of each part of a fence."""

    def __init__(self, crossing: Fenced) -> None:
        self._clock = crossing.clock
        self.began = self._last = self._clock.monotonic()
        self.spent: dict[str, int] = {}

    def end(self, name: str) -> None:
        now = self._clock.monotonic()
        self.spent[name] = round((now - self._last) * 1000)
        self._last = now

    @property
    def total(self) -> int:
        return round((self._clock.monotonic() - self.began) * 1000)


async def cut_over(crossing: Crossing, route: Route, *, length: float = FENCE_S) -> Route:
    """To the new home, in the states that the move says. Raises FenceAborted; the route is then as before."""
    crossing.hurry()
    marks = await crossing.book(crossing.ledger.watermarks, crossing.account_id)
    since = {name: mark.status.uidnext or 1 for name, mark in marks.items()}
    return await hold(
        crossing, route, lambda fenced, phases: _last_delta(crossing, fenced, since, phases), length
    )


async def hold(crossing: Fenced, route: Route, last: Last, length: float) -> Route:
    """The fence around `last`, which makes both sides the same when nobody writes any more, or raises. As `cut_over`;
    which way is up to `crossing`."""
    phases = Phases(crossing)
    fenced = await _begin(crossing, route, length)
    disk.step("move.fenced")
    try:
        crossing.bus.publish(RouteChanged(crossing.account_id))
        async with asyncio.timeout(max(0.0, length - COMMIT_MARGIN_S)):
            await _close(crossing, fenced, phases)
            done = await last(fenced, phases)
            await _open(crossing, fenced)
        new = await _commit(crossing, fenced, done, phases)
    except BaseException as error:
        settled = await asyncio.shield(
            asyncio.ensure_future(abort(crossing, crossing.move, fenced, _reason(error, phases)))
        )
        if settled.home != crossing.destination:
            if isinstance(error, Exception):
                raise FenceAborted(_reason(error, phases)) from error
            raise
        new = settled  # the commit's answer was lost, the commit was not
    log.info("account moved", account=crossing.account_id, home=str(new.home), ms=phases.total)
    if isinstance(new.home, ShardHome):
        await release(crossing, crossing.account_id)
    return new


async def _begin(crossing: Fenced, route: Route, length: float) -> Route:
    """An engine that stops while the row is written waits for that: nobody else would take the fence back."""
    fences, deadline = crossing.move.fences, crossing.clock.now() + length
    advancing = asyncio.ensure_future(
        crossing.book(
            crossing.ledger.advance, route, fences.fenced, fence_deadline=deadline, **fences.on_fence
        )
    )
    try:
        return await asyncio.shield(advancing)
    except asyncio.CancelledError as error:
        await asyncio.wait({advancing})
        if not advancing.cancelled() and advancing.exception() is None:
            await abort(crossing, crossing.move, advancing.result(), _reason(error, Phases(crossing)))
        raise


async def _close(crossing: Fenced, fenced: Route, phases: Phases) -> None:
    change = await crossing.book(crossing.ledger.change_of, crossing.account_id)
    while not await crossing.book(_acknowledged, crossing, change):  # noqa: ASYNC110 - see its constant
        await asyncio.sleep(ACKNOWLEDGE_POLL_S)
    disk.step("move.acknowledged")
    phases.end("acknowledge")
    await crossing.close_writes(fenced.epoch)
    disk.step("move.closed")


async def _last_delta(crossing: Crossing, fenced: Route, since: dict[str, int], phases: Phases) -> Round:
    done = await run_round(crossing, "fence")
    disk.step("move.delta")
    phases.end("delta")
    if crossing.beside is not None:
        await crossing.beside.bring(fenced=True)
        phases.end("beside")
    verification = await verify(crossing, deep=False, since=since)
    if verification.differences:
        raise FenceAborted(f"the two sides differ: {'; '.join(verification.differences[:3])}")
    await crossing.keep_origin()
    disk.step("move.origin")
    phases.end("verify")
    await crossing.keep_manifest(fenced)
    phases.end("manifest")
    return done


def _acknowledged(crossing: Fenced, change: int) -> bool:
    with crossing.ledger.database.read() as connection:
        return acknowledged(connection, crossing.clock, crossing.account_id, change)


async def _open(crossing: Fenced, fenced: Route) -> None:
    await note_held(crossing, fenced.account_id)
    await crossing.open_writes(fenced.epoch + 1)
    disk.step("move.granted")


async def _commit(crossing: Fenced, fenced: Route, done: Round, phases: Phases) -> Route:
    now, fences = crossing.clock.now(), crossing.move.fences
    values: dict[str, Any] = {fences.stamp: now, "released": False, "note": "", "fence_ms": phases.total}
    values |= {"verified": crossing.evidence()} | fences.on_commit
    if fences.sweeps:
        values["sweep_at"] = now + SWEEPS_S[0]
    new = await crossing.book(
        crossing.ledger.advance,
        fenced,
        fences.committed,
        home=crossing.destination,
        **values,
    )
    disk.step("move.committed")
    phases.end("commit")
    await crossing.book(
        crossing.ledger.record,
        crossing.account_id,
        done,
        fence_ms=phases.total,
        phases=json.dumps(phases.spent),
    )
    return new


async def abort(tools: Tools, move: Passage, fenced: Route, reason: str) -> Route:
    """Back to what it was, unless the row says that the commit happened. Returns the route as it is then. Raises
    Unavailable when the database cannot tell; the role then tries again."""
    now, fences = await tools.book(tools.ledger.route, move.account_id), move.fences
    if now.epoch == fenced.epoch and now.state is fences.fenced:
        await note_held(tools, move.account_id)
        try:
            now = await tools.book(
                tools.ledger.advance,
                fenced,
                fences.aborted,
                aborts=move.aborts + 1,
                note=f"fence taken back: {reason}",
                **fences.on_abort,
            )
        except StaleEpoch:  # somebody else settled it meanwhile
            return await tools.book(tools.ledger.route, move.account_id)
        disk.step("move.aborted")
        log.warning("fence taken back", account=move.account_id, reason=reason)
        try:
            await let_go(tools, move.account_id)
        except MailplatError as error:  # each door does it too when it sees the route (delivery/worker.py)
            log.warning("held mail goes on a little later", account=move.account_id, reason=str(error))
    return now


async def release(tools: Tools, account_id: int) -> None:
    """After the commit: everything that waited goes on. Idempotent; a crash before it ends here again."""
    await let_go(tools, account_id)
    await tools.book(tools.ledger.set, account_id, released=True)
    disk.step("move.released")


async def let_go(tools: Tools, account_id: int) -> None:
    tools.bus.publish(RouteChanged(account_id))
    await tools.executors.run("queue", tools.queue.release_account, account_id)


async def note_held(tools: Tools, account_id: int) -> None:
    """How much mail waits behind the fence, and for how long, for the certificate: at its end, since doors let go by
    themselves as soon as the row says so. At most LIST_LIMIT of queue/ is counted; and users do not wait for a count.
    """
    try:
        async with asyncio.timeout(COUNT_S):
            await _note_held(tools, account_id)
    except (MailplatError, TimeoutError) as error:
        log.warning("held mail is not counted", account=account_id, reason=str(error) or "took too long")


async def _note_held(tools: Tools, account_id: int) -> None:
    wanted = Filter(account_id=account_id, state=HELD)
    waiting = await tools.executors.run("queue", tools.queue.entries, wanted)
    if waiting:
        now = tools.clock.now()
        longest = round((now - min(each.arrived for each in waiting)) * 1000)
        detail = {"messages": len(waiting), "longest_ms": max(0, longest)}
        await tools.book(events.note, tools.ledger.database, account_id, now, events.HELD, **detail)


def _reason(error: BaseException, phases: Phases) -> str:
    if isinstance(error, TimeoutError):
        return f"not done in time; so far, in ms: {phases.spent or 'no door had acknowledged'}"
    if isinstance(error, asyncio.CancelledError):
        return "the engine is stopping"
    return str(error) if isinstance(error, MailplatError) else f"{type(error).__name__}: {error}"
