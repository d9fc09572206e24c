"""NOOP (RFC 3501 6.1.2): the changes of the selected mailbox are told by the dialogue, as after each command."""

from mailplat.access.imap.command import ANY, Command
from mailplat.access.imap.refusal import Tagged, ok
from mailplat.access.imap.request import Request
from mailplat.access.imap.session import Session

_DONE = ok("NOOP completed")


async def run(session: Session, request: Request) -> Tagged:
    request.arguments.end()
    return _DONE


COMMANDS = (Command("NOOP", run, states=ANY),)
