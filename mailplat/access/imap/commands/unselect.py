"""UNSELECT (RFC 3691): CLOSE without EXPUNGE."""

from mailplat.access.imap.command import SELECTED, Command
from mailplat.access.imap.refusal import Tagged, ok
from mailplat.access.imap.request import Request
from mailplat.access.imap.session import Session


async def run(session: Session, request: Request) -> Tagged:
    request.arguments.end()
    session.unselect()
    return ok("UNSELECT completed")


COMMANDS = (Command("UNSELECT", run, states=SELECTED),)
