"""RENAME (RFC 3501 6.3.5). The selected mailbox stays selected under its new name."""

from mailplat.access.imap.command import Command
from mailplat.access.imap.locating import locate, locate_new
from mailplat.access.imap.refusal import Tagged, no, ok
from mailplat.access.imap.request import Request
from mailplat.access.imap.session import Session
from mailplat.store.names import INBOX
from mailplat.wire.imap import response


async def run(session: Session, request: Request) -> Tagged:
    arguments = request.arguments
    arguments.space()
    old = arguments.mailbox()
    arguments.space()
    new = arguments.mailbox().removesuffix("/")
    arguments.end()
    source = await locate(session, old, "RENAME")
    target = await locate_new(session, new, "RENAME to")
    if not source.is_of(target):
        return no("A mailbox cannot be renamed into another account", "CANNOT")
    if not source.own and source.name == INBOX:
        # RFC 3501 6.3.5: it would take all mail out of it. Its owner may want that, a guest does not.
        return no("INBOX of somebody else cannot be renamed", "CANNOT")
    await source.change(source.shard.rename, source.residence, source.name, target.name)
    view, old, new = session.view, source.shown, target.shown
    if source.own:
        if old == INBOX:
            session.watch.did(new, exists=True)
        else:
            session.watch.did_rename(old, new)
    # RFC 3501 6.3.5: renaming INBOX moves its messages, INBOX itself stays.
    if view is not None and old != "INBOX" and (view.name == old or view.name.startswith(f"{old}/")):
        view.name = new + view.name[len(old) :]
    if session.rev2 and old != "INBOX":
        # RFC 9051 6.3.9.7: what the mailbox was called before.
        session.out(response.list_line(new, (), spelling=session.spelling, old_name=old))
    return ok("RENAME completed")


COMMANDS = (Command("RENAME", run),)
