"""Octets both ways between a client and its backend."""

import asyncio
import contextlib
import re
from asyncio import StreamReader, StreamWriter
from dataclasses import dataclass

import structlog

from mailplat.access.proxy.upstream import CHUNK, Upstream

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

_LITERAL = re.compile(rb"\{(\d{1,19})\+?\}\r?\n\Z")
# Octets of a line's end that can be the announcement of a literal.
_WINDOW = 32
# Outside literals no IMAP server sends these; a compressed stream (RFC 4978) is full of them.
_NOT_TEXT = re.compile(rb"[\x00-\x08\x0e-\x1f]")
_COMPRESS = re.compile(rb"COMPRESS\s+DEFLATE", re.IGNORECASE)


class Boundary:
    """Follows an IMAP server's stream: is the next octet the first of a line, outside a literal?"""

    def __init__(self) -> None:
        self._line = b""  # the end of the line so far
        self._literal = 0  # octets of the literal that are still to come
        self.opaque = False  # not lines of text any more: nothing may be put in

    @property
    def between_lines(self) -> bool:
        return not self.opaque and not self._line and not self._literal

    def feed(self, chunk: bytes) -> None:
        at = 0
        while at < len(chunk) and not self.opaque:
            if self._literal:
                taken = min(self._literal, len(chunk) - at)
                self._literal -= taken
                at += taken
                if not self._literal:
                    self._line = b"."  # what follows a literal is the rest of its line
                continue
            end = chunk.find(b"\n", at) + 1 or len(chunk)
            self.opaque = _NOT_TEXT.search(chunk, at, end) is not None
            line = (self._line + chunk[max(at, end - _WINDOW) : end])[-_WINDOW:]
            at = end
            if not line.endswith(b"\n"):
                self._line = line
                return
            found = _LITERAL.search(line)
            self._literal = int(found[1]) if found else 0
            self._line = b"." if found else b""


@dataclass(slots=True)
class Flow:
    """Octets that went one way."""

    octets: int = 0


async def splice(
    reader: StreamReader, writer: StreamWriter, upstream: Upstream, leftover: bytes = b""
) -> tuple[int, int]:
    """Pass octets both ways until one side closes or the route changes, then close the backend's side. `leftover` is
    what the client sent behind its login. The caller closes the client's side. Returns octets from and to the
    client."""
    boundary = Boundary() if upstream.imap else None
    up, down = Flow(), Flow()
    granted = upstream.granted
    tap = granted.meter.open_tap(granted.account.address.domain, granted.route.home, lambda: down.octets)
    sending = asyncio.ensure_future(_send(reader, upstream.writer, up, boundary, leftover))
    receiving = asyncio.ensure_future(_receive(upstream.reader, writer, down, boundary))
    wanted = asyncio.ensure_future(upstream.ending.wanted.wait())
    tasks = (sending, receiving, wanted)
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if wanted.done():
            if boundary is None and not upstream.ending.urgent:
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
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        tap.close()
        upstream.close()
    if upstream.ending.wanted.is_set():
        await _farewell(writer, boundary)
    log.debug("forwarded session ended", account=granted.account.id, up=up.octets, down=down.octets)
    return up.octets, down.octets


async def _send(
    reader: StreamReader, writer: StreamWriter, flow: Flow, boundary: Boundary | None, leftover: bytes
) -> None:
    """Client to backend, until the client's end or a connection that is broken."""
    with contextlib.suppress(OSError):
        chunk = leftover or await reader.read(CHUNK)
        while chunk:
            if boundary is not None and _COMPRESS.search(chunk):
                boundary.opaque = True
            await _write(writer, chunk, flow)
            chunk = await reader.read(CHUNK)


async def _receive(reader: StreamReader, writer: StreamWriter, flow: Flow, boundary: Boundary | None) -> None:
    """Backend to client."""
    with contextlib.suppress(OSError):
        while chunk := await reader.read(CHUNK):
            if boundary is not None:
                boundary.feed(chunk)
            await _write(writer, chunk, flow)


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


async def _farewell(writer: StreamWriter, boundary: Boundary | None) -> None:
    """What the server would say, were it the one to end the session; never in the middle of a line of its own."""
    with contextlib.suppress(OSError):
        if boundary is not None and boundary.between_lines:
            writer.write(IMAP_FAREWELL)
        async with asyncio.timeout(FAREWELL_S):
            await writer.drain()
