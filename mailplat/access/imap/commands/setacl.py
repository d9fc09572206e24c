"""SETACL and DELETEACL (RFC 4314 3.1, 3.2).

The owner may do everything with his mailboxes, always: neither he nor anybody else can take a right from him.
"""

from mailplat.access.imap.command import Command
from mailplat.access.imap.locating import locate
from mailplat.access.imap.refusal import Tagged, no, ok
from mailplat.access.imap.request import Request
from mailplat.access.imap.session import Session
from mailplat.access.imap.sharing import NoGrantee, Sharing
from mailplat.core.rights import ALL, NONE
from mailplat.wire.imap.acl import SetAcl, parse_identified, parse_setacl


async def put(session: Session, request: Request) -> Tagged:
    return await _change(session, request, parse_setacl(request.arguments))


async def delete(session: Session, request: Request) -> Tagged:
    name, identifier, _ = parse_identified(request.arguments)
    return await _change(session, request, SetAcl(name, identifier, "", NONE))


async def _change(session: Session, request: Request, program: SetAcl) -> Tagged:
    sharing = Sharing.of(session.services.sharing)
    place = await locate(session, program.mailbox, request.name)
    mailbox = await place.call(place.shard.mailbox, place.residence, place.name)
    done = ok(f"{request.name} completed")
    if sharing.identifier(program.identifier) == place.owner.address.key:
        whole = program.rights == ALL if program.how == "" else program.how == "+" or not program.rights
        return done if whole else no("The rights of the owner cannot be changed", "CANNOT")
    try:
        await sharing.change(place, mailbox.id, program.identifier, program.how, program.rights)
    except NoGrantee:
        return no("There is no such account", "CANNOT")
    return done


COMMANDS = (Command("SETACL", put), Command("DELETEACL", delete))
