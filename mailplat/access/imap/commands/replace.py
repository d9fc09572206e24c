"""REPLACE and UID REPLACE (RFC 8508): appending.py has them, because their literal comes before the command is
complete. What gets here announced no message."""

from mailplat.access.imap.command import SELECTED, Command
from mailplat.access.imap.refusal import Tagged, bad
from mailplat.access.imap.request import Request
from mailplat.access.imap.session import Session


async def run(session: Session, request: Request) -> Tagged:
    return bad("REPLACE needs a message, a mailbox and a literal")


COMMANDS = (Command("REPLACE", run, states=SELECTED), Command("UID REPLACE", run, states=SELECTED))
