"""Waiting for changes or for the client, whichever comes first (RFC 2177)."""

import asyncio

from mailplat.access.imap.notifying import attend
from mailplat.access.imap.session import Session


async def idle(session: Session, tag: str, *, resumed: bool = False) -> bytes | None:
    """Tell changes as they come until the client sends a line, which is returned. What NOTIFY asked for, where it was
    used: no more and no less (RFC 5465 4). `resumed`: it has begun at another server."""
    session.listen()
    if not resumed:
        session.out(b"+ idling\r\n")
    line = asyncio.ensure_future(session.line(tag, alone=False))
    try:
        await attend(session, line, idling=True)
        return line.result()
    finally:
        line.cancel()
        await asyncio.gather(line, return_exceptions=True)
