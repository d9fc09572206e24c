"""COPY and UID COPY (RFC 3501 6.4.7), with COPYUID (RFC 4315 3)."""

from mailplat.access.imap.command import SELECTED, Command
from mailplat.access.imap.copying import copy
from mailplat.access.imap.limiting import check_saved
from mailplat.access.imap.locating import locate
from mailplat.access.imap.refusal import EXPUNGED, Tagged, ok
from mailplat.access.imap.request import Request
from mailplat.access.imap.session import Session
from mailplat.wire.imap import response
from mailplat.wire.imap.storing import parse_copy


async def run(session: Session, request: Request) -> Tagged:
    numbers, name = parse_copy(request.arguments)
    view = session.selected
    spans = view.spans(numbers, by_uid=request.by_uid)
    check_saved(session, spans)
    done = f"{request.name} completed"
    target = await locate(session, name, "COPY to")
    if not request.by_uid:
        # RFC 2180 4.4.1: COPY is all or nothing, so messages that are gone are found out first.
        await session.refresh()
        if view.any_gone(spans):
            return EXPUNGED
    result = await copy(session, view.ranges(spans), target)
    if target.shown == view.name:
        session.watch.added(result.target_uids)
    if not result.source_uids:
        return ok(done)
    return ok(done, response.copyuid(result.uidvalidity, result.source_uids, result.target_uids))


COMMANDS = (
    Command("COPY", run, states=SELECTED, creates_messages=True),
    Command("UID COPY", run, states=SELECTED, creates_messages=True),
)
