"""LOGIN (RFC 3501 6.2.3)."""

from mailplat.access.imap.authentication import authenticate, failed
from mailplat.access.imap.capability import may_log_in
from mailplat.access.imap.command import BEFORE_LOGIN, Command
from mailplat.access.imap.refusal import PRIVACY, Tagged
from mailplat.access.imap.request import Request
from mailplat.access.imap.session import Session
from mailplat.wire.sasl import Plain


async def run(session: Session, request: Request) -> Tagged | None:
    arguments = request.arguments
    arguments.space()
    name = arguments.astring()
    arguments.space()
    password = arguments.astring()
    arguments.end()
    if not may_log_in(session):
        return PRIVACY
    try:
        claim = Plain("", name.decode("utf-8"), password.decode("utf-8"))
    except UnicodeDecodeError:
        return failed(session, request.tag)
    return await authenticate(session, request.tag, claim)


COMMANDS = (Command("LOGIN", run, states=BEFORE_LOGIN),)
