"""Octets both ways between a client and its backend."""

import asyncio
import contextlib
import re
from asyncio import StreamReader, StreamWriter
from dataclasses import dataclass, replace
from typing import Any

import structlog

from mailplat.access.proxy.parking import Parked, park
from mailplat.access.proxy.upstream import CHUNK, Upstream
from mailplat.admin import metrics
from mailplat.core.limits.imap import ImapLimits
from mailplat.wire.imap.observer import Boundary, Observer

log = structlog.get_logger("proxy")

# Seconds. A POP3 session in progress when its account is fenced: most end by themselves within this.
POP3_GRACE_S = 2.0
# A client that has closed its side still gets the answer to its last command.
LAST_ANSWER_S = 10.0
# A side that takes nothing for so long is gone.
STALL_S = 120.0
# The last line to the client.
FAREWELL_S = 2.0

IMAP_FAREWELL = b"* BYE [UNAVAILABLE] Mailbox is being moved, reconnect\r\n"

_COMPRESS = re.compile(rb"COMPRESS\s+DEFLATE", re.IGNORECASE)


@dataclass(slots=True)
class Flow:
    """Octets that went one way. `resting`: from now on, what comes at rest is kept and ends the flow."""

    octets: int = 0
    resting: bool = False
    kept: bytes = b""


async def splice(
    reader: StreamReader,
    writer: StreamWriter,
    upstream: Upstream,
    leftover: bytes = b"",
    observer: Observer | None = None,
    limits: ImapLimits | None = None,
) -> Parked | None:
    """Pass octets both ways until one side closes or the route changes, then close the backend's side. `leftover` is
    what the client sent behind its login; `observer`: of an IMAP session that has been here before; `limits`: of one
    that may be carried over. The caller closes the client's side, but where it gets a Parked: then the client waits
    for its account's next home."""
    if upstream.imap and observer is None:
        observer = Observer()
    up, down = Flow(), Flow()
    granted = upstream.granted
    tap = granted.meter.open_tap(granted.account.address.domain, granted.route.home, lambda: down.octets)
    rest = asyncio.Event()
    sending = asyncio.ensure_future(_send(reader, upstream.writer, up, observer, rest, leftover))
    receiving = asyncio.ensure_future(_receive(upstream.reader, writer, down, observer, rest))
    wanted = asyncio.ensure_future(upstream.ending.wanted.wait())
    tasks = (sending, receiving, wanted)
    parked: Parked | None = None
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if wanted.done():
            if observer is not None and limits is not None and not upstream.ending.urgent:
                up.resting = True
                if await _comes_to_rest(observer, rest, sending, receiving, up, limits.carry_wait):
                    parked = await park(observer, upstream.reader, upstream.writer, writer, limits)
            elif not upstream.ending.urgent:
                # POP3 has no word for the end, and deletes at QUIT: let a short session come to it.
                await asyncio.wait(
                    {sending, receiving}, timeout=POP3_GRACE_S, return_when=asyncio.FIRST_COMPLETED
                )
        elif not receiving.done() and _half_close(upstream.writer):
            await asyncio.wait(
                {receiving, wanted}, timeout=LAST_ANSWER_S, return_when=asyncio.FIRST_COMPLETED
            )
        if not wanted.done():
            sending.cancel()
            await upstream.finish()
    except asyncio.CancelledError:
        if observer is not None and observer.between_lines:
            writer.write(IMAP_FAREWELL)  # the door is closing, and sends what is gathered
        raise
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        tap.close()
        upstream.close()
    if upstream.ending.wanted.is_set() and parked is None:
        if observer is not None:
            metrics.dropped.labels("busy" if observer.carriable else "doubt").inc()
            log.info("session is not carried", account=granted.account.id, reason=_why_not(observer))
        await say_farewell(writer, observer)
    log.debug("forwarded session ended", account=granted.account.id, up=up.octets, down=down.octets)
    return replace(parked, unsent=up.kept) if parked is not None else None


def _why_not(observer: Observer) -> str:
    if observer.carriable:
        return "the backend's answers" if observer.at_rest else f"under way: {observer.under_way}"
    return observer.reason or "not text any more"


async def _comes_to_rest(
    observer: Observer,
    rest: asyncio.Event,
    sending: "asyncio.Future[None]",
    receiving: "asyncio.Future[None]",
    up: Flow,
    patience: float,
) -> bool:
    """What is under way is let go on for `patience` seconds; then nobody passes octets any more. A client that sends
    one command upon the other comes to rest too: its next one is kept."""
    waiting = asyncio.ensure_future(rest.wait())
    some: set[asyncio.Future[Any]] = {waiting, sending, receiving}
    try:
        if observer.at_rest:
            rest.set()
        if observer.carriable:
            await asyncio.wait(some, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        ended = receiving.done() or (sending.done() and not up.kept)
    finally:
        for task in some:
            task.cancel()
        await asyncio.gather(*some, return_exceptions=True)
    return not ended and observer.at_rest


async def _send(
    reader: StreamReader,
    writer: StreamWriter,
    flow: Flow,
    observer: Observer | None,
    rest: asyncio.Event,
    leftover: bytes,
) -> None:
    """Client to backend, until the client's end or a connection that is broken."""
    with contextlib.suppress(OSError):
        chunk = leftover or await reader.read(CHUNK)
        while chunk:
            if observer is not None:
                if flow.resting and observer.at_rest:
                    flow.kept = chunk
                    return
                observer.opaque = observer.opaque or _COMPRESS.search(chunk) is not None
                observer.client(chunk)  # before the backend can answer it
                _note_rest(observer, rest)
            await _write(writer, chunk, flow)
            chunk = await reader.read(CHUNK)


async def _receive(
    reader: StreamReader, writer: StreamWriter, flow: Flow, observer: Observer | None, rest: asyncio.Event
) -> None:
    """Backend to client."""
    with contextlib.suppress(OSError):
        while chunk := await reader.read(CHUNK):
            if observer is not None:
                observer.feed(chunk)
                _note_rest(observer, rest)
            await _write(writer, chunk, flow)


def _note_rest(observer: Observer, rest: asyncio.Event) -> None:
    if observer.at_rest:
        rest.set()
    else:
        rest.clear()


async def _write(writer: StreamWriter, chunk: bytes, flow: Flow) -> None:
    writer.write(chunk)
    flow.octets += len(chunk)
    async with asyncio.timeout(STALL_S):
        await writer.drain()


def _half_close(writer: StreamWriter) -> bool:
    """The client has closed its side: so do we. False where that cannot be said (TLS, a broken connection)."""
    if writer.is_closing() or not writer.can_write_eof():
        return False
    try:
        writer.write_eof()
    except OSError:
        return False
    return True


async def say_farewell(writer: StreamWriter, boundary: Boundary | None) -> None:
    """What the server would say, were it the one to end the session; never in the middle of a line of its own."""
    with contextlib.suppress(OSError):
        if boundary is not None and boundary.between_lines:
            writer.write(IMAP_FAREWELL)
        async with asyncio.timeout(FAREWELL_S):
            await writer.drain()
