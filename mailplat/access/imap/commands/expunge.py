"""EXPUNGE (RFC 3501 6.4.3) and UID EXPUNGE (RFC 4315 2.1), with HIGHESTMODSEQ (RFC 7162 3.2.7, 3.2.9)."""

from mailplat.access.imap.command import SELECTED, Command
from mailplat.access.imap.limiting import cut, expungeable
from mailplat.access.imap.refusal import READ_ONLY, Tagged, ok
from mailplat.access.imap.request import Request
from mailplat.access.imap.resync import highest
from mailplat.access.imap.session import Session


async def run(session: Session, request: Request) -> Tagged:
    arguments = request.arguments
    view = session.selected
    uids = None
    if request.by_uid:
        arguments.space()
        numbers = arguments.sequence_set()
        spans = view.spans(numbers, by_uid=True)
        if session.limits.message_limit:
            spans = cut(session, request, expungeable(view, spans))
        uids = view.ranges(spans)
    arguments.end()
    if view.read_only:
        return READ_ONLY
    view.place.check("EXPUNGE")
    removed = await session.write(request, view.place.shard.expunge, uids) if uids is None or uids else []
    return ok(f"{request.name} completed", highest(session) if removed else "")


COMMANDS = (Command("EXPUNGE", run, states=SELECTED), Command("UID EXPUNGE", run, states=SELECTED))
