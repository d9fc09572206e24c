"""CLOSE (RFC 3501 6.4.2): expunge without telling, unless read-only."""

from mailplat.access.imap.command import SELECTED, Command
from mailplat.access.imap.refusal import Tagged, ok
from mailplat.access.imap.request import Request
from mailplat.access.imap.session import Session


async def run(session: Session, request: Request) -> Tagged:
    request.arguments.end()
    view = session.selected
    place = view.place
    if not view.read_only and "e" in place.rights:  # RFC 4314 4: who may not expunge closes all the same
        await place.change(place.shard.expunge, place.residence, view.mailbox_id, None)
    session.unselect()
    return ok("CLOSE completed")


COMMANDS = (Command("CLOSE", run, states=SELECTED),)
