"""FETCH and UID FETCH (RFC 3501 6.4.5, 6.4.8), with CHANGEDSINCE (RFC 7162 3.1.4) and VANISHED (3.2.6)."""

import asyncio

from mailplat.access.imap import fetch
from mailplat.access.imap.bodies import fetch_bodies
from mailplat.access.imap.command import SELECTED, Command
from mailplat.access.imap.progress import Progress
from mailplat.access.imap.refusal import EXPUNGED, Tagged, bad, no, ok
from mailplat.access.imap.resync import tell_vanished
from mailplat.access.imap.session import Request, Session
from mailplat.access.imap.streaming import NOTHING_MISSING, Missing
from mailplat.access.imap.view import Spans
from mailplat.wire.imap.fetch import Item, parse_fetch

UNKNOWN_CTE = no("A part has a transfer encoding that is not known", "UNKNOWN-CTE")  # RFC 3516 4.3


async def run(session: Session, request: Request) -> Tagged:
    program = parse_fetch(request.arguments)
    if program.vanished and not (request.by_uid and "QRESYNC" in session.enabled):
        return bad("VANISHED needs UID FETCH and ENABLE QRESYNC")  # RFC 7162 3.2.6
    if program.changed_since is not None or Item.MODSEQ in program.items:
        session.enable("CONDSTORE")  # RFC 7162 3.1
    view = session.selected
    spans = view.spans(program.numbers, by_uid=request.by_uid)
    if program.changed_since is not None:
        if program.vanished:
            await tell_vanished(session, program.numbers, program.changed_since)
        places = fetch.changed_since(view, spans, program.changed_since)
        spans = [(place, place + 1) for place in places]
    if program.partial is not None:
        spans = fetch.page(spans, program.partial)  # RFC 9394 3.4: of what CHANGEDSINCE leaves
    # RFC 4314 4: who may not set \\Seen reads without setting it.
    unmarked = view.read_only or "s" not in view.place.rights
    plan = fetch.make_plan(
        program, by_uid=request.by_uid, read_only=unmarked, uid_only=session.manner.uid_only
    )
    missing = NOTHING_MISSING
    progress = Progress(session, request.tag, sum(high - low for low, high in spans))
    if plan.sections:
        missing = await fetch_bodies(session, plan, spans, progress)
    elif plan.columns:
        missing = await _from_index(session, plan, spans, progress)
    else:
        await _from_view(session, plan, spans)
    if missing.unknown:
        return UNKNOWN_CTE
    if missing.gone and not request.by_uid:
        return EXPUNGED
    return ok(f"{request.name} completed")


async def _from_view(session: Session, plan: fetch.Plan, spans: Spans) -> None:
    for places in fetch.chunks(spans, session.limits.rows):
        session.out(fetch.from_view(plan, session.selected, places))
        if session.stream.full:
            await session.stream.flush()


async def _from_index(session: Session, plan: fetch.Plan, spans: Spans, progress: Progress) -> Missing:
    """One piece is written while the next is read."""
    gone = False
    view = session.selected
    place = view.place
    pieces = fetch.chunks(spans, session.limits.rows)
    piece = next(pieces, None)
    while piece is not None:
        reading = asyncio.ensure_future(
            place.call(fetch.from_index, plan, view, piece, place.shard, place.residence)
        )
        try:
            await session.stream.flush()
        except BaseException:
            await asyncio.gather(reading, return_exceptions=True)
            raise
        lines, some_gone = await reading
        session.out(lines)
        gone = gone or some_gone
        progress.add(len(piece))
        piece = next(pieces, None)
    return Missing(gone=gone)


COMMANDS = (
    Command("FETCH", run, states=SELECTED, may_expunge=False),
    Command("UID FETCH", run, states=SELECTED),
)
