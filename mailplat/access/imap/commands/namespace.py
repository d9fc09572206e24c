"""NAMESPACE (RFC 2342): one personal namespace and, where mailboxes can be shared, one of other users."""

from mailplat.access.imap.command import Command
from mailplat.access.imap.refusal import Tagged, ok
from mailplat.access.imap.request import Request
from mailplat.access.imap.session import Session
from mailplat.wire.imap import response


async def run(session: Session, request: Request) -> Tagged:
    request.arguments.end()
    sharing = session.services.sharing
    own = response.namespaces(session.account.prefix, session.spelling)
    others = b"NIL" if sharing is None else response.namespaces(sharing.prefix, session.spelling)
    session.out(b"* NAMESPACE %b %b NIL\r\n" % (own, others))
    return ok("NAMESPACE completed")


COMMANDS = (Command("NAMESPACE", run),)
