"""Telling a client what it did not ask for just now: while it idles (RFC 2177), and between its commands (RFC 5465).

Subscribe, read, wait, in this order: a hint between reading and waiting is kept by the listener; a lost one delays a
change by at most limits.idle_poll. There is one reader of the connection, a task that goes on while changes are read
and told: what it brings is not lost, and is looked at when the telling is done.

Nothing is told while a command has begun to arrive, or while APPENDs are being stored: its sequence numbers mean what
the client has been told before.
"""

import asyncio
from bisect import bisect_right
from typing import Any

from mailplat.access.imap import fetch
from mailplat.access.imap.fetching import send
from mailplat.access.imap.outline import Outline
from mailplat.access.imap.progress import Progress
from mailplat.access.imap.session import MOVED, Farewell, Session, log
from mailplat.access.imap.watch import Watch
from mailplat.core.errors import MailplatError, StaleEpoch
from mailplat.wire.imap.fetch import FetchProgram
from mailplat.wire.imap.notify import NONE
from mailplat.wire.imap.sequence import SequenceSet


async def attend(session: Session, coming: "asyncio.Future[Any]", *, idling: bool) -> None:
    """Tell changes as they come until `coming` is done: the octets of a command, or the line that ends IDLE. Raises
    Farewell."""
    clock, limits = session.services.clock, session.limits
    due = idling or _is_due(session)
    spoke = clock.monotonic()
    while True:
        watch = session.watch  # which an overflow replaces
        lines = await _look(session, idling=idling) if due else []
        session.announce(expunge=idling or (watch.immediate and not coming.done()))
        await push(session)
        session.out(b"".join(lines))
        await session.stream.flush()
        if session.ending:
            raise Farewell(session.ending)
        if coming.done():
            return
        heard = await _wait(session, coming)
        if coming.done():
            if heard:
                watch.note_hint()
            return
        due = True
        if heard:
            spoke = clock.monotonic()
        elif clock.monotonic() - spoke >= limits.keepalive:
            session.out(b"* OK Still here\r\n")
            spoke = clock.monotonic()


def _is_due(session: Session) -> bool:
    watch = session.watch
    pending = watch.due or (watch.listener is not None and watch.listener.pending)
    return pending or session.services.clock.monotonic() - watch.checked >= session.limits.idle_poll


async def _wait(session: Session, coming: "asyncio.Future[Any]") -> bool:
    """For a hint, the client, or the time to look without a hint. True where it was a hint."""
    limits = session.limits
    listeners = {session.watch.listener or session.listen()}
    if session.view is not None:
        listeners.add(session.listen())  # of whose mailbox is selected
    changed = [asyncio.ensure_future(listener.wait()) for listener in listeners]
    session.interruptible = True
    try:
        await asyncio.wait(
            {coming, *changed},
            timeout=min(limits.idle_poll, limits.keepalive),
            return_when=asyncio.FIRST_COMPLETED,
        )
    finally:
        session.interruptible = False
        heard = any(waiting.done() for waiting in changed)
        for waiting in changed:
            waiting.cancel()
    return heard


async def _look(session: Session, *, idling: bool) -> list[bytes]:
    """Read what changed: into the view, and as lines of other mailboxes."""
    watch = session.watch
    watch.begin_look(session.services.clock.monotonic())
    if watch.listener is not None and watch.listener.pending:
        await watch.listener.wait(0)
    try:
        await session.refresh(now=True)
        return await _others(session)
    except StaleEpoch as error:
        raise Farewell(MOVED) from error
    except MailplatError as error:
        if idling:
            raise
        # No command waits for an answer that could say so: look again with the next hint, or at the next poll.
        log.warning("changes not read", account=session.account_id, reason=str(error))
        return []


async def _others(session: Session) -> list[bytes]:
    """What changed in other mailboxes than the selected one."""
    watch, shard, residence = session.watch, session.shard, session.residence
    if not watch.observes:
        return []
    selected = session.own_selected
    condstore, spelling = session.condstore, session.spelling

    def look() -> tuple[Outline, int, list[bytes]]:
        now = watch.read(shard, residence)
        lines = watch.compare(now, selected=selected, condstore=condstore, spelling=spelling)
        return now, len(watch.watched(now)), lines

    outline, watched, lines = await session.call(look)
    watch.take(
        outline, selected
    )  # here and not in the thread, which may end long after nobody waits for it any more
    if watched > session.limits.notify_mailboxes or len(lines) > session.limits.notify_burst:
        overflow(session)
        return []
    return lines


async def push(session: Session) -> None:
    """FETCH of messages that are new in the selected mailbox, where NOTIFY asked for it (RFC 5465 5.2). EXISTS has
    been told."""
    watch, view = session.watch, session.view
    if view is None or watch.program is None:
        return
    first = bisect_right(view.uids, view.pushed)
    if first == len(view):
        return
    view.pushed = view.uids[-1]
    # RFC 5465 5.2: not of those that this client has made itself.
    places = [place for place in range(first, len(view)) if view.uids[place] not in watch.mine]
    watch.mine.clear()
    if not watch.program.items or not places:
        return
    if len(places) > session.limits.notify_burst:
        overflow(session)
        return
    asked = FetchProgram(SequenceSet(()), watch.program.items, lazy=watch.program.lazy)
    plan = fetch.make_plan(asked, by_uid=True, read_only=view.unmarked, uid_only=session.manner.uid_only)
    spans = [(place, place + 1) for place in places]
    try:
        # A message that went meanwhile is told by EXPUNGE; a part in an unknown encoding is NIL.
        await send(session, plan, spans, Progress(session, "", 0))
    except StaleEpoch as error:
        raise Farewell(MOVED) from error
    except MailplatError as error:
        log.warning("new messages not fetched", account=session.account_id, reason=str(error))
        overflow(session)  # the client must not take it that it has heard of all


def overflow(session: Session) -> None:
    """RFC 5465 5.8: as after NOTIFY NONE."""
    log.info("notifications end", account=session.account_id)
    session.out(b"* OK [NOTIFICATIONOVERFLOW] Too much happens to tell it all, look for yourself\r\n")
    session.observe(Watch(NONE))
