"""ID (RFC 2971). What the client says is read and forgotten; we give our name, and no version before login."""

from mailplat.access.imap.command import ANY, Command
from mailplat.access.imap.refusal import Tagged, ok
from mailplat.access.imap.session import Request, Session

# RFC 2971 3.3: not more than 30 pairs.
_MAX_STRINGS = 60


async def run(session: Session, request: Request) -> Tagged:
    arguments = request.arguments
    arguments.space()
    if arguments.peek(b"("):
        arguments.items(arguments.nstring, limit=_MAX_STRINGS)
    else:
        arguments.nstring()
    arguments.end()
    session.out(b'* ID ("name" "mailplat")\r\n')
    return ok("ID completed")


COMMANDS = (Command("ID", run, states=ANY),)
