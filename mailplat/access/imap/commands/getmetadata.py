"""GETMETADATA and SETMETADATA (RFC 5464): annotations of mailboxes and, where the mailbox is "", of the server.

All accounts' mailboxes are their own, so that /shared and /private differ in name only; of the server an account has
/private entries, and nobody sets those that all would share.
"""

from mailplat.access.imap.command import Command
from mailplat.access.imap.refusal import Tagged, no, ok
from mailplat.access.imap.session import Request, Session
from mailplat.core.errors import LimitReached
from mailplat.store.annotations import ACCOUNT, AnnotationTooLong
from mailplat.wire.imap import response
from mailplat.wire.imap.metadata import parse_get, parse_set


async def get(session: Session, request: Request) -> Tagged:
    program = parse_get(request.arguments)
    mailbox_id = await _number(session, program.mailbox)
    values = await session.call(session.shard.annotations, session.residence, mailbox_id)
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
        session.out(response.metadata_line(program.mailbox, found, utf8=session.utf8))
    return ok("GETMETADATA completed", f"METADATA LONGENTRIES {longest}" if longest else "")


async def put(session: Session, request: Request) -> Tagged:
    name, values = parse_set(request.arguments)
    mailbox_id = await _number(session, name)
    if mailbox_id == ACCOUNT and any(entry.startswith("/shared/") for entry in values):
        return no("Entries that all accounts share are not set here", "NOPERM")
    try:
        await session.change(session.shard.annotate, session.residence, mailbox_id, values)
    except AnnotationTooLong:
        return no("A value is too long", f"METADATA MAXSIZE {session.shard.site.limits.annotation}")
    except LimitReached:
        return no("Too many entries", "METADATA TOOMANY")
    session.watch.annotated(mailbox_id, values)
    return ok("SETMETADATA completed")


async def _number(session: Session, name: str) -> int:
    """Of the mailbox; ACCOUNT for the server. Raises NotFound."""
    if not name:
        return ACCOUNT
    return (await session.call(session.shard.mailbox, session.residence, name)).id


COMMANDS = (Command("GETMETADATA", get), Command("SETMETADATA", put))
