"""STATUS (RFC 3501 6.3.10; HIGHESTMODSEQ of RFC 7162 3.1.7; SIZE of RFC 8438; MAILBOXID of RFC 8474 4.3; DELETED of
RFC 9051 6.3.11; DELETED-STORAGE of RFC 9208 4.1.4)."""

from mailplat.access.imap.command import Command
from mailplat.access.imap.counting import count
from mailplat.access.imap.locating import locate
from mailplat.access.imap.refusal import Tagged, ok
from mailplat.access.imap.request import Request
from mailplat.access.imap.session import Session
from mailplat.wire.imap import response
from mailplat.wire.imap.storing import parse_status


async def run(session: Session, request: Request) -> Tagged:
    name, items = parse_status(request.arguments)
    if "HIGHESTMODSEQ" in items:
        session.enable("CONDSTORE")  # RFC 7162 3.1
    place = await locate(session, name, "STATUS")
    shard, residence = place.shard, place.residence

    def read() -> dict[str, int | str]:
        return count(shard, residence, shard.mailbox(residence, place.name), items)

    session.out(response.status_line(place.shown, await place.call(read), spelling=session.spelling))
    return ok("STATUS completed")


COMMANDS = (Command("STATUS", run),)
