"""An account's Sieve scripts on a ManageSieve server (RFC 5804), by the right of a master user. One command at a
time; the caller bounds the time of all of them together.

Only the way back writes: `put`, `activate`, `remove`.
"""

import asyncio
import base64
import contextlib
import ssl
from collections.abc import Sequence
from typing import Self

from mailplat.core.errors import MailplatError, NotFound, Unavailable
from mailplat.core.limits.sources import SourceLimits
from mailplat.directory import Backend
from mailplat.sieve.scripts import Scripts
from mailplat.wire.managesieve import (
    BadLine,
    Completion,
    Lines,
    Value,
    capabilities,
    command,
    completion,
    listed,
    parse,
)
from migration.errors import Misbehaviour, Throttled
from migration.lease import Held, always
from migration.sources import tls

# Octets. A line without its literals: names have at most 512 (RFC 5804 1.6), texts of errors are longer.
MAX_LINE = 64 * 1024
_READ = 64 * 1024


class Refused(MailplatError):
    """The server said NO to what we wanted to store; its text says why."""


class ManageSieve:
    """`open` logs in, close() it."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limits: SourceLimits
    ) -> None:
        self._reader, self._writer, self._limits = reader, writer, limits
        self._clear: asyncio.StreamWriter | None = None  # before STARTTLS
        self._lines = Lines(line=MAX_LINE, literal=limits.script)
        self._can: dict[str, str] = {}
        self._held: Held = always

    def only_while(self, held: Held) -> None:
        """Say nothing more from when that raises."""
        self._held = held

    @classmethod
    async def open(cls, backend: Backend, account: str) -> Self:
        """As `account`, by the master user of the backend. Raises Unavailable, Throttled, Misbehaviour."""
        host, _, port = backend.managesieve.rpartition(":")
        host = host.strip("[]")
        secured = tls.context() if backend.managesieve_tls == "implicit" else None
        opened: Self | None = None
        try:
            async with asyncio.timeout(backend.limits.answer):
                streams = await asyncio.open_connection(host, int(port), ssl=secured)
                opened = cls(*streams, backend.limits)
                await opened._greeted()
                if backend.managesieve_tls == "starttls":
                    await opened._start_tls(host)
                await opened._login(backend, account)
        except BaseException as error:
            if opened is not None:
                opened._writer.transport.abort()
            if isinstance(error, OSError | TimeoutError | ssl.SSLError):
                reason = tls.explain(error, "--managesieve-tls", backend.managesieve_tls)
                raise Unavailable(
                    f"backend {backend.name}, ManageSieve at {backend.managesieve}: {reason}"
                ) from error
            raise
        return opened

    async def _greeted(self) -> None:
        lines, done = await self._answer("the greeting")
        if done.kind != "OK":
            raise Throttled(f"the source's ManageSieve greeted with {done.kind} {done.text[:200]}")
        try:
            self._can = capabilities(lines)
        except BadLine as error:
            raise Misbehaviour(f"the source's ManageSieve greeted with {error}") from error

    async def _start_tls(self, host: str) -> None:
        if "STARTTLS" not in self._can:
            raise Unavailable("the source's ManageSieve offers no STARTTLS; see --managesieve-tls")
        await self._run("STARTTLS")
        if self._lines.pending:  # somebody in between speaks for the server (NO STARTTLS, USENIX 2021)
            raise Misbehaviour("octets in the clear behind the answer to STARTTLS")
        # A reader of its own: what may still lie in the old one was said in the clear and is forgotten.
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        transport = await loop.start_tls(
            self._writer.transport, protocol, tls.context(), server_hostname=host
        )
        if transport is None:
            raise Unavailable("the source's ManageSieve closed the connection in STARTTLS")
        protocol.connection_made(transport)
        self._clear = self._writer  # kept: one that is collected closes what is below the TLS
        self._reader, self._writer = reader, asyncio.StreamWriter(transport, protocol, reader, loop)
        await self._greeted()  # RFC 5804 2.2: capabilities are said again

    async def _login(self, backend: Backend, account: str) -> None:
        if "PLAIN" not in self._can.get("SASL", "").upper().split():
            raise Unavailable("the source's ManageSieve offers no PLAIN; see --managesieve-tls")
        if backend.master_style == "plain":
            parts = (account, backend.master_user, backend.master_password)
        else:
            parts = ("", f"{account}*{backend.master_user}", backend.master_password)
        secret = base64.b64encode(b"\0".join(each.encode() for each in parts))  # RFC 4616
        await self._run("AUTHENTICATE", b"PLAIN", secret)

    async def read(self) -> Scripts:
        """All scripts, as they are. Raises Unavailable, Throttled, Misbehaviour."""
        names: list[str] = []
        active = ""
        for values in await self._run("LISTSCRIPTS"):
            try:
                name, is_active = listed(values)
            except BadLine as error:
                raise Misbehaviour(f"the source's ManageSieve: {error}") from error
            names.append(name)
            if is_active and active:
                raise Misbehaviour("the source's ManageSieve shows two active scripts")
            active = name if is_active else active
        found: dict[str, bytes] = {}
        left = self._limits.scripts_octets
        for name in names:
            try:
                lines = await self._run("GETSCRIPT", name.encode())
            except NotFound:  # removed since it was listed
                active = "" if active == name else active
                continue
            if len(lines) != 1 or len(lines[0]) != 1 or not isinstance(lines[0][0], bytes):
                raise Misbehaviour("the source's ManageSieve answered GETSCRIPT with no script")
            found[name] = lines[0][0]
            left -= len(lines[0][0])
            if left < 0:
                raise Misbehaviour(f"scripts of more than {self._limits.scripts_octets} octets together")
        return Scripts(found, active)

    async def put(self, name: str, octets: bytes) -> None:
        """Raises Refused: too large, one too many, or it does not compile there."""
        await self._run("PUTSCRIPT", name.encode(), octets)

    async def activate(self, name: str) -> None:
        """ "" for none. Raises NotFound, Refused."""
        await self._run("SETACTIVE", name.encode())

    async def remove(self, name: str) -> None:
        """Of one that is gone already too. Raises Refused for the active one."""
        with contextlib.suppress(NotFound):
            await self._run("DELETESCRIPT", name.encode())

    async def close(self) -> None:
        """Politely, but not for long."""
        with contextlib.suppress(MailplatError, OSError, TimeoutError):
            async with asyncio.timeout(2.0):
                await self._run("LOGOUT")
        self._writer.transport.abort()

    async def _run(self, name: str, *arguments: bytes) -> list[tuple[Value, ...]]:
        """The lines before the one that ends it. Raises NotFound, Refused, Throttled, Unavailable, Misbehaviour."""
        try:
            async with asyncio.timeout(self._limits.answer):
                self._held()
                self._writer.write(command(name, *arguments))
                await self._writer.drain()
                lines, done = await self._answer(name)
        except (OSError, TimeoutError) as error:
            reason = str(error) or "no answer in time"
            raise Unavailable(f"the source's ManageSieve, {name}: {reason}") from error
        if done.kind == "OK":
            return lines
        said = f"the source's ManageSieve answered {name}: {done.kind} {done.code} {done.text[:200]}"
        if done.code == "TRYLATER" or done.kind == "BYE":
            raise Throttled(said)
        if done.code == "NONEXISTENT":
            raise NotFound(said)
        if name in ("PUTSCRIPT", "SETACTIVE", "DELETESCRIPT"):
            raise Refused(said)
        raise Unavailable(said)

    async def _answer(self, what: str) -> tuple[list[tuple[Value, ...]], Completion]:
        lines: list[tuple[Value, ...]] = []
        try:
            while len(lines) <= self._limits.scripts:
                values = parse(await self._line())
                done = completion(values)
                if done is not None:
                    return lines, done
                if not values or not isinstance(values[0], bytes):  # all that we ask for begins with a string
                    raise BadLine(f"an answer that begins with {values[:1]}")
                lines.append(values)
        except BadLine as error:
            raise Misbehaviour(f"the source's ManageSieve, {what}: {error}") from error
        raise Misbehaviour(f"the source's ManageSieve, {what}: more than {self._limits.scripts} lines")

    async def _line(self) -> Sequence[bytes]:
        while (line := self._lines.next()) is None:
            octets = await self._reader.read(_READ)
            if not octets:
                raise Unavailable("the source's ManageSieve closed the connection")
            self._lines.feed(octets)
        return line
