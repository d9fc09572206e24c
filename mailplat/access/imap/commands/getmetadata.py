"""GETMETADATA and SETMETADATA (RFC 5464): annotations of mailboxes and, where the mailbox is "", of the server.

/private entries of a mailbox are its owner's, /shared ones of all who may read it; who has the right "w" sets them.
Of the server an account has /private entries, and nobody sets those that all would share.
"""

from mailplat.access.imap.command import Command
from mailplat.access.imap.locating import locate
from mailplat.access.imap.place import Place, readable
from mailplat.access.imap.refusal import Tagged, no, ok
from mailplat.access.imap.request import Request
from mailplat.access.imap.session import Session
from mailplat.core.errors import LimitReached
from mailplat.store.annotations import ACCOUNT, AnnotationTooLong
from mailplat.wire.imap import response
from mailplat.wire.imap.metadata import parse_get, parse_set


async def get(session: Session, request: Request) -> Tagged:
    program = parse_get(request.arguments)
    place, mailbox_id = await _find(session, program.mailbox, "GETMETADATA")
    values = readable(place, await place.call(place.shard.annotations, place.residence, mailbox_id))
    found: dict[str, bytes | None] = {name: value for name, value in values.items() if program.wants(name)}
    longest = 0
    if program.max_size is not None:
        # RFC 5464 4.2.1: the size of the largest that was left out.
        long = {name: len(value) for name, value in found.items() if value and len(value) > program.max_size}
        longest = max(long.values(), default=0)
        found = {name: value for name, value in found.items() if name not in long}
    # RFC 5464 4.4.1: an entry that was named and has no value is NIL.
    found |= {name: None for name in program.entries if name not in values and program.depth == 0}
    if found:
        session.out(response.metadata_line(program.mailbox, found, spelling=session.spelling))
    return ok("GETMETADATA completed", f"METADATA LONGENTRIES {longest}" if longest else "")


async def put(session: Session, request: Request) -> Tagged:
    name, values = parse_set(request.arguments)
    place, mailbox_id = await _find(session, name, "SETMETADATA")
    if mailbox_id == ACCOUNT and any(entry.startswith("/shared/") for entry in values):
        return no("Entries that all accounts share are not set here", "NOPERM")
    if not place.own and any(entry.startswith("/private/") for entry in values):
        return no("Private entries of a mailbox are its owner's", "NOPERM")
    try:
        await place.change(place.shard.annotate, place.residence, mailbox_id, values)
    except AnnotationTooLong:
        return no("A value is too long", f"METADATA MAXSIZE {place.shard.site.limits.annotation}")
    except LimitReached:
        return no("Too many entries", "METADATA TOOMANY")
    if place.own:  # numbers of two shards say nothing of each other
        session.watch.annotated(mailbox_id, values)
    return ok("SETMETADATA completed")


async def _find(session: Session, name: str, operation: str) -> tuple[Place, int]:
    """The mailbox's number; ACCOUNT for the server. Raises NotFound, NoRight."""
    if not name:
        return session.own(name), ACCOUNT
    place = await locate(session, name, operation)
    return place, (await place.call(place.shard.mailbox, place.residence, place.name)).id


COMMANDS = (Command("GETMETADATA", get), Command("SETMETADATA", put))
