"""FETCH and UID FETCH (RFC 3501 6.4.5, 6.4.8), with CHANGEDSINCE (RFC 7162 3.1.4) and VANISHED (3.2.6)."""

from mailplat.access.imap import fetch
from mailplat.access.imap.command import SELECTED, Command
from mailplat.access.imap.fetching import send
from mailplat.access.imap.limiting import check_page, cut
from mailplat.access.imap.progress import Progress
from mailplat.access.imap.refusal import EXPUNGED, Tagged, bad, no, ok
from mailplat.access.imap.request import Request
from mailplat.access.imap.resync import tell_vanished
from mailplat.access.imap.session import Session
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
        check_page(session, program.partial)
        spans = fetch.page(spans, program.partial)  # RFC 9394 3.4: of what CHANGEDSINCE leaves
    spans = cut(session, request, spans)
    plan = fetch.make_plan(
        program,
        by_uid=request.by_uid,
        read_only=view.unmarked,
        uid_only=session.manner.uid_only,
        descending=request.lowest is not None,  # RFC 9738 3.1
    )
    progress = Progress(session, request.tag, sum(high - low for low, high in spans))
    missing = await send(session, plan, spans, progress)
    if missing.unknown:
        return UNKNOWN_CTE
    if missing.gone and not request.by_uid:
        return EXPUNGED
    return ok(f"{request.name} completed")


COMMANDS = (
    Command("FETCH", run, states=SELECTED, may_expunge=False),
    Command("UID FETCH", run, states=SELECTED),
)
