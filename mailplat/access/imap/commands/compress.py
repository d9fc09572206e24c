"""COMPRESS DEFLATE (RFC 4978)."""

from mailplat.access.imap.command import Command
from mailplat.access.imap.refusal import Tagged, bad, no
from mailplat.access.imap.request import Request
from mailplat.access.imap.session import Session
from mailplat.wire.imap import response


async def run(session: Session, request: Request) -> Tagged | None:
    arguments = request.arguments
    arguments.space()
    mechanism = arguments.atom().upper()
    arguments.end()
    if mechanism != b"DEFLATE":
        return no("That mechanism is not offered", "CANNOT")
    if session.stream.compressed:
        return no("Compression is active already", "COMPRESSIONACTIVE")
    if session.framer.buffered:
        # They may be meant as clear or as compressed: RFC 4978 3 has the client wait for the reply.
        return bad("Octets behind COMPRESS before its reply")
    session.announce(expunge=True)
    session.out(response.tagged(request.tag, "OK", "DEFLATE active", ""))
    limits = session.limits
    # One message of any kind can be sent.
    session.stream.start_deflate(limits.inflate_ratio, max(limits.inflate_allowance, limits.message_size))
    return None


COMMANDS = (Command("COMPRESS", run),)
