"""IDLE (RFC 2177)."""

from mailplat.access.imap.command import Command
from mailplat.access.imap.idle import idle
from mailplat.access.imap.refusal import Tagged
from mailplat.access.imap.request import Request
from mailplat.access.imap.session import Session


async def run(session: Session, request: Request) -> Tagged | None:
    request.arguments.end()
    return await idle(session, request.tag)


COMMANDS = (Command("IDLE", run),)
