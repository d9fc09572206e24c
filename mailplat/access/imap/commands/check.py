"""CHECK (RFC 3501 6.4.1): every answered change is durable here already, so it only looks for changes."""

from mailplat.access.imap.command import SELECTED, Command
from mailplat.access.imap.refusal import Tagged, ok
from mailplat.access.imap.request import Request
from mailplat.access.imap.session import Session


async def run(session: Session, request: Request) -> Tagged:
    request.arguments.end()
    await session.refresh(now=True)
    return ok("CHECK completed")


COMMANDS = (Command("CHECK", run, states=SELECTED),)
