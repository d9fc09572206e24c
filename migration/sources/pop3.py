"""A POP3 session (RFC 1939) for reading in bulk; the source on top of it is `pop3_account`.

Never a DELE. What has sent RETR never sends QUIT: only a QUIT enters the UPDATE state in which a server removes mail
(RFC 1939 6). Behind each RETR goes a RSET: Dovecot sets \\Seen on what was read however the session ends, but for
what a RSET has taken back.
"""

import asyncio
import base64
import contextlib
import hashlib
import re
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Protocol, Self

from mailplat.core.errors import Unavailable
from mailplat.core.spool import Body
from mailplat.directory import Backend
from migration.errors import Halt, Lost, Misbehaviour, Throttled, Unreachable
from migration.sources import tls

# A response line has 512 octets (RFC 2449 4), a header line of a message any number; those are not read as lines.
MAX_LINE = 1024
# RETR under way at once where the server knows PIPELINING (RFC 2449 6.6): hides the round trip, and what is read in
# vain when a session ends is small.
WINDOW = 16
_CHUNK = 64 * 1024

# RFC 3206 4, RFC 2449 8.1.1: the server is busy. [IN-USE] is a matter of one maildrop, and silences no other account.
_LATER = re.compile(rb"\[(?:SYS/TEMP|LOGIN-DELAY)\b", re.IGNORECASE)
_EXPIRES = re.compile(rb"EXPIRE\s+0\b", re.IGNORECASE)
_UIDL = re.compile(rb"[\x21-\x7e]{1,70}")  # RFC 1939 7


async def read_uidls(backend: Backend, account: str) -> list[tuple[str, int]]:
    """(UIDL, size in octets) in the order that POP3 shows. Raises Unavailable, Throttled, Misbehaviour, Halt."""
    session = await Session.open(backend, account)
    try:
        listed = await session.listing()
        await session.ask(b"QUIT")
    finally:
        session.abort()
    return [(uidl, size) for _, uidl, size in listed]


async def read_digests(backend: Backend, account: str, numbers: Sequence[int]) -> dict[int, bytes]:
    """SHA-256 of the octets of these messages, by number in POP3's list; those are left out that it does not give.
    Raises as read_uidls."""
    if not numbers:
        return {}
    found: dict[int, bytes] = {}
    session = await Session.open(backend, account)
    try:
        for number in numbers:
            session.send(b"RETR %d" % number)
            if (await session._line()).startswith(b"+OK"):
                digest = _Digest()
                await session._receive(digest)
                found[number] = digest.value
            await session.ask(b"RSET")
    finally:
        session.abort()
    return found


def _size(value: bytes) -> int:
    if not value.isdigit() or len(value) > 18:
        raise Misbehaviour(f"POP3 listed {value[:80]!r} octets")
    return int(value)


class _Digest:
    """Takes a message and keeps its digest."""

    def __init__(self) -> None:
        self.size = 0
        self._digest = hashlib.sha256()

    def write(self, octets: bytes) -> None:
        self.size += len(octets)
        self._digest.update(octets)

    @property
    def value(self) -> bytes:
        return self._digest.digest()


