"""The socket of one IMAP or POP3 session: joined writes with backpressure, two timers in one, STARTTLS and STLS."""

import asyncio
import ssl
from asyncio import StreamReader, StreamWriter
from typing import Protocol

from mailplat.access.deflate import Deflate
from mailplat.core.envelope import Peer


class StreamLimits(Protocol):
    """What a stream needs of a protocol's limits; seconds and octets."""

    @property
    def preauth(self) -> float:
        """Longest wait for a client that has not logged in."""
        ...

    @property
    def write_stall(self) -> float:
        """A client that takes nothing for so long is cut off."""
        ...

    @property
    def handshake(self) -> float:
        """Longest TLS handshake."""
        ...

    @property
    def stop_grace(self) -> float:
        """How long an orderly close may take."""
        ...

    @property
    def read_size(self) -> int: ...

    @property
    def write_batch(self) -> int:
        """Replies are gathered up to this."""
        ...

    @property
    def write_buffer(self) -> int:
        """What the socket may hold before we wait."""
        ...


class PlaintextInjection(Exception):
    """Octets came in clear behind STARTTLS, before the handshake: someone writes into the connection."""


class Stream:
    """`write` gathers, `flush` sends and waits while the client does not read. Raises ConnectionError when the client
    is gone.

    The timer: asyncio.timeout() around each read would cost more than a NOOP. Instead each wait notes its start, and
    one lazily re-armed timer closes the connection when a wait lasts too long: reading then ends (b""), writing
    raises.
    """

    __slots__ = (
        "_deadline",
        "_deflate",
        "_gathered",
        "_handle",
        "_limits",
        "_loop",
        "_sent",
        "_size",
        "_writing",
        "farewell",
        "protected",
        "reader",
        "timed_out",
        "timeout",
        "writer",
    )

    def __init__(
        self,
        reader: StreamReader,
        writer: StreamWriter,
        limits: StreamLimits,
        *,
        protected: bool = False,
        farewell: bytes = b"",
    ) -> None:
        self.reader = reader
        self.writer = writer
        self.protected = protected  # TLS ended before us
        self.timeout = limits.preauth  # of one read, seconds
        self.farewell = farewell  # what the client is told when a read times out
        self.timed_out = False
        self._sent = 0
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._gathered: list[bytes] = []
        self._size = 0
        self._deflate: Deflate | None = None
        self._deadline: float | None = None  # of the wait that goes on, loop time
        self._writing = False
        self._handle: asyncio.TimerHandle | None = None
        writer.transport.set_write_buffer_limits(high=limits.write_buffer)

    @property
    def tls(self) -> bool:
        return self.protected or self.writer.get_extra_info("ssl_object") is not None

    async def read(self) -> bytes:
        """What the client sent next; b"" when it is gone or its time is over. Raises BadDeflate."""
        self._start(self.timeout)
        try:
            if self._deflate is not None:
                return await self._read_deflated(self._deflate)
            return await self.reader.read(self._limits.read_size)
        except (ConnectionError, ssl.SSLError, TimeoutError):
            return b""  # a reset connection is an ended one
        finally:
            self._deadline = None

    async def _read_deflated(self, deflate: Deflate) -> bytes:
        while not (octets := deflate.take(self._limits.read_size)):
            if deflate.ended:
                return b""
            compressed = await self.reader.read(self._limits.read_size)
            if not compressed:
                return b""
            deflate.feed(compressed)
        return octets

    def write(self, octets: bytes) -> None:
        """Gather; what is large is handed to the socket at once (flush then waits)."""
        self._gathered.append(octets)
        self._size += len(octets)

    @property
    def full(self) -> bool:
        """A batch is gathered: a producer of many lines should flush now."""
        return self._size >= self._limits.write_batch

    def push(self) -> None:
        """Hand what is gathered to the socket without waiting."""
        if self._gathered:
            octets = self._gathered[0] if len(self._gathered) == 1 else b"".join(self._gathered)
            self._gathered.clear()
            self._size = 0
            wire = self._on_the_wire(octets)
            self._sent += len(wire)
            self.writer.write(wire)

    @property
    def sent(self) -> int:
        """Octets to the client so far, with what is gathered; compressed by us, but not yet by TLS."""
        return self._sent + self._size

    async def flush(self) -> None:
        """Send what is gathered; wait while the socket's buffer is above its limit."""
        self.push()
        reading = self._deadline
        self._start(self._limits.write_stall)
        self._writing = True
        try:
            await self.writer.drain()
        finally:
            self._writing = False
            self._deadline = reading

    def _on_the_wire(self, octets: bytes) -> bytes:
        return octets if self._deflate is None else self._deflate.deflate(octets)

    @property
    def compressed(self) -> bool:
        """By us or by TLS."""
        secured = self.writer.get_extra_info("ssl_object")
        return self._deflate is not None or (secured is not None and secured.compression() is not None)

    def start_deflate(self, ratio: int, allowance: int) -> None:
        """What is gathered goes out as it is, everything after it compressed, and so is what comes in. The limits are
        those of Deflate. Never twice, and never before start_tls or detach."""
        assert self._deflate is None
        self.push()
        self._deflate = Deflate(ratio, allowance)

    async def start_tls(self, context: ssl.SSLContext, reply: bytes) -> None:
        """RFC 3501 6.2.1. `reply` is the OK that goes out in clear. Raises PlaintextInjection when the client sent
        more in clear: those octets must not be read as commands of the protected session (CVE-2011-0411)."""
        pending = asyncio.ensure_future(self.reader.read(1))
        await asyncio.sleep(0)
        if pending.done():
            raise PlaintextInjection
        pending.cancel()
        await asyncio.gather(pending, return_exceptions=True)
        self.write(reply)
        await self.flush()
        # No await may come between flush and start_tls: the ClientHello would be read as a command.
        await self.writer.start_tls(context, ssl_handshake_timeout=self._limits.handshake)
        self.writer.transport.set_write_buffer_limits(high=self._limits.write_buffer)

    async def close(self) -> None:
        """Send the rest, close in order; a client that does not read is cut off."""
        self._disarm()
        try:
            self.push()
            self.writer.close()
            async with asyncio.timeout(self._limits.stop_grace):
                await self.writer.wait_closed()
        except (ConnectionError, ssl.SSLError, TimeoutError):
            self.writer.transport.abort()

    def detach(self) -> None:
        """From now on someone else (the proxy) owns the connection and its timers."""
        self._disarm()

    def abort(self) -> None:
        self._disarm()
        self.writer.transport.abort()

    def _disarm(self) -> None:
        self._deadline = None
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _start(self, seconds: float) -> None:
        self._deadline = self._loop.time() + seconds
        if self._handle is None:
            self._handle = self._loop.call_at(self._deadline, self._expire)
        elif self._handle.when() > self._deadline:
            self._handle.cancel()
            self._handle = self._loop.call_at(self._deadline, self._expire)

    def _expire(self) -> None:
        self._handle = None
        if self._deadline is None:
            return
        if self._loop.time() < self._deadline:
            self._handle = self._loop.call_at(self._deadline, self._expire)
            return
        self.timed_out = True
        if self._writing:
            self.writer.transport.abort()
        else:
            self.writer.write(self._on_the_wire(self.farewell))
            self.writer.close()
            # close() waits for the client to take what is buffered; this one may never.
            self._handle = self._loop.call_later(self._limits.stop_grace, self.writer.transport.abort)


def peer_of(writer: StreamWriter) -> Peer:
    """Who is at the other end, and how the connection is protected now."""
    name = writer.get_extra_info("peername")
    host, port = (str(name[0]), int(name[1])) if isinstance(name, tuple) else ("", 0)
    return Peer(host, port, tls=_tls_name(writer))


def _tls_name(writer: StreamWriter) -> str:
    """Protocol and cipher, "" in clear."""
    secured = writer.get_extra_info("ssl_object")
    if secured is None:
        return ""
    cipher = secured.cipher()
    return f"{secured.version()} {cipher[0] if cipher else ''}".strip()
