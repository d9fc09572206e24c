"""The proxy: a client whose account lives on a backend talks to that backend, through us.

We log in there with what the client gave us, then pass octets both ways and look at them only as far as needed to
say a last line between two of the server's. Every wait has a limit; a backend's reasons never reach the client.
"""

import asyncio
import contextlib
import re
import ssl
from dataclasses import dataclass

import structlog

from mailplat.access.forwarding import GRACE_S, Ending
from mailplat.access.login import AuthenticationFailed, Forward
from mailplat.core.errors import Unavailable

log = structlog.get_logger("proxy")

# Seconds. A legacy server that is slow to accept is better waited for than refused.
CONNECT_TIMEOUT_S = 10.0
COMMAND_TIMEOUT_S = 30.0

# A POP3 session in progress when its account is fenced: most end by themselves within this.
POP3_GRACE_S = 2.0

# What is read at once; also the most that waits in us for a slow reader.
CHUNK = 64 * 1024

# Longest line of a backend before login; a greeting with capabilities is well below.
LINE_LIMIT = 16 * 1024

IMAP_FAREWELL = b"* BYE [UNAVAILABLE] Mailbox is being moved, connect again\r\n"

_LITERAL = re.compile(rb"\{(\d{1,19})\+?\}\r?\n\Z")


@dataclass(slots=True)
class Upstream:
    """A backend's connection, logged in. Close it, or hand it to `splice`, which does."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    ending: Ending
    granted: Forward
    text: bytes  # what stands after OK (IMAP) or +OK (POP3): response code and text
    imap: bool

    def close(self) -> None:
        self.writer.transport.abort()
        self.granted.sessions.leave(self.ending)


class BoundaryTracker:
    """Follows an IMAP server's stream: is the next octet the first of a line, outside a literal?"""

    def __init__(self) -> None:
        self._line = b""
        self._literal = 0

    @property
    def between_lines(self) -> bool:
        return not self._line and not self._literal

    def feed(self, chunk: bytes) -> None:
        at = 0
        while at < len(chunk):
            if self._literal:
                taken = min(self._literal, len(chunk) - at)
                self._literal -= taken
                at += taken
                # what follows a literal is the rest of its line
                self._line = b"." if not self._literal else self._line
                continue
            end = chunk.find(b"\n", at) + 1
            if not end:
                self._line = (self._line + chunk[at:])[-32:]
                return
            line = (self._line + chunk[at:end])[-32:]
            found = _LITERAL.search(line)
            self._literal = int(found[1]) if found else 0
            self._line = b"." if found else b""
            at = end


async def connect_imap(granted: Forward) -> Upstream:
    """Raises AuthenticationFailed, Unavailable, and StaleEpoch when the account has moved meanwhile."""
    backend = granted.backend
    reader, writer = await _open(backend.imap, backend.imap_tls, backend.name)
    try:
        async with asyncio.timeout(COMMAND_TIMEOUT_S):
            greeting = await _line(reader)
            if not greeting.upper().startswith(b"* OK"):
                raise Unavailable(f"backend {backend.name} greeted with {greeting[:80]!r}")
            if backend.imap_tls == "starttls":
                writer.write(b"s STARTTLS\r\n")
                if not (await _tagged(reader, b"s")).startswith(b"OK"):
                    raise Unavailable(f"backend {backend.name} refused STARTTLS")
                await writer.start_tls(_context(), server_hostname=_host(backend.imap))
            reply = await _imap_login(reader, writer, granted.name, granted.password)
        text = _judge_imap(reply, backend.name)
        ending = await granted.sessions.enter(granted.account.id, backend.name)
    except BaseException as error:
        writer.transport.abort()
        _raise_unavailable(error, backend.name)
        raise
    return Upstream(reader, writer, ending, granted, text, imap=True)


async def _imap_login(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str, password: str
) -> bytes:
    """LOGIN with literals: no name and no password needs quoting, whatever is in it (RFC 3501 6.2.3)."""
    octets = name.encode(), password.encode()
    writer.write(b"l LOGIN {%d}\r\n" % len(octets[0]))
    for part, ending in ((octets[0], b" {%d}\r\n" % len(octets[1])), (octets[1], b"\r\n")):
        while not (line := await _line(reader)).startswith(b"+"):
            if line.startswith(b"l "):
                return line[2:].rstrip(b"\r\n")
        writer.write(part + ending)
    return await _tagged(reader, b"l")


def _judge_imap(reply: bytes, backend: str) -> bytes:
    status, _, text = reply.partition(b" ")
    if status.upper() == b"OK":
        return text
    # RFC 5530 3: these say that the server, not the password, is at fault.
    if any(
        code in reply.upper()
        for code in (b"[UNAVAILABLE]", b"[INUSE]", b"[LIMIT]", b"[SERVERBUG]", b"[CONTACTADMIN]")
    ):
        raise Unavailable(f"backend {backend} cannot take the login now: {reply[:120]!r}")
    raise AuthenticationFailed(f"backend {backend} refused the login")


