"""RENAME (RFC 3501 6.3.5). The selected mailbox stays selected under its new name."""

from mailplat.access.imap.command import Command
from mailplat.access.imap.refusal import Tagged, ok
from mailplat.access.imap.session import Request, Session
from mailplat.wire.imap import response


async def run(session: Session, request: Request) -> Tagged:
    arguments = request.arguments
    arguments.space()
    old = arguments.mailbox()
    arguments.space()
    new = arguments.mailbox().removesuffix("/")
    arguments.end()
    await session.change(session.shard.rename, session.residence, old, new)
    if old == "INBOX":
        session.watch.did(new, exists=True)
    else:
        session.watch.did_rename(old, new)
    view = session.view
    # RFC 3501 6.3.5: renaming INBOX moves its messages, INBOX itself stays.
    if view is not None and old != "INBOX" and (view.name == old or view.name.startswith(f"{old}/")):
        view.name = new + view.name[len(old) :]
    if session.rev2 and old != "INBOX":
        # RFC 9051 6.3.9.7: what the mailbox was called before.
        session.out(response.list_line(new, (), utf8=True, old_name=old))
    return ok("RENAME completed")


COMMANDS = (Command("RENAME", run),)
