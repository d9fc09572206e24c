"""APPEND (RFC 3501 6.3.11): appending.py has it, because its literals come before the command is complete. What gets
here is an APPEND that announced no message."""

from mailplat.access.imap.command import Command
from mailplat.access.imap.refusal import Tagged, bad
from mailplat.access.imap.request import Request
from mailplat.access.imap.session import Session


async def run(session: Session, request: Request) -> Tagged:
    return bad("APPEND needs a mailbox and a literal")


COMMANDS = (Command("APPEND", run),)
