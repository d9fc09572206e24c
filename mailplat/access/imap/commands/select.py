"""SELECT and EXAMINE (RFC 3501 6.3.1, 6.3.2), with CONDSTORE and QRESYNC (RFC 7162 3.1.8, 3.2.5)."""

from mailplat.access.imap.command import Command
from mailplat.access.imap.listing import Entry, list_entries
from mailplat.access.imap.locating import locate
from mailplat.access.imap.lookaround import look_around
from mailplat.access.imap.refusal import Tagged, bad, ok
from mailplat.access.imap.request import Request
from mailplat.access.imap.resync import catch_up
from mailplat.access.imap.session import Session
from mailplat.access.imap.view import View
from mailplat.core.route import Residence
from mailplat.store import Shard
from mailplat.store.types import Mailbox, Snapshot
from mailplat.wire.imap import response
from mailplat.wire.imap.listing import ListProgram
from mailplat.wire.imap.storing import parse_select


async def run(session: Session, request: Request) -> Tagged:
    program = parse_select(request.arguments)
    if program.resync is not None and "QRESYNC" not in session.enabled:
        return bad("QRESYNC needs ENABLE QRESYNC")  # RFC 7162 3.2.5
    if session.view is not None:
        # RFC 3501 6.3.1: the mailbox is deselected even where this SELECT fails. CLOSED: RFC 7162 3.2.11.
        session.unselect()
        session.out(b"* OK [CLOSED] Previous mailbox closed\r\n")
    place = await locate(session, program.mailbox, request.name)
    await session.quiet(place.residence.account_id)
    checked = session.services.clock.monotonic()
    mailbox, snapshot = await place.call(_open, place.shard, place.residence, place.name)
    view = View(
        mailbox.id,
        mailbox.name if place.own else place.shown,
        snapshot,
        examined=request.name == "EXAMINE",
        checked=checked,
        place=place,
        keywords_shown=session.limits.keywords_shown,
    )
    if program.condstore:
        session.enable("CONDSTORE")
    session.select(view)
    request.fresh = True
    session.out(_describe(session, view))
    session.out(b"* OK [MAILBOXID %b] Ok\r\n" % response.object_id(mailbox.object_id))  # RFC 8474 4.2
    if session.rev2:
        # RFC 9051 6.3.2: LIST with the mailbox as it is; none where it was deleted just now.
        for entry in await _entries(session, view):
            session.out(response.list_line(entry.name, entry.attributes, spelling=session.spelling))
    if program.resync is not None and program.resync.uidvalidity == view.uidvalidity:
        await catch_up(session, program.resync)
    return ok(f"{request.name} completed", "READ-ONLY" if view.read_only else "READ-WRITE")


def _open(shard: Shard, residence: Residence, name: str) -> tuple[Mailbox, Snapshot]:
    mailbox = shard.mailbox(residence, name)
    return mailbox, shard.snapshot(residence, mailbox.id)


async def _entries(session: Session, view: View) -> list[Entry]:
    program = ListProgram("", (view.name,), returns=frozenset({"SUBSCRIBED"}), extended=True)
    seen = await look_around(session, program)
    entries = list_entries(program, seen.mailboxes, seen.subscriptions)
    return [entry for entry in entries if entry.name == view.name]


def _describe(session: Session, view: View) -> bytes:
    """What SELECT says before its tagged OK (RFC 3501 6.3.1; RFC 9051 6.3.2, which has no RECENT and no UNSEEN)."""
    lines = [
        view.flags_and_permanent(),
        b"* %d EXISTS\r\n" % len(view),
    ]
    if not session.rev2:
        lines.append(b"* 0 RECENT\r\n")
        unseen = view.first_without("\\Seen")
        # A sequence number: not for UIDONLY (RFC 9586 3).
        if unseen is not None and not session.manner.uid_only:
            lines.append(b"* OK [UNSEEN %d] First unseen\r\n" % (unseen + 1))
    lines.append(
        b"* OK [UIDVALIDITY %d] UIDs valid\r\n"
        b"* OK [UIDNEXT %d] Predicted next UID\r\n"
        b"* OK [HIGHESTMODSEQ %d] Highest\r\n" % (view.uidvalidity, view.uidnext, view.modseq)
    )
    return b"".join(lines)


COMMANDS = (Command("SELECT", run), Command("EXAMINE", run))
