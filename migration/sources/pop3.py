"""The UIDLs that POP3 clients of an account have seen (RFC 1939 7). Never a DELE."""

import asyncio
import base64
import contextlib
import hashlib
import re
import ssl
from collections.abc import AsyncIterator, Sequence

from mailplat.core.errors import Unavailable
from mailplat.directory import Backend
from migration.errors import Misbehaviour, Throttled
from migration.sources import tls

TIMEOUT_S = 30.0
# Of a session, which keeps its owner's POP3 clients out.
SESSION_S = 120.0
MAX_LINE = 1024
MAX_MESSAGES = 2_000_000

_LATER = re.compile(rb"\[(?:SYS/TEMP|IN-USE|LOGIN-DELAY)\]", re.IGNORECASE)  # RFC 2449 8.1.1, RFC 3206


async def read_uidls(backend: Backend, account: str) -> list[tuple[str, int]]:
    """(UIDL, size in octets) in the order that POP3 shows. Raises Unavailable, Throttled, Misbehaviour."""
    async with _session(backend, account) as (reader, writer):
        await _ask(reader, writer, b"LIST")
        sizes = [int(line.split()[1]) for line in await _lines(reader)]
        await _ask(reader, writer, b"UIDL")
        uidls = [line.split()[1].decode("ascii") for line in await _lines(reader)]
    if len(sizes) != len(uidls):
        raise Misbehaviour(f"POP3 LIST has {len(sizes)} messages, UIDL has {len(uidls)}")
    return list(zip(uidls, sizes, strict=True))


async def read_digests(backend: Backend, account: str, numbers: Sequence[int]) -> dict[int, bytes]:
    """SHA-256 of the octets of these messages, by number in POP3's list. Raises as read_uidls."""
    if not numbers:
        return {}
    found: dict[int, bytes] = {}
    async with _session(backend, account) as (reader, writer):
        for number in numbers:  # one by one: RFC 2449 6.6 wants to be asked before more are sent
            await _ask(reader, writer, b"RETR %d" % number)
            found[number] = await _digest(reader)
    return found


async def _digest(reader: asyncio.StreamReader) -> bytes:
    """Of a message as it comes, dots undone (RFC 1939 3), in pieces where a line is long."""
    digest, begins = hashlib.sha256(), True
    while True:
        try:
            piece, ends = await reader.readuntil(b"\n"), True
        except asyncio.LimitOverrunError as error:
            piece, ends = await reader.readexactly(error.consumed), False
        if begins and piece == b".\r\n":
            return digest.digest()
        digest.update(piece[1:] if begins and piece.startswith(b".") else piece)
        begins = ends


@contextlib.asynccontextmanager
async def _session(
    backend: Backend, account: str
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """As the account, until QUIT; at most SESSION_S. Raises as read_uidls."""
    try:
        async with asyncio.timeout(TIMEOUT_S) as patience, logged_in(backend, account) as (reader, writer):
            patience.reschedule(asyncio.get_running_loop().time() + SESSION_S)
            yield reader, writer
            await _ask(reader, writer, b"QUIT")
    except (OSError, TimeoutError, EOFError, ssl.SSLError, ValueError, asyncio.LimitOverrunError) as error:
        reason = tls.explain(error, "--pop3-tls", backend.pop3_tls)
        raise Unavailable(f"backend {backend.name}, POP3 at {backend.pop3}: {reason}") from error


@contextlib.asynccontextmanager
async def logged_in(
    backend: Backend, account: str, *, limit: int = MAX_LINE
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """As `account`, by the master user; the connection is closed behind it. Raises Unavailable, Throttled, and what
    the network raises."""
    host, _, port = backend.pop3.rpartition(":")
    host = host.strip("[]")
    secured = tls.context() if backend.pop3_tls == "implicit" else None
    reader, writer = await asyncio.open_connection(host, int(port), ssl=secured, limit=limit)
    try:
        await _ok(reader)
        if backend.pop3_tls == "starttls":
            await _ask(reader, writer, b"STLS")
            await writer.start_tls(tls.context(), server_hostname=host)
        await _login(reader, writer, backend, account)
        yield reader, writer
    finally:
        writer.close()


async def _login(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, backend: Backend, account: str
) -> None:
    if backend.master_style == "plain":
        secret = "\0".join((account, backend.master_user, backend.master_password)).encode()  # RFC 4616
        writer.write(b"AUTH PLAIN\r\n")
        if not (await reader.readuntil(b"\n")).startswith(b"+"):
            raise Unavailable(f"backend {backend.name}: POP3 knows no AUTH PLAIN")
        await _ask(reader, writer, base64.b64encode(secret))
        return
    user, password = f"{account}*{backend.master_user}".encode(), backend.master_password.encode()
    if any(octet in user + password for octet in b"\r\n\0"):
        raise Unavailable("a name or password with a line end cannot be sent over POP3")
    await _ask(reader, writer, b"USER " + user)
    await _ask(reader, writer, b"PASS " + password)


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: bytes) -> None:
    writer.write(line + b"\r\n")
    await _ok(reader)


async def _ok(reader: asyncio.StreamReader) -> None:
    line = (await reader.readuntil(b"\n")).rstrip(b"\r\n")
    if not line.startswith(b"+OK"):
        kind = Throttled if _LATER.search(line) else Unavailable
        raise kind(f"the source's POP3 answered {line[:200]!r}")


async def _lines(reader: asyncio.StreamReader) -> list[bytes]:
    found: list[bytes] = []
    while (line := (await reader.readuntil(b"\n")).rstrip(b"\r\n")) != b".":
        if len(line.split()) != 2 or len(found) >= MAX_MESSAGES:
            raise Misbehaviour(f"POP3 listed {line[:80]!r}")
        found.append(line)
    return found
