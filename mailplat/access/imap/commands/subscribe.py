"""SUBSCRIBE and UNSUBSCRIBE (RFC 3501 6.3.6, 6.3.7)."""

from mailplat.access.imap.command import Command
from mailplat.access.imap.locating import spelled
from mailplat.access.imap.refusal import Tagged, ok
from mailplat.access.imap.request import Request
from mailplat.access.imap.session import Session


async def run(session: Session, request: Request) -> Tagged:
    arguments = request.arguments
    arguments.space()
    name = arguments.mailbox()
    arguments.end()
    # RFC 4314 4: no mailbox is looked for, so no right is needed and nothing is told.
    name = spelled(session, name)
    await session.change(session.shard.subscribe, session.residence, name, request.name == "SUBSCRIBE")
    session.watch.did(name, subscribed=request.name == "SUBSCRIBE")
    return ok(f"{request.name} completed")


COMMANDS = (Command("SUBSCRIBE", run), Command("UNSUBSCRIBE", run))
