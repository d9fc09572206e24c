"""LISTRIGHTS (RFC 4314 3.4)."""

from mailplat.access.imap.command import Command
from mailplat.access.imap.locating import locate
from mailplat.access.imap.refusal import Tagged, ok
from mailplat.access.imap.request import Request
from mailplat.access.imap.session import Session
from mailplat.access.imap.sharing import Sharing
from mailplat.core.rights import ALL, LETTERS, VIRTUAL, shown
from mailplat.wire.imap import response
from mailplat.wire.imap.acl import parse_identified


async def run(session: Session, request: Request) -> Tagged:
    sharing = Sharing.of(session.services.sharing)
    name, identifier, sent = parse_identified(request.arguments)
    place = await locate(session, name, request.name)
    await place.call(place.shard.mailbox, place.residence, place.name)
    if sharing.identifier(identifier) == place.owner.address.key:
        always, optional = shown(ALL), ()
    else:
        sharing.identifier(identifier, place.owner)  # may be given something
        always, optional = "", (*LETTERS, *VIRTUAL)  # each for itself
    # RFC 4314 3.4: the identifier as the client wrote it.
    session.out(response.listrights_line(place.shown, sent, always, optional, spelling=session.spelling))
    return ok("LISTRIGHTS completed")


COMMANDS = (Command("LISTRIGHTS", run),)
