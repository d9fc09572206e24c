"""MOVE and UID MOVE (RFC 6851), with HIGHESTMODSEQ (RFC 7162 3.2.7)."""

from mailplat.access.imap.command import SELECTED, Command
from mailplat.access.imap.copying import move_across, stays_whole
from mailplat.access.imap.limiting import cut
from mailplat.access.imap.locating import locate
from mailplat.access.imap.refusal import EXPUNGED, READ_ONLY, Tagged, ok
from mailplat.access.imap.request import Request
from mailplat.access.imap.resync import highest
from mailplat.access.imap.session import Session
from mailplat.core.route import Residence
from mailplat.store.types import CopyResult, UidRanges
from mailplat.wire.imap import response
from mailplat.wire.imap.storing import parse_copy


async def run(session: Session, request: Request) -> Tagged:
    numbers, name = parse_copy(request.arguments)
    view = session.selected
    shard = view.place.shard
    spans = view.spans(numbers, by_uid=request.by_uid)
    if view.read_only:
        return READ_ONLY
    spans = cut(session, request, spans)
    view.place.check("MOVE")
    target = await locate(session, name, "MOVE to")
    if not request.by_uid:
        await session.refresh()
        if view.any_gone(spans):
            return EXPUNGED

    def move(residence: Residence, mailbox_id: int, uids: UidRanges) -> CopyResult:
        return shard.move(residence, mailbox_id, uids, target.name)

    if stays_whole(view.place, target):
        result = await session.write(request, move, view.ranges(spans))
        tell(session, result)
    else:
        result = await move_across(session, view.ranges(spans), target, lambda some: tell(session, some))
        await session.refresh(now=True)
        request.fresh = True
    return ok(f"{request.name} completed", highest(session) if result.source_uids else "")


def tell(session: Session, result: CopyResult) -> None:
    """RFC 6851 4.3: COPYUID in an untagged OK, before the EXPUNGE responses."""
    if result.source_uids:
        code = response.copyuid(result.uidvalidity, result.source_uids, result.target_uids)
        session.out(response.untagged_status("OK", "Moved", code))


COMMANDS = (
    Command("MOVE", run, states=SELECTED, creates_messages=True),
    Command("UID MOVE", run, states=SELECTED, creates_messages=True),
)
