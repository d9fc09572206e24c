"""CAPABILITY (RFC 3501 6.1.1)."""

from mailplat.access.imap.capability import capabilities
from mailplat.access.imap.command import ANY, Command
from mailplat.access.imap.refusal import Tagged, ok
from mailplat.access.imap.request import Request
from mailplat.access.imap.session import Session


async def run(session: Session, request: Request) -> Tagged:
    request.arguments.end()
    session.out(b"* CAPABILITY %b\r\n" % capabilities(session))
    return ok("Capabilities listed")


COMMANDS = (Command("CAPABILITY", run, states=ANY),)
