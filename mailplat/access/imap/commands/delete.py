"""DELETE (RFC 3501 6.3.4)."""

from mailplat.access.imap.command import Command
from mailplat.access.imap.locating import locate
from mailplat.access.imap.refusal import Tagged, ok
from mailplat.access.imap.request import Request
from mailplat.access.imap.session import Session


async def run(session: Session, request: Request) -> Tagged:
    arguments = request.arguments
    arguments.space()
    name = arguments.mailbox()
    arguments.end()
    place = await locate(session, name, "DELETE")
    await place.change(place.shard.delete, place.residence, place.name)
    if place.own:
        session.watch.did(place.name, exists=False)
    if session.view is not None and session.view.name == place.shown:
        session.unselect()
        session.out(b"* OK [CLOSED] The selected mailbox was deleted\r\n")
    return ok("DELETE completed")


COMMANDS = (Command("DELETE", run),)
