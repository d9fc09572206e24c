"""Waiting for changes or for the client, whichever comes first (RFC 2177)."""

import asyncio

from mailplat.access.imap.notifying import attend
from mailplat.access.imap.refusal import Tagged, bad, ok
from mailplat.access.imap.session import Session
from mailplat.wire.imap import response


async def idle(session: Session, tag: str, *, resumed: bool = False) -> Tagged | None:
    """Tell changes as they come until the client sends a line; the reply to the command, None where its line has been
    answered. What NOTIFY asked for, where it was used: no more and no less (RFC 5465 4). `resumed`: it has begun at
    another home; the client has been told to go on there."""
    session.listen()
    session.between.idling = tag
    if not resumed:
        session.out(b"+ idling\r\n")
    line = asyncio.ensure_future(session.line(tag, alone=False))
    try:
        await attend(session, line, idling=True)
    finally:
        line.cancel()
        await asyncio.gather(line, return_exceptions=True)
        # Where the session goes on at another home, the client may have ended the IDLE in this moment.
        if line.done() and not line.cancelled() and line.exception() is None:
            session.between.idling = ""
            session.between.after_idle = (tag, line.result())
    session.between.after_idle = None
    return _tagged(line.result())


async def go_on(session: Session) -> None:
    """With an IDLE that was interrupted because the account moved, to its tagged reply."""
    if session.between.after_idle is not None:
        (tag, line), session.between.after_idle = session.between.after_idle, None
        tagged = _tagged(line)
    elif session.between.idling:
        tag = session.between.idling
        tagged = await idle(session, tag, resumed=True)
    else:
        return
    if tagged is not None:
        session.out(response.tagged(tag, tagged.status, tagged.text, tagged.code))


def _tagged(line: bytes | None) -> Tagged | None:
    if line is None:
        return None
    return ok("IDLE completed") if line.strip().upper() == b"DONE" else bad("DONE expected")
