"""AUTHENTICATE PLAIN (RFC 3501 6.2.2, RFC 4616), with an initial response (SASL-IR, RFC 4959)."""

from mailplat.access.imap.authentication import authenticate
from mailplat.access.imap.capability import may_log_in
from mailplat.access.imap.command import BEFORE_LOGIN, Command
from mailplat.access.imap.refusal import PRIVACY, Tagged, bad, no
from mailplat.access.imap.session import Request, Session
from mailplat.core.errors import InvalidInput
from mailplat.wire import sasl
from mailplat.wire.imap import response


async def run(session: Session, request: Request) -> Tagged | None:
    arguments = request.arguments
    arguments.space()
    mechanism = arguments.atom().upper()
    initial = None
    if not arguments.at_end:
        arguments.space()
        initial = arguments.atom()
    arguments.end()
    if mechanism != b"PLAIN":
        return no("That mechanism is not offered", "CANNOT")
    if not may_log_in(session):
        return PRIVACY
    if initial is None:
        session.out(response.continuation())
        initial = await session.line(request.tag)
        if initial is None:
            return None
        if initial == b"*":  # RFC 3501 6.2.2: the client cancels
            return bad("AUTHENTICATE cancelled")
    elif initial == b"=":  # RFC 4959 3: an empty response
        initial = b""
    try:
        plain = sasl.decode_plain(sasl.decode_base64(initial))
    except InvalidInput:
        return bad("Not a PLAIN response in base64")
    if plain.authzid and plain.authzid != plain.authcid:
        return no("Logging in as somebody else is not allowed", "AUTHORIZATIONFAILED")
    return await authenticate(session, request.tag, plain.authcid, plain.password)


COMMANDS = (Command("AUTHENTICATE", run, states=BEFORE_LOGIN),)
