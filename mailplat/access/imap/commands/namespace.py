"""NAMESPACE (RFC 2342): one personal namespace and, where mailboxes can be shared, one of other users; separator
"/"."""

from mailplat.access.imap.command import Command
from mailplat.access.imap.refusal import Tagged, ok
from mailplat.access.imap.request import Request
from mailplat.access.imap.session import Session
from mailplat.wire.imap.strings import string


async def run(session: Session, request: Request) -> Tagged:
    request.arguments.end()
    sharing = session.services.sharing
    others = b"NIL" if sharing is None else b'((%b "/"))' % string(sharing.prefix.encode("ascii"))
    session.out(b'* NAMESPACE (("" "/")) %b NIL\r\n' % others)
    return ok("NAMESPACE completed")


COMMANDS = (Command("NAMESPACE", run),)
