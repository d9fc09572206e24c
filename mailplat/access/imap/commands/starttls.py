"""STARTTLS (RFC 3501 6.2.1)."""

from mailplat.access.imap.command import BEFORE_LOGIN, Command
from mailplat.access.imap.refusal import Tagged, bad
from mailplat.access.imap.request import Request
from mailplat.access.imap.session import Farewell, Session
from mailplat.access.stream import PlaintextInjection, peer_of
from mailplat.wire.imap import response


async def run(session: Session, request: Request) -> Tagged | None:
    request.arguments.end()
    context = session.services.tls
    if context is None:
        return bad("TLS is not offered here")
    if session.stream.tls:
        return bad("TLS is active already")
    if session.stream.compressed:
        return bad("Compression is active")  # after UNAUTHENTICATE; RFC 4978 3: TLS comes first
    if session.framer.buffered:
        raise Farewell("Octets behind STARTTLS before the handshake")
    try:
        await session.stream.start_tls(
            context, response.tagged(request.tag, "OK", "Begin TLS negotiation now", "")
        )
    except PlaintextInjection:
        raise Farewell("Octets behind STARTTLS before the handshake") from None
    session.framer.discard()
    session.peer = peer_of(session.stream.writer)
    return None


COMMANDS = (Command("STARTTLS", run, states=BEFORE_LOGIN),)
