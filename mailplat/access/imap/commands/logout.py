"""LOGOUT (RFC 3501 6.1.3)."""

from mailplat.access.imap.command import ANY, Command
from mailplat.access.imap.refusal import Tagged, ok
from mailplat.access.imap.request import Request, State
from mailplat.access.imap.session import Session


async def run(session: Session, request: Request) -> Tagged:
    request.arguments.end()
    session.unselect()
    session.out(b"* BYE Logging out\r\n")
    session.state = State.LOGOUT
    return ok("LOGOUT completed")


COMMANDS = (Command("LOGOUT", run, states=ANY),)
