"""A session of our own server that stays connected while its account moves to another shard.

All numbers are the same in every shard (UIDVALIDITY, UIDs, MODSEQs), so the view is what the client believes there
too: only where it is read is another place. An IDLE goes on under its tag.

    step       the session                               the fence
    at rest    runs no command, or idles; reads nothing   waits for it
    left       is in no list, so nobody ends it           goes on
    followed   waits until the account is settled         ends, with the commit or without
    entered    is one of the account's again              a second move finds it

Whoever cannot (an APPEND under way, NOTIFY, a mailbox of somebody else, a suspended account, a way back to a backend)
hears BYE.
"""

import asyncio

from mailplat.access.imap.request import State
from mailplat.access.imap.session import GONE, MOVED, Farewell, Session, log
from mailplat.access.imap.watch import UNASKED
from mailplat.access.login import AuthenticationFailed, PasswordNeeded, Serve
from mailplat.admin import metrics
from mailplat.core.errors import LimitReached, MailplatError, NotFound, StaleEpoch, Unavailable
from mailplat.store.types import Mailbox

# Moves that a session follows while it comes back into the list; each is a fence of seconds.
_ATTEMPTS = 3


class Unanswered(Farewell):
    """Without the reply to a command that the old home has refused: its client must not wait for it."""


def may_follow(session: Session) -> bool:
    """Whether what the client believes holds at another shard."""
    granted = session.granted
    return (
        session.ending == MOVED
        and granted is not None
        and not granted.reading
        and session.state in (State.AUTHENTICATED, State.SELECTED)
        and session.watch is UNASKED
        and (session.view is None or session.view.place.own)
    )


async def follow(session: Session) -> None:
    """To the account's next home. Raises Farewell."""
    mailbox = await _selected(session)
    if session.ending != MOVED:  # meanwhile the process began to stop
        raise Farewell(session.ending)
    session.services.leave(session)
    session.interruptible = True  # while it waits, it may be told that the process stops
    session.between.rested.set()
    try:
        await _enter(session)
    except LimitReached as error:
        raise Farewell("[LIMIT] Too many connections of this account") from error
    except (Unavailable, StaleEpoch, AuthenticationFailed, PasswordNeeded) as error:
        log.info("session not carried over", account=session.account_id, reason=str(error))
        metrics.dropped.labels("home").inc()
        raise Farewell(MOVED) from error
    finally:
        session.interruptible = False
        session.between.rested.clear()
    session.ending = ""
    if mailbox is not None:
        await _open(session, mailbox)
    metrics.carried.labels("shard").inc()
    log.info("session carried over", account=session.account_id, idling=bool(session.between.idling))


async def _enter(session: Session) -> None:
    services = session.services
    assert session.granted is not None
    for last in (*[False] * (_ATTEMPTS - 1), True):
        granted: Serve = await services.login.follow(session.granted, session.peer)
        try:
            services.enter(session, granted)
        except StaleEpoch:
            if last:
                raise
            continue
        session.granted = granted
        return


async def _selected(session: Session) -> Mailbox | None:
    """With the id that it has wherever it is (RFC 8474): its name may be another one by now."""
    view = session.view
    if view is None:
        return None
    try:
        there = await view.place.call(view.place.shard.mailboxes, view.place.residence)
    except MailplatError as error:
        raise Farewell(MOVED) from error
    found = next((each for each in there if each.id == view.mailbox_id), None)
    if found is None:
        raise Farewell(GONE)
    return found


async def _open(session: Session, mailbox: Mailbox) -> None:
    view = session.selected
    place = session.own(mailbox.name)
    try:
        there = await place.call(place.shard.mailboxes, place.residence)
        found = next((each for each in there if each.object_id == mailbox.object_id), None)
        if found is None or found.uidvalidity != view.uidvalidity:
            raise Farewell(GONE)
        view.place, view.mailbox_id = session.own(found.name), found.id
        await session.refresh(now=True)
    except NotFound as error:
        raise Farewell(GONE) from error
    except (Unavailable, StaleEpoch) as error:
        raise Farewell(MOVED) from error


async def over(session: Session) -> None:
    """Until the session has ended, or is at rest between two homes."""
    assert session.task is not None
    resting = asyncio.ensure_future(session.between.rested.wait())
    try:
        await asyncio.wait({session.task, resting}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        resting.cancel()
        await asyncio.gather(resting, return_exceptions=True)
