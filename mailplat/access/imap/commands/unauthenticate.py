"""UNAUTHENTICATE (RFC 8437): the connection may be used by somebody else."""

from mailplat.access.imap.command import Command
from mailplat.access.imap.refusal import Tagged, ok
from mailplat.access.imap.request import Request
from mailplat.access.imap.session import Session


async def run(session: Session, request: Request) -> Tagged:
    request.arguments.end()
    session.log_out()
    return ok("Logged out; log in again")


COMMANDS = (Command("UNAUTHENTICATE", run),)
