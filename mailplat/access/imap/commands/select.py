"""SELECT and EXAMINE (RFC 3501 6.3.1, 6.3.2), with CONDSTORE (RFC 7162 3.1.8)."""

from mailplat.access.imap.command import Command
from mailplat.access.imap.refusal import Tagged, ok
from mailplat.access.imap.session import Request, Session
from mailplat.access.imap.view import View
from mailplat.core.route import Residence
from mailplat.store import Shard
from mailplat.store.types import SYSTEM_FLAGS, Mailbox, Snapshot
from mailplat.wire.imap import response
from mailplat.wire.imap.storing import parse_select


async def run(session: Session, request: Request) -> Tagged:
    program = parse_select(request.arguments)
    if session.view is not None:
        # RFC 3501 6.3.1: the mailbox is deselected even where this SELECT fails. CLOSED: RFC 7162 3.2.11.
        session.unselect()
        session.out(b"* OK [CLOSED] Previous mailbox closed\r\n")
    session.listen()
    await session.quiet()
    checked = session.services.clock.monotonic()
    mailbox, snapshot = await session.call(_open, session.shard, session.residence, program.mailbox)
    read_only = request.name == "EXAMINE"
    view = View(mailbox.id, mailbox.name, snapshot, read_only=read_only, checked=checked)
    if program.condstore:
        session.enable("CONDSTORE")
    session.select(view)
    request.fresh = True
    session.out(_describe(view, session.limits.keywords_shown))
    session.out(b"* OK [MAILBOXID %b] Ok\r\n" % response.object_id(mailbox.object_id))  # RFC 8474 4.2
    return ok(f"{request.name} completed", "READ-ONLY" if read_only else "READ-WRITE")


def _open(shard: Shard, residence: Residence, name: str) -> tuple[Mailbox, Snapshot]:
    mailbox = shard.mailbox(residence, name)
    return mailbox, shard.snapshot(residence, mailbox.id)


def _describe(view: View, keywords: int) -> bytes:
    permanent = () if view.read_only else (*SYSTEM_FLAGS, *view.keywords[:keywords], "\\*")
    lines = [
        view.flags_line(),
        b"* OK [PERMANENTFLAGS %b] Flags that are kept\r\n" % response.flag_list(permanent),
        b"* %d EXISTS\r\n* 0 RECENT\r\n" % len(view),
    ]
    unseen = view.first_without("\\Seen")
    if unseen is not None:
        lines.append(b"* OK [UNSEEN %d] First unseen\r\n" % (unseen + 1))
    lines.append(
        b"* OK [UIDVALIDITY %d] UIDs valid\r\n"
        b"* OK [UIDNEXT %d] Predicted next UID\r\n"
        b"* OK [HIGHESTMODSEQ %d] Highest\r\n" % (view.uidvalidity, view.uidnext, view.modseq)
    )
    return b"".join(lines)


COMMANDS = (Command("SELECT", run), Command("EXAMINE", run))
