"""ENABLE (RFC 5161). Names that we do not know are ignored (3.1)."""

from mailplat.access.imap.command import AFTER_LOGIN, Command
from mailplat.access.imap.refusal import Tagged, ok
from mailplat.access.imap.request import Request
from mailplat.access.imap.session import Session

KNOWN = {
    "CONDSTORE",  # RFC 7162 3.1.2
    "QRESYNC",  # RFC 7162 3.2.3
    "UIDONLY",  # RFC 9586
    "UTF8=ACCEPT",  # RFC 6855 3
    "IMAP4REV2",  # RFC 9051 6.3.1
}

# As they are advertised, where that is not in capitals.
_SPELLED = {name.upper(): name for name in ("IMAP4rev2",)}


async def run(session: Session, request: Request) -> Tagged:
    arguments = request.arguments
    wanted: list[str] = []
    while not wanted or not arguments.at_end:
        arguments.space()
        wanted.append(arguments.atom().decode("ascii").upper())
    arguments.end()
    enabled = [name for name in dict.fromkeys(wanted) if name in KNOWN and name not in session.enabled]
    shown = [_SPELLED.get(name, name) for name in enabled]
    session.out(" ".join(("* ENABLED", *shown)).encode() + b"\r\n")
    for name in enabled:
        session.enable(name)
    return ok("ENABLE completed")


COMMANDS = (Command("ENABLE", run, states=AFTER_LOGIN),)
