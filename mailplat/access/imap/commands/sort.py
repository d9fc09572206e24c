"""SORT and UID SORT (RFC 5256 3), SORT=DISPLAY (RFC 5957), ESORT (RFC 5267 3), SAVE (RFC 5182)."""

from mailplat.access.imap.command import SELECTED, Command
from mailplat.access.imap.finding import answer, find, saving
from mailplat.access.imap.refusal import Tagged
from mailplat.access.imap.request import Request
from mailplat.access.imap.session import Session
from mailplat.wire.imap.esearch import parse_returns
from mailplat.wire.imap.sorting import parse_sort, sort_line


async def run(session: Session, request: Request) -> Tagged:
    arguments, view = request.arguments, session.selected
    arguments.space()
    returns = parse_returns(arguments)
    with saving(view, returns):
        program = parse_sort(arguments)
        places = await find(session, request, program.query, whole=True)
        if len(places) > 1:
            uids = [view.uids[place] for place in places]
            place = view.place
            ordered = await place.change(
                place.shard.sort, place.residence, view.mailbox_id, uids, program.orders
            )
            places = [number for uid in ordered if (number := view.position(uid)) is not None]
    return answer(session, request, returns, program.query, places, sort_line)


COMMANDS = (
    # RFC 5256 3: as SEARCH, no EXPUNGE while it runs, but under UID
    Command("SORT", run, states=SELECTED, may_expunge=False),
    Command("UID SORT", run, states=SELECTED),
)
