"""LSUB (RFC 3501 6.3.9)."""

from mailplat.access.imap.command import Command
from mailplat.access.imap.listing import lsub_entries
from mailplat.access.imap.refusal import Tagged, ok
from mailplat.access.imap.request import Request
from mailplat.access.imap.session import Session
from mailplat.wire.imap import response
from mailplat.wire.imap.listing import parse_lsub


async def run(session: Session, request: Request) -> Tagged:
    program = parse_lsub(request.arguments)
    if program.patterns == ("",):
        session.out(response.delimiter_line("LSUB", session.spelling))
        return ok("LSUB completed")
    subscriptions = frozenset(await session.call(session.shard.subscriptions, session.residence))
    for entry in lsub_entries(program, subscriptions):
        session.out(
            response.list_line(entry.name, entry.attributes, command="LSUB", spelling=session.spelling)
        )
    return ok("LSUB completed")


COMMANDS = (Command("LSUB", run),)
