"""IDLE (RFC 2177)."""

from mailplat.access.imap.command import Command
from mailplat.access.imap.idle import idle
from mailplat.access.imap.refusal import Tagged, bad, ok
from mailplat.access.imap.request import Request
from mailplat.access.imap.session import Session


async def run(session: Session, request: Request) -> Tagged | None:
    request.arguments.end()
    line = await idle(session, request.tag)
    if line is None:
        return None
    return ok("IDLE completed") if line.strip().upper() == b"DONE" else bad("DONE expected")


COMMANDS = (Command("IDLE", run),)
