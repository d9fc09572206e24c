"""NAMESPACE (RFC 2342): one personal namespace, separator "/"."""

from mailplat.access.imap.command import Command
from mailplat.access.imap.refusal import Tagged, ok
from mailplat.access.imap.session import Request, Session


async def run(session: Session, request: Request) -> Tagged:
    request.arguments.end()
    session.out(b'* NAMESPACE (("" "/")) NIL NIL\r\n')
    return ok("NAMESPACE completed")


COMMANDS = (Command("NAMESPACE", run),)
