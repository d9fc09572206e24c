"""NOTIFY (RFC 5465)."""

from mailplat.access.imap.command import Command
from mailplat.access.imap.outline import first_values
from mailplat.access.imap.refusal import Tagged, no, ok
from mailplat.access.imap.request import Request
from mailplat.access.imap.session import Session
from mailplat.access.imap.watch import UNASKED, Watch
from mailplat.store.types import Mailbox
from mailplat.wire.imap import response
from mailplat.wire.imap.fetch import Item
from mailplat.wire.imap.notify import (
    MESSAGE_EVENTS,
    NONE,
    BadEvent,
    Event,
    parse_notify,
    unsupported_code,
)

Watched = list[tuple[Mailbox, frozenset[Event]]]


async def run(session: Session, request: Request) -> Tagged:
    try:
        program = parse_notify(request.arguments)
    except BadEvent:
        return no("There are no such events", unsupported_code())
    if program == NONE:
        session.observe(Watch(NONE))
        return ok("NOTIFY completed")
    # Subscribed first, then read, so that nothing falls between.
    watch = Watch(program, session.services.bus.listen(f"account:{session.account_id}"))
    before = session.watch
    try:
        watched = await _begin(session, watch)
        if len(watched) > session.limits.notify_mailboxes:
            watch.close()
            return no("That is more than can be watched", "NOTIFICATIONOVERFLOW")
        # RFC 5465 3.1: an implicit NOOP, of a client that wants to know everything up to here.
        session.watch = UNASKED
        await session.refresh(now=True)
    except BaseException:
        session.watch = before
        watch.close()
        raise
    if Item.MODSEQ in program.items:
        session.enable("CONDSTORE")  # RFC 7162 3.1
    session.announce(expunge=True)
    session.watch = before  # which ends now
    session.observe(watch)
    request.fresh = True
    if program.status:
        session.out(_status_lines(session, watched))
    return ok("NOTIFY completed")


async def _begin(session: Session, watch: Watch) -> Watched:
    """Read the account as it is now; what comes after that is told."""
    watch.begin_look(session.services.clock.monotonic())
    if not watch.observes:
        return []
    outline = await session.call(watch.read, session.shard, session.residence)
    watch.take(outline)
    return watch.watched(outline)


def _status_lines(session: Session, watched: Watched) -> bytes:
    selected = session.own_selected
    return b"".join(
        response.status_line(
            mailbox.name,
            first_values(mailbox, events, condstore=session.condstore),
            spelling=session.spelling,
        )
        for mailbox, events in watched
        if events & MESSAGE_EVENTS and mailbox.id != selected
    )


COMMANDS = (Command("NOTIFY", run),)
