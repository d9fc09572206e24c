"""CREATE (RFC 3501 6.3.3), with USE (RFC 6154 3)."""

from mailplat.access.imap.command import Command
from mailplat.access.imap.locating import locate_new
from mailplat.access.imap.refusal import Tagged, no, ok
from mailplat.access.imap.request import Request
from mailplat.access.imap.session import Session
from mailplat.wire.imap import response
from mailplat.wire.imap.arguments import Arguments

# RFC 6154 2. \All and \Flagged are views of other mailboxes, which this store has not (3: NO [USEATTR]).
USES = {use.upper(): use for use in ("\\Archive", "\\Drafts", "\\Junk", "\\Sent", "\\Trash")}


async def run(session: Session, request: Request) -> Tagged:
    arguments = request.arguments
    arguments.space()
    # RFC 3501 6.3.3: a trailing separator says that names will be made below; the mailbox can hold both here.
    name = arguments.mailbox().removesuffix("/")
    wanted: list[str] = []
    if not arguments.at_end:
        arguments.space()
        arguments.expect(b"(")
        arguments.keyword("USE")
        arguments.space()
        wanted = [use.upper() for use in arguments.items(lambda: _use(arguments))]
        arguments.expect(b")")
    arguments.end()
    if len(wanted) > 1 or any(use not in USES for use in wanted):
        return no("That special use cannot be given here", "USEATTR")
    use = USES[wanted[0]] if wanted else ""
    place = await locate_new(session, name, "CREATE")
    if use and not place.own:
        return no("A mailbox of somebody else has no special use", "USEATTR")
    made = await place.change(place.shard.create, place.residence, place.name, special_use=use)
    if place.own:
        session.watch.did(made.name, exists=True)
    return ok("CREATE completed", b"MAILBOXID " + response.object_id(made.object_id))  # RFC 8474 4.1


def _use(arguments: Arguments) -> str:
    arguments.expect(b"\\")
    return f"\\{arguments.atom().decode('ascii')}"


COMMANDS = (Command("CREATE", run),)
