"""AUTHENTICATE (RFC 3501 6.2.2), with an initial response (SASL-IR, RFC 4959)."""

from base64 import b64encode

from mailplat.access import exchange
from mailplat.access.channel import bindings
from mailplat.access.imap.authentication import authenticate, rejected
from mailplat.access.imap.capability import may_log_in
from mailplat.access.imap.command import BEFORE_LOGIN, Command
from mailplat.access.imap.refusal import PRIVACY, Tagged, bad, no
from mailplat.access.imap.request import Request
from mailplat.access.imap.session import Session
from mailplat.core.errors import InvalidInput
from mailplat.wire import sasl
from mailplat.wire.imap import response


class _Answered(Exception):
    """The line of the client was none, and the command has been answered."""


async def run(session: Session, request: Request) -> Tagged | None:
    arguments = request.arguments
    arguments.space()
    mechanism = arguments.atom().decode("ascii").upper()
    initial = None
    if not arguments.at_end:
        arguments.space()
        initial = arguments.atom()
    arguments.end()
    if not may_log_in(session):
        return PRIVACY
    steps = exchange.begin(mechanism, session.services.login, bindings(session.stream))
    if steps is None:
        return no("That mechanism is not offered", "CANNOT")

    async def ask(challenge: bytes) -> bytes:
        session.out(response.continuation(b64encode(challenge)))
        line = await session.line(request.tag)
        if line is None:
            raise _Answered
        return line

    if initial == b"=":  # RFC 4959 3: an empty response
        initial = b""
    try:
        claim = await exchange.negotiate(steps, initial, ask, session.services.login, session.peer, "imap")
    except _Answered:
        return None
    except exchange.Cancelled:  # RFC 3501 6.2.2
        return bad("AUTHENTICATE cancelled")
    except InvalidInput as error:
        return bad(f"Cannot be understood: {error}")
    except sasl.Rejected as error:
        return await rejected(session, request.tag, error.name)
    if exchange.acts_for_another(claim):
        return no("Logging in as somebody else is not allowed", "AUTHORIZATIONFAILED")
    return await authenticate(session, request.tag, claim)


COMMANDS = (Command("AUTHENTICATE", run, states=BEFORE_LOGIN),)
