"""Waiting for changes or for the client, whichever comes first (RFC 2177)."""

import asyncio

from mailplat.access.imap.session import Farewell, Session


async def idle(session: Session, tag: str) -> bytes | None:
    """Tell changes as they come until the client sends a line, which is returned.

    Subscribe, read, wait, in this order: a hint between reading and waiting is kept by the listener; a lost one
    delays a change by at most limits.idle_poll."""
    listener = session.listen()
    session.out(b"+ idling\r\n")
    line = asyncio.ensure_future(session.line(tag))
    clock, limits = session.services.clock, session.limits
    spoke = clock.monotonic()
    try:
        while True:
            await session.refresh(now=True)
            session.announce(expunge=True)
            await session.stream.flush()
            if session.ending:
                raise Farewell(session.ending)
            changed = asyncio.ensure_future(listener.wait())
            session.interruptible = True
            try:
                await asyncio.wait(
                    {line, changed},
                    timeout=min(limits.idle_poll, limits.keepalive),
                    return_when=asyncio.FIRST_COMPLETED,
                )
            finally:
                session.interruptible = False
                heard = changed.done()
                changed.cancel()
            if line.done():
                return line.result()
            if heard:
                spoke = clock.monotonic()
            elif clock.monotonic() - spoke >= limits.keepalive:
                session.out(b"* OK Still here\r\n")
                spoke = clock.monotonic()
    finally:
        line.cancel()
        await asyncio.gather(line, return_exceptions=True)
