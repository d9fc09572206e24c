"""MYRIGHTS (RFC 4314 3.5)."""

from mailplat.access.imap.command import Command
from mailplat.access.imap.locating import locate
from mailplat.access.imap.refusal import Tagged, ok
from mailplat.access.imap.request import Request
from mailplat.access.imap.session import Session
from mailplat.access.imap.sharing import Sharing
from mailplat.core.rights import shown
from mailplat.wire.imap import response
from mailplat.wire.imap.acl import parse_mailbox


async def run(session: Session, request: Request) -> Tagged:
    Sharing.of(session.services.sharing)
    place = await locate(session, parse_mailbox(request.arguments), request.name)
    await place.call(place.shard.mailbox, place.residence, place.name)
    session.out(response.myrights_line(place.shown, shown(place.rights), spelling=session.spelling))
    return ok("MYRIGHTS completed")


COMMANDS = (Command("MYRIGHTS", run),)
