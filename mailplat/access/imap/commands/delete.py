"""DELETE (RFC 3501 6.3.4)."""

from mailplat.access.imap.command import Command
from mailplat.access.imap.refusal import Tagged, ok
from mailplat.access.imap.session import Request, Session


async def run(session: Session, request: Request) -> Tagged:
    arguments = request.arguments
    arguments.space()
    name = arguments.mailbox()
    arguments.end()
    await session.change(session.shard.delete, session.residence, name)
    session.watch.did(name, exists=False)
    if session.view is not None and session.view.name == name:
        session.unselect()
        session.out(b"* OK [CLOSED] The selected mailbox was deleted\r\n")
    return ok("DELETE completed")


COMMANDS = (Command("DELETE", run),)
