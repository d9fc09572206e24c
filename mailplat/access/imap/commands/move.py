"""MOVE and UID MOVE (RFC 6851), with HIGHESTMODSEQ (RFC 7162 3.2.7)."""

from mailplat.access.imap.command import SELECTED, Command
from mailplat.access.imap.limiting import cut
from mailplat.access.imap.refusal import EXPUNGED, READ_ONLY, Tagged, ok
from mailplat.access.imap.resync import highest
from mailplat.access.imap.session import Request, Session
from mailplat.core.route import Residence
from mailplat.store.types import CopyResult, UidRanges
from mailplat.wire.imap import response
from mailplat.wire.imap.storing import parse_copy


async def run(session: Session, request: Request) -> Tagged:
    numbers, target = parse_copy(request.arguments)
    view, shard = session.selected, session.shard
    spans = view.spans(numbers, by_uid=request.by_uid)
    if view.read_only:
        return READ_ONLY
    spans = cut(session, request, spans)
    if not request.by_uid:
        await session.refresh()
        if view.any_gone(spans):
            return EXPUNGED

    def move(residence: Residence, mailbox_id: int, uids: UidRanges) -> CopyResult:
        return shard.move(residence, mailbox_id, uids, target)

    result = await session.write(request, move, view.ranges(spans))
    if result.source_uids:
        # RFC 6851 4.3: COPYUID in an untagged OK, before the EXPUNGE responses.
        code = response.copyuid(result.uidvalidity, result.source_uids, result.target_uids)
        session.out(response.untagged_status("OK", "Moved", code))
    return ok(f"{request.name} completed", highest(session) if result.source_uids else "")


COMMANDS = (
    Command("MOVE", run, states=SELECTED, creates_messages=True),
    Command("UID MOVE", run, states=SELECTED, creates_messages=True),
)
