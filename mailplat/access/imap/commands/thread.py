"""THREAD and UID THREAD (RFC 5256), by ORDEREDSUBJECT and REFERENCES."""

from mailplat.access.imap.command import SELECTED, Command
from mailplat.access.imap.finding import find
from mailplat.access.imap.refusal import Tagged, ok
from mailplat.access.imap.request import Request
from mailplat.access.imap.session import Session
from mailplat.wire.imap.sorting import parse_thread
from mailplat.wire.imap.threads import Forest, thread_line


async def run(session: Session, request: Request) -> Tagged:
    algorithm, query = parse_thread(request.arguments)
    view = session.selected
    places = await find(session, request, query, whole=True)
    forest = Forest()
    if places:
        uids = [view.uids[number] for number in places]
        place = view.place
        forest = await place.change(place.shard.threads, place.residence, view.mailbox_id, uids, algorithm)
    # The view still knows all that were found: nothing took them out of it meanwhile.
    number_of = {view.uids[number]: number + 1 for number in places}
    session.out(thread_line(forest, int if request.by_uid else number_of.__getitem__))
    return ok(f"{request.name} completed")


COMMANDS = (
    Command("THREAD", run, states=SELECTED, may_expunge=False),
    Command("UID THREAD", run, states=SELECTED),
)
