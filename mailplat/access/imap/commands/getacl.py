"""GETACL (RFC 4314 3.3)."""

from mailplat.access.imap.command import Command
from mailplat.access.imap.locating import locate
from mailplat.access.imap.refusal import Tagged, ok
from mailplat.access.imap.request import Request
from mailplat.access.imap.session import Session
from mailplat.access.imap.sharing import Sharing
from mailplat.core.rights import ALL, shown
from mailplat.wire.imap import response
from mailplat.wire.imap.acl import parse_mailbox


async def run(session: Session, request: Request) -> Tagged:
    Sharing.of(session.services.sharing)
    place = await locate(session, parse_mailbox(request.arguments), request.name)
    mailbox = await place.call(place.shard.mailbox, place.residence, place.name)
    entries = await place.call(place.shard.acl, place.residence, mailbox.id)
    said = {place.owner.address.key: shown(ALL)}
    said |= {identifier: shown(entry.rights) for identifier, entry in entries.items()}
    session.out(response.acl_line(place.shown, said, spelling=session.spelling))
    return ok("GETACL completed")


COMMANDS = (Command("GETACL", run),)