async def connect_pop3(granted: Forward) -> Upstream:
    """As connect_imap, for POP3."""
    backend = granted.backend
    reader, writer = await _open(backend.pop3, backend.pop3_tls, backend.name)
    try:
        async with asyncio.timeout(COMMAND_TIMEOUT_S):
            await _pop3_ok(reader, backend.name, "greeting")
            if backend.pop3_tls == "starttls":
                writer.write(b"STLS\r\n")
                await _pop3_ok(reader, backend.name, "STLS")
                await writer.start_tls(_context(), server_hostname=_host(backend.pop3))
            for part in (granted.name, granted.password):
                if any(character in part for character in "\r\n\0"):
                    raise AuthenticationFailed("a name or password with a line end cannot be sent over POP3")
            writer.write(b"USER %b\r\n" % granted.name.encode())
            await _pop3_judge(reader, backend.name)
            writer.write(b"PASS %b\r\n" % granted.password.encode())
            text = await _pop3_judge(reader, backend.name)
        ending = await granted.sessions.enter(granted.account.id, backend.name)
    except BaseException as error:
        writer.transport.abort()
        _raise_unavailable(error, backend.name)
        raise
    return Upstream(reader, writer, ending, granted, text, imap=False)


async def _pop3_ok(reader: asyncio.StreamReader, backend: str, what: str) -> None:
    line = await _line(reader)
    if not line.startswith(b"+OK"):
        raise Unavailable(f"backend {backend}: {what} was answered with {line[:80]!r}")


async def _pop3_judge(reader: asyncio.StreamReader, backend: str) -> bytes:
    line = (await _line(reader)).rstrip(b"\r\n")
    if line.startswith(b"+OK"):
        return line[3:].strip()
    # RFC 3206, RFC 2449 8.1.1
    if any(code in line.upper() for code in (b"[SYS/", b"[IN-USE]", b"[LOGIN-DELAY]")):
        raise Unavailable(f"backend {backend} cannot take the login now: {line[:120]!r}")
    raise AuthenticationFailed(f"backend {backend} refused the login")


async def splice(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, upstream: Upstream, leftover: bytes = b""
) -> tuple[int, int]:
    """Pass octets both ways until one side closes or the route changes; then close the backend's side. `leftover` is
    what the client sent after its login. The caller closes the client's side. Returns octets from and to the
    client."""
    boundary = BoundaryTracker()
    sent = _Count(), _Count()
    if leftover:
        upstream.writer.write(leftover)
        sent[0].octets += len(leftover)
    tasks = {
        asyncio.ensure_future(_pump(reader, upstream.writer, sent[0], None)),
        asyncio.ensure_future(_pump(upstream.reader, writer, sent[1], boundary if upstream.imap else None)),
    }
    wanted = asyncio.ensure_future(upstream.ending.wanted.wait())
    try:
        await asyncio.wait({*tasks, wanted}, return_when=asyncio.FIRST_COMPLETED)
        if not upstream.imap and upstream.ending.wanted.is_set():
            # POP3 has no way to say that it ends, and its deletions happen at QUIT: let a short session finish.
            await asyncio.wait(tasks, timeout=POP3_GRACE_S, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (*tasks, wanted):
            task.cancel()
        await asyncio.gather(*tasks, wanted, return_exceptions=True)
        upstream.close()
    if upstream.ending.wanted.is_set():
        with contextlib.suppress(ConnectionError, TimeoutError):
            if upstream.imap and boundary.between_lines:
                writer.write(IMAP_FAREWELL)
            async with asyncio.timeout(GRACE_S):
                await writer.drain()
    return sent[0].octets, sent[1].octets


@dataclass(slots=True)
class _Count:
    octets: int = 0


async def _pump(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    count: _Count,
    boundary: BoundaryTracker | None,
) -> None:
    """Until the end of the stream or a broken connection; either ends the session."""
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while chunk := await reader.read(CHUNK):
            if boundary is not None:
                boundary.feed(chunk)
            writer.write(chunk)
            count.octets += len(chunk)
            await writer.drain()


async def _open(endpoint: str, tls: str, backend: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if not endpoint:
        raise Unavailable(f"backend {backend} has no such door; see: mailplat migrate backend list")
    host, _, port = endpoint.rpartition(":")
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            return await asyncio.open_connection(
                host.strip("[]"), int(port), ssl=_context() if tls == "implicit" else None, limit=LINE_LIMIT
            )
    except (OSError, TimeoutError) as error:
        raise Unavailable(f"backend {backend} at {endpoint} cannot be reached: {_reason(error)}") from error


def _raise_unavailable(error: BaseException, backend: str) -> None:
    if isinstance(error, (OSError, EOFError, TimeoutError, ValueError)):
        raise Unavailable(f"backend {backend} went away during the login: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _context() -> ssl.SSLContext:
    """Opportunistic towards the platform that we replace: its certificate is often made for other names, or by
    nobody. The network between the two is the provider's own."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _host(endpoint: str) -> str:
    return endpoint.rpartition(":")[0].strip("[]")


async def _line(reader: asyncio.StreamReader) -> bytes:
    line = await reader.readline()
    if not line.endswith(b"\n"):
        raise EOFError("connection closed")
    return line


async def _tagged(reader: asyncio.StreamReader, tag: bytes) -> bytes:
    """What stands after the tag, without its line end."""
    while not (line := await _line(reader)).startswith(tag + b" "):
        if line.upper().startswith(b"* BYE"):
            raise Unavailable(f"backend said {line[:120]!r}")
    return line[len(tag) + 1 :].rstrip(b"\r\n")
