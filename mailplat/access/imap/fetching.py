"""FETCH made ready is answered: by the view alone, from the index, or with octets of message files."""

from mailplat.access.imap import fetch
from mailplat.access.imap.bodies import fetch_bodies, read_while_writing
from mailplat.access.imap.progress import Progress
from mailplat.access.imap.session import Session
from mailplat.access.imap.streaming import Missing
from mailplat.access.imap.view import Spans


async def send(session: Session, plan: fetch.Plan, spans: Spans, progress: Progress) -> Missing:
    """Write the reply lines of these messages."""
    if plan.sections:
        return await fetch_bodies(session, plan, spans, progress)
    if plan.columns:
        return await _from_index(session, plan, spans, progress)
    await _from_view(session, plan, spans)
    return Missing()


async def _from_view(session: Session, plan: fetch.Plan, spans: Spans) -> None:
    for places in fetch.chunks(spans, session.limits.rows, descending=plan.descending):
        session.out(fetch.from_view(plan, session.selected, places))
        if session.stream.full:
            await session.stream.flush()


async def _from_index(session: Session, plan: fetch.Plan, spans: Spans, progress: Progress) -> Missing:
    """One piece is written while the next is read."""
    gone = False
    view = session.selected
    shard, residence = view.place.shard, view.place.residence
    pieces = fetch.chunks(spans, session.limits.rows, descending=plan.descending)
    piece = next(pieces, None)
    while piece is not None:
        lines, some_gone = await read_while_writing(
            session, fetch.from_index, plan, view, piece, shard, residence
        )
        session.out(lines)
        gone = gone or some_gone
        progress.add(len(piece))
        piece = next(pieces, None)
    return Missing(gone=gone)
