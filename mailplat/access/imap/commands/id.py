"""ID (RFC 2971). What the client says is read and forgotten; we give our name, and no version before login."""

from mailplat.access.imap.command import ANY, Command
from mailplat.access.imap.refusal import Tagged, ok
from mailplat.access.imap.request import Request
from mailplat.access.imap.session import Session


async def run(session: Session, request: Request) -> Tagged:
    arguments = request.arguments
    arguments.space()
    if arguments.peek(b"("):
        arguments.items(arguments.nstring, limit=arguments.bounds.id_strings)
    else:
        arguments.nstring()
    arguments.end()
    session.out(b'* ID ("name" "mailplat")\r\n')
    return ok("ID completed")


COMMANDS = (Command("ID", run, states=ANY),)
