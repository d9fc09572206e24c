"""The connection to a backend."""

import asyncio
import contextlib
import socket
import ssl
import struct
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from dataclasses import dataclass

from mailplat.access.forwarding import Ending
from mailplat.access.login import Forward
from mailplat.admin import metrics
from mailplat.core.errors import Unavailable

# Seconds. A legacy server that is slow to accept is better waited for than refused.
CONNECT_TIMEOUT_S = 10.0
# Everything from its greeting to the answer to the password: legacy servers punish wrong ones with a wait.
LOGIN_TIMEOUT_S = 30.0
# An orderly close: time for the last octets to go out, QUIT for one.
CLOSE_TIMEOUT_S = 2.0

# What is read at once, and what waits in us for a slow reader. The longest line of a backend before login too: a
# greeting with its capabilities is well below.
CHUNK = 64 * 1024


@dataclass(slots=True)
class Upstream:
    """Logged in. Hand it to `splice`, which closes it, or close it."""

    reader: StreamReader
    writer: StreamWriter
    ending: Ending
    granted: Forward
    text: bytes  # what stands after OK (IMAP) or +OK (POP3): response code and text
    imap: bool

    def close(self) -> None:
        """Reset the connection: what the backend has not read by now it never will."""
        try:
            reset(self.writer)
        finally:  # whatever happens to the socket, no fence waits for this session any more
            self.granted.sessions.leave(self.ending)

    async def finish(self) -> None:
        """Close in order, so that everything sent arrives; reset where that takes long or the route changes."""
        self.writer.close()
        closed = asyncio.ensure_future(self.writer.wait_closed())
        wanted = asyncio.ensure_future(self.ending.wanted.wait())
        try:
            await asyncio.wait({closed, wanted}, timeout=CLOSE_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            closed.cancel()
            wanted.cancel()
            await asyncio.gather(closed, wanted, return_exceptions=True)
            self.close()


@contextlib.asynccontextmanager
async def logging_in(
    endpoint: str, tls: str, granted: Forward
) -> AsyncIterator[tuple[StreamReader, StreamWriter]]:
    """A fresh connection, within the time of a login; reset when the block raises. Whatever the network does becomes
    Unavailable."""
    name = granted.backend.name
    if not endpoint:
        raise Unavailable(f"backend {name} has no such door; see: mailplat migrate backend list")
    reader, writer = await _open(endpoint, tls, name)
    try:
        async with asyncio.timeout(LOGIN_TIMEOUT_S):
            yield reader, writer
    except (OSError, EOFError, ValueError) as error:  # ValueError: a line longer than CHUNK
        reset(writer)
        raise Unavailable(f"backend {name} went away during the login: {_reason(error)}") from error
    except BaseException:
        reset(writer)
        raise
    metrics.logins.labels(granted.protocol, "forwarded").inc()
    account = granted.account
    granted.meter.login(account.id, account.address.domain, granted.route.home)
    granted.capture.taken(granted.account, granted.password)


async def _open(endpoint: str, tls: str, backend: str) -> tuple[StreamReader, StreamWriter]:
    host, _, port = endpoint.rpartition(":")
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(
                host.strip("[]"), int(port), ssl=_context() if tls == "implicit" else None, limit=CHUNK
            )
    except (OSError, ValueError) as error:
        raise Unavailable(f"backend {backend} at {endpoint} cannot be reached: {_reason(error)}") from error
    # A backend's machine that vanished is noticed by the kernel, not by a client who waits.
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return reader, writer


async def start_tls(writer: StreamWriter, endpoint: str) -> None:
    """After the backend agreed to STARTTLS or STLS."""
    await writer.start_tls(_context(), server_hostname=endpoint.rpartition(":")[0].strip("[]"))


def reset(writer: StreamWriter) -> None:
    """RST instead of FIN: the kernel drops what it has not sent yet."""
    sock = writer.get_extra_info("socket")
    if sock is not None:
        # Closed already: OSError from asyncio's socket, ValueError from uvloop's.
        with contextlib.suppress(OSError, ValueError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def read_line(reader: StreamReader) -> bytes:
    """With its line end. Raises EOFError, ValueError when it is longer than CHUNK."""
    line = await reader.readline()
    if not line.endswith(b"\n"):
        raise EOFError("connection closed")
    return line


def _context() -> ssl.SSLContext:
    """Opportunistic towards the platform that we replace: its certificate is often made for other names, or by
    nobody. The network between the two is the provider's own."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__