@contextlib.asynccontextmanager
async def logged_in(
    backend: Backend, account: str, *, limit: int
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """The connection of a session, for who speaks for himself: lines of at most `limit` octets. Raises as
    Session.open."""
    session = await Session.open(backend, account, limit)
    try:
        yield session._reader, session._writer
    finally:
        session.abort()


async def greet(backend: Backend) -> None:
    """Connect and ask for CAPA without a login: no maildrop is locked. Raises Unavailable, Throttled."""
    session = await Session.connect(backend)
    try:
        await session.learn()
        await session.ask(b"QUIT")
    finally:
        session.abort()


class _Taker(Protocol):
    """Of a message, piece by piece."""

    @property
    def size(self) -> int: ...

    def write(self, octets: bytes) -> None: ...


class Session:
    """`open` logs in; end it with `abort`. Every method raises Unavailable when the server is gone or silent."""

    def __init__(self, backend: Backend, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._backend = backend
        self._reader = reader
        self._writer = writer
        self._buffer = bytearray()
        self.capabilities: frozenset[bytes] = frozenset()

    @classmethod
    async def connect(cls, backend: Backend, limit: int = _CHUNK) -> Self:
        """Greeted, and under TLS where the backend has it. Raises Unavailable (Unreachable where nobody greets),
        Throttled, Misbehaviour."""
        host, _, port = backend.pop3.rpartition(":")
        host = host.strip("[]")
        secured = tls.context() if backend.pop3_tls == "implicit" else None
        try:
            async with asyncio.timeout(backend.limits.answer):
                reader, writer = await asyncio.open_connection(host, int(port), ssl=secured, limit=limit)
        except (OSError, TimeoutError, ValueError) as error:
            raise Unreachable(_reason(backend, error)) from error
        session = cls(backend, reader, writer)
        try:
            await session._greeting()
            if backend.pop3_tls == "starttls":
                await session.ask(b"STLS")
                if session._buffer:  # somebody in between speaks for the server (NO STARTTLS, USENIX 2021)
                    raise Misbehaviour("octets in the clear behind the answer to STLS")
                async with asyncio.timeout(backend.limits.answer):
                    await writer.start_tls(tls.context(), server_hostname=host)
        except (OSError, TimeoutError, ssl.SSLError) as error:
            session.abort()
            raise Unavailable(_reason(backend, error)) from error
        except BaseException:
            session.abort()
            raise
        return session

    async def _greeting(self) -> None:
        try:
            await self.answer()
        except Throttled:
            raise
        except Unavailable as error:
            raise Unreachable(str(error)) from error

    @classmethod
    async def open(cls, backend: Backend, account: str, limit: int = _CHUNK) -> Self:
        """As `account`, by the master user of the backend. Raises Unavailable, also for a maildrop that
        another session has locked ([IN-USE]), Throttled, Halt for a server that deletes what is read."""
        session = await cls.connect(backend, limit)
        try:
            await session._login(account)
            await session.learn()
        except BaseException:
            session.abort()
            raise
        return session

    async def _login(self, account: str) -> None:
        backend = self._backend
        if backend.master_style == "plain":
            secret = "\0".join((account, backend.master_user, backend.master_password)).encode()  # RFC 4616
            self.send(b"AUTH PLAIN")
            if not (await self._line()).startswith(b"+"):
                raise Unavailable(f"backend {backend.name}: POP3 knows no AUTH PLAIN")
            await self.ask(base64.b64encode(secret))
            return
        user, password = f"{account}*{backend.master_user}".encode(), backend.master_password.encode()
        if any(octet in user + password for octet in b"\r\n\0"):
            raise Unavailable("a name or password with a line end cannot be sent over POP3")
        await self.ask(b"USER " + user)
        await self.ask(b"PASS " + password)

    async def learn(self) -> None:
        """CAPA (RFC 2449 5); a server that does not know it has none."""
        self.send(b"CAPA")
        if (await self._line()).startswith(b"+OK"):
            lines = [line async for line in self._lines()]
            self.capabilities = frozenset(line.upper().partition(b" ")[0] for line in lines)
            if any(_EXPIRES.match(line) for line in lines):  # RFC 2449 6.7
                raise Halt(
                    f"backend {self._backend.name} says EXPIRE 0 over POP3: it may delete each message that is read."
                    " Have that switched off there; nothing was read"
                )

    async def listing(self) -> list[tuple[int, str, int]]:
        """(number in this session, UIDL, size in octets), ascending. Raises Halt where UIDLs are missing or doubled:
        then nothing says which message is which."""
        await self.ask(b"LIST")
        sizes = {number: _size(value) async for number, value in self._pairs()}
        self.send(b"UIDL")
        line = await self._line()
        if not line.startswith(b"+OK"):
            self._raise_later(line)
            raise Halt(f"POP3 knows no UIDL (RFC 1939 7): nothing says which message is which; {line[:80]!r}")
        uidls = {number: value.decode("ascii") async for number, value in self._pairs() if _is_uidl(value)}
        if uidls.keys() != sizes.keys():
            raise Halt(
                f"POP3 LIST has {len(sizes)} messages, UIDL has {len(uidls)}: some have no usable UIDL"
            )
        if len(set(uidls.values())) != len(uidls):
            seen: set[str] = set()
            double = next(each for each in uidls.values() if each in seen or seen.add(each))  # type: ignore[func-returns-value]
            raise Halt(f"POP3 gives two messages the UIDL {double!r}: nothing says which is which")
        return [(number, uidls[number], sizes[number]) for number in sorted(sizes)]

    async def _pairs(self) -> AsyncIterator[tuple[int, bytes]]:
        found: set[int] = set()
        async for line in self._lines():
            words = line.split()
            if (
                len(words) < 2
                or not words[0].isdigit()
                or len(words[0]) > 9
                or len(found) >= self._backend.limits.messages
            ):
                raise Misbehaviour(f"POP3 listed {line[:80]!r}")
            number = int(words[0])
            if number in found:
                raise Misbehaviour(f"POP3 listed message {number} twice")
            found.add(number)
            yield number, words[1]

    async def retrieve(
        self, numbers: Sequence[int], spool: Path, more: Callable[[], bool]
    ) -> AsyncIterator[tuple[int, Body | None]]:
        """Each message, None for one that the server does not give (any more). No further one is asked for when
        `more` says no. Who gets a body closes it."""
        window = WINDOW if b"PIPELINING" in self.capabilities else 1
        asked = 0
        for at, number in enumerate(numbers):
            while asked < len(numbers) and asked < at + window and (asked == 0 or more()):
                self.send(b"RETR %d\r\nRSET" % numbers[asked] if window > 1 else b"RETR %d" % numbers[asked])
                asked += 1
            if at == asked:
                return
            line = await self._line()
            body = await self._message(spool) if line.startswith(b"+OK") else None
            try:
                if window == 1:
                    if self._buffer:
                        raise Misbehaviour("POP3 goes on behind the end of a message: it does not stuff dots")
                    self.send(b"RSET")
                # That nothing is marked any more; nothing ever was. Something else is the rest of a message that had
                # a lone dot in it, which its server did not stuff (RFC 1939 3): what was read is not all of it.
                after = await self._line()
                if not after.startswith(b"+OK"):
                    raise Misbehaviour(f"POP3 answered RSET with {after[:80]!r}")
            except BaseException:
                if body is not None:
                    body.close()
                raise
            if body is None:
                self._raise_later(line)
            yield number, body

    async def _message(self, spool: Path) -> Body:
        body = Body.create(spool)
        try:
            await self._receive(body)
        except BaseException:
            body.close()
            raise
        return body

    async def _receive(self, taker: _Taker) -> None:
        """RFC 1939 3: up to the line with a lone dot; a dot goes from where a line begins with one."""
        rest, first = b"\r\n", True
        while True:
            data = rest + bytes(self._buffer)
            self._buffer.clear()
            end = data.find(b"\r\n.\r\n")
            if end >= 0:
                self._buffer += data[end + 5 :]
                cut = end + 2
            else:
                cut = data.rfind(b"\r\n")  # what stays begins with a line end, so that no dot is cut from it
                if cut <= 0 and len(data) > _CHUNK:
                    cut = len(data) - 4 if b"\r\n" not in data[-4:] else 0
                cut = max(cut, 0)
            if cut:
                piece = data[:cut].replace(b"\r\n..", b"\r\n.")
                taker.write(piece[2:] if first else piece)
                first = False
            if taker.size > self._backend.limits.message:
                raise Misbehaviour(f"POP3 gives a message of more than {self._backend.limits.message} octets")
            if end >= 0:
                return
            rest = data[cut:]
            await self._more()

    def send(self, line: bytes) -> None:
        self._writer.write(line + b"\r\n")

    async def ask(self, line: bytes) -> None:
        self.send(line)
        await self.answer()

    async def answer(self) -> None:
        line = await self._line()
        if not line.startswith(b"+OK"):
            self._raise_later(line)
            raise Unavailable(f"the source's POP3 answered {line[:200]!r}")

    def _raise_later(self, line: bytes) -> None:
        if _LATER.search(line):
            raise Throttled(f"the source's POP3 answered {line[:200]!r}")

    async def _lines(self) -> AsyncIterator[bytes]:
        while (line := await self._line()) != b".":
            yield line[1:] if line.startswith(b".") else line

    async def _line(self) -> bytes:
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > MAX_LINE:
                raise Misbehaviour(f"POP3 sends a line of more than {MAX_LINE} octets")
            await self._more()
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line.removesuffix(b"\r")

    async def _more(self) -> None:
        try:
            async with asyncio.timeout(self._backend.limits.answer):
                octets = await self._reader.read(_CHUNK)
        except (OSError, TimeoutError, ssl.SSLError) as error:
            raise Unavailable(_reason(self._backend, error)) from error
        if not octets:
            raise Lost(f"backend {self._backend.name}: POP3 closed the connection")
        self._buffer += octets

    def abort(self) -> None:
        """Without QUIT. Idempotent."""
        self._writer.close()


def _is_uidl(value: bytes) -> bool:
    return _UIDL.fullmatch(value) is not None


def _reason(backend: Backend, error: Exception) -> str:
    reason = tls.explain(error, "--pop3-tls", backend.pop3_tls)
    return f"backend {backend.name}, POP3 at {backend.pop3}: {reason}"
