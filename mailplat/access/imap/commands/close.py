"""CLOSE (RFC 3501 6.4.2): expunge without telling, unless read-only."""

from mailplat.access.imap.command import SELECTED, Command
from mailplat.access.imap.refusal import Tagged, ok
from mailplat.access.imap.session import Request, Session


async def run(session: Session, request: Request) -> Tagged:
    request.arguments.end()
    view = session.selected
    if not view.read_only:
        await session.change(session.shard.expunge, session.residence, view.mailbox_id, None)
    session.unselect()
    return ok("CLOSE completed")


COMMANDS = (Command("CLOSE", run, states=SELECTED),)
