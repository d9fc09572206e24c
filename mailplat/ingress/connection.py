"""One connection without its commands: the aiosmtpd protocol class with what did not hold replaced.

From aiosmtpd we keep the connection's life (transport, stream reader and writer, one task for each client) and
the look-up of `smtp_VERB` methods. Reading, replying, deadlines, STARTTLS and every command (`session`) are ours;
what was found in it is listed in tests/ingress/test_aiosmtpd_traps.py, one test each.

Deadlines run only while we wait for the client. Replies are collected and written together when no further
command waits in the input (RFC 2920 3.2).
"""

import asyncio
import contextlib
import logging
import math
import ssl
from collections.abc import Iterator
from typing import Any, cast

import structlog
from aiosmtpd.smtp import SMTP

from mailplat.core.envelope import Peer
from mailplat.core.errors import InvalidInput, MailplatError
from mailplat.core.network import parse_ip
from mailplat.core.reply import UNAVAILABLE, Reply
from mailplat.ingress.conduct import EARLY, MISTAKE
from mailplat.ingress.content import reply_for
from mailplat.ingress.gate import SHUTTING_DOWN, Gate
from mailplat.ingress.inlet import READ_SIZE, EndOfInput, Inlet, LineRefused
from mailplat.ingress.reception import Reception
from mailplat.ingress.rooms import Rooms
from mailplat.wire import proxy

log = structlog.get_logger("ingress")
logging.getLogger("mail.log").setLevel(logging.WARNING)  # aiosmtpd logs a line or more for each command

# Replies collected for pipelined commands are written at the latest when they reach this, octets.
FLUSH_SIZE = 16 * 1024

UNKNOWN_COMMAND = Reply(500, "5.5.2", "Command not known")
NOT_IN_A_COMMAND = Reply(501, "5.5.2", "A command has no NUL in it")
TOO_MANY_ERRORS = Reply(421, "4.7.0", "Too many errors, closing")
COMMAND_TIMEOUT = Reply(421, "4.4.2", "Timeout waiting for a command, closing")


class Connection(SMTP):
    """Reads commands and writes replies until somebody leaves. `refuse` counts what a correct client does not
    send."""

    # aiosmtpd takes the limit of its stream reader from here.
    line_length_limit = READ_SIZE

    def __init__(self, gate: Gate, rooms: Rooms, *, lmtp: bool, tls: ssl.SSLContext | None) -> None:
        self.command_size_limits: dict[str, int] = {}  # aiosmtpd shares and clears one of the class
        super().__init__(
            None,
            data_size_limit=rooms.limits.message_size,
            enable_SMTPUTF8=True,
            hostname=rooms.hostname,
            tls_context=tls,
            loop=asyncio.get_running_loop(),
        )
        self.gate = gate
        self.rooms = rooms
        self.limits = rooms.limits
        self.lmtp = lmtp
        self.peer = Peer("", 0)
        self.connected = ""  # the address at the other end, whoever it speaks for
        self.reception = Reception(rooms, lmtp=lmtp)
        self._out = bytearray()
        self.errors = 0
        self._entered = False
        self._counted: str | None = None  # the address that the gate has counted in
        self._late: asyncio.Future[None] | None = None  # while an answer is held back
        self._points = 0.0  # of the command that runs
        self.leaving = False  # set by QUIT and by too many errors
        self._winding_down = False
        self._waiting = False  # for a command outside a transaction: closing now loses nothing
        self._deadline = math.inf
        self._on_timeout = COMMAND_TIMEOUT

    # The connection's life

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        socket = cast(asyncio.Transport, transport)  # uvloop's do not derive from it
        self.peer = Peer(*_remote(socket), tls=cipher_of(socket))
        self.connected = self.peer.address
        refusal = self.gate.enter(self)
        if refusal is None:
            self._entered = True
            # Of a proxy's client nothing is known yet.
            refusal = None if self.proxied else self.count(self.peer.address)
        if refusal is not None:
            if self._entered:
                self._entered = False
                self.gate.leave(self)
            socket.write(f"{refusal}\r\n".encode())
            socket.close()
            return
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        if not self._entered:
            return
        self.gate.leave(self)
        if self._counted is not None:
            self.gate.release(self._counted)
        super().connection_lost(error)  # cancels our task; what it shields goes on

    @property
    def proxied(self) -> bool:
        """Whether a proxy in front says who the client is."""
        return self.connected in self.rooms.proxies

    def count(self, address: str) -> Reply | None:
        """Count the client in at the gate under this address, instead of the one before; or say why not. LMTP is
        spoken by servers of the house, which bring all there is."""
        if self.lmtp:
            return None
        if self._counted is not None:
            self.gate.release(self._counted)
            self._counted = None
        refusal = self.gate.admit(address)
        if refusal is None:
            self._counted = address
        return refusal

    def eof_received(self) -> bool:
        # aiosmtpd cancels here. A client may half-close after its last command and still read our replies.
        return bool(self._entered and asyncio.StreamReaderProtocol.eof_received(self))

    def wind_down(self) -> None:
        """The server drains: a session outside a transaction ends now, any other after its message."""
        self._winding_down = True
        if self._late is not None and not self._late.done():
            self._late.set_result(None)
        if self._waiting:
            self._close_with(SHUTTING_DOWN)

    def abort(self) -> None:
        if self.transport is not None:
            self.socket.abort()

    @property
    def socket(self) -> asyncio.Transport:
        return cast(asyncio.Transport, self.transport)

    async def start_tls(self, context: ssl.SSLContext) -> None:
        """The handshake; raises EndOfInput where it fails. What came in clear behind STARTTLS is dropped
        (RFC 3207 4.2), and nothing that was said before counts."""
        self.socket.pause_reading()
        self.inlet.discard()
        self._reader._buffer.clear()  # type: ignore[attr-defined]  # StreamReader has no other way to forget
        try:
            await self._writer.start_tls(context, ssl_handshake_timeout=self.limits.tls_handshake)
        except (OSError, ssl.SSLError, TimeoutError) as error:
            log.info("TLS handshake failed", peer=self.peer.address, error=str(error))
            raise EndOfInput from error
        self.transport = self._writer.transport
        self._reader._transport = self.transport  # type: ignore[attr-defined]  # 3.11 leaves the old one
        self.peer = Peer(self.peer.address, self.peer.port, tls=cipher_of(self.socket))
        self._set_rset_state()

    def _set_rset_state(self) -> None:
        super()._set_rset_state()  # type: ignore[no-untyped-call]
        if self._entered:
            self.reception.abandon()
            self.reception = Reception(self.rooms, lmtp=self.lmtp)

    # Deadlines

    @contextlib.contextmanager
    def patience(self, seconds: float, reply: Reply) -> Iterator[None]:
        """While inside, the client has `seconds` to act; then it gets `reply` and the connection closes."""
        self._on_timeout = reply
        self._deadline = self.loop.time() + seconds
        if self._timeout_handle is None or self._deadline < self._timeout_handle.when():
            self._rearm(self._deadline)
        try:
            yield
        finally:
            self._deadline = math.inf

    def _rearm(self, when: float) -> None:
        # One timer for the connection, moved seldom: a command costs an assignment, not a timer.
        if self._timeout_handle is not None:
            self._timeout_handle.cancel()
        self._timeout_handle = self.loop.call_at(when, self._timeout_cb)

    def _reset_timeout(self, duration: float | None = None) -> None:
        self._rearm(self.loop.time() + (duration or self.limits.command_timeout))

    def _timeout_cb(self) -> None:
        now = self.loop.time()
        if now >= self._deadline:
            log.info("client timed out", peer=self.peer.address, reply=str(self._on_timeout))
            self._close_with(self._on_timeout)
        else:
            self._rearm(min(self._deadline, now + self.limits.command_timeout))

    def _close_with(self, reply: Reply) -> None:
        self._deadline = math.inf
        if self.transport is None or self.transport.is_closing():
            return
        self.say(reply)
        self.socket.write(bytes(self._out))
        self._out.clear()
        self._hang_up()

    def _hang_up(self) -> None:
        if self.transport is None:
            return
        self.socket.close()
        if self.socket.get_write_buffer_size():  # a client that reads nothing would keep it open for ever
            if self._timeout_handle is not None:
                self._timeout_handle.cancel()
            self._timeout_handle = self.loop.call_later(self.limits.close_grace, self.socket.abort)

    # Reading and replying

    async def _handle_client(self) -> None:
        self.inlet = Inlet(self._reader)
        try:
            await self._meet()
            while not self.leaving:
                if self._winding_down and not self.reception.begun:
                    self.say(SHUTTING_DOWN)
                    break
                await self._turn()
            await self.flush()
        except (EndOfInput, ConnectionError):
            pass  # the client is gone: there is nobody to tell
        finally:
            self.reception.abandon()
            self._hang_up()

    async def _meet(self) -> None:
        """Who is it, can it wait, and the greeting (RFC 5321 3.1)."""
        if self.proxied:
            refusal = await self._hear_proxy()
            if refusal is not None:
                self.say(refusal)
                self.leaving = True
                return
        conduct, address = self.gate.conduct, self.peer.address
        wait = 0.0 if self.lmtp or self.peer.tls else conduct.greet_wait(address)
        if wait:
            if await self.inlet.comes(wait):
                log.info("client spoke before the greeting", peer=address)
                conduct.note(address, EARLY)
            else:
                conduct.waited(address)
        self.greet()

    def greet(self) -> None:
        protocol = "LMTP" if self.lmtp else "ESMTP"
        self.say(Reply(220, "", f"{self.hostname} {protocol} mailplat"))

    async def _hear_proxy(self) -> Reply | None:
        """Raises EndOfInput for a proxy that says nothing of use: whoever configured it has to see that."""
        try:
            with self.patience(self.limits.proxy_header, COMMAND_TIMEOUT):
                fixed = await self.inlet.exactly(proxy.FIXED)
                following = await self.inlet.exactly(proxy.rest(fixed))
            said = proxy.client(fixed, following)
        except InvalidInput as error:
            log.warning("a proxy in smtp.proxy_networks does not say who its client is", proxy=self.connected,
                        error=str(error))  # fmt: skip
            raise EndOfInput from error
        if said is not None:
            self.peer = Peer(*said)
        return self.count(self.peer.address)

    async def _turn(self) -> None:
        try:
            line = await self._next_line()
        except LineRefused as error:
            self.refuse(Reply(500, "5.5.2", str(error)))
            await self._hold_back()
            return
        verb, _, argument = line.partition(b" ")
        method = self._smtp_methods.get(verb.decode("ascii", "replace").upper())
        try:
            if b"\0" in line:
                self.refuse(NOT_IN_A_COMMAND)
            elif method is None:
                self.refuse(UNKNOWN_COMMAND)
            else:
                await method(argument.strip(b" "))
        except (EndOfInput, ConnectionError):
            raise
        except Exception as error:  # noqa: BLE001 - logged there; one bad command does not end the session
            self._out += (await self.handle_exception(error)).encode() + b"\r\n"
        if self._points:
            await self._hold_back()

    async def _hold_back(self) -> None:
        """Whoever did much that no mail server does hears late what is wrong now."""
        points, self._points = self._points, 0.0
        if self.lmtp:
            return
        self.gate.conduct.note(self.peer.address, points)
        delay = self.gate.conduct.delay(self.peer.address) if points > 0 else 0.0
        if delay and not self._winding_down:
            self._late = self.loop.create_future()
            await asyncio.wait({self._late}, timeout=delay)
            self._late = None

    async def _next_line(self) -> bytes:
        if not self.inlet.pending or len(self._out) >= FLUSH_SIZE:
            await self.flush()
        self._waiting = not self.reception.begun
        try:
            with self.patience(self.limits.command_timeout, COMMAND_TIMEOUT):
                return await self.inlet.line(self.limits.command_line)
        finally:
            self._waiting = False

    def say(self, *replies: Reply) -> None:
        for reply in replies:
            self._out += f"{reply}\r\n".encode("ascii", "replace")

    async def flush(self) -> None:
        if self._out:
            self._writer.write(bytes(self._out))
            self._out.clear()
            with self.patience(self.limits.command_timeout, COMMAND_TIMEOUT):
                await self._writer.drain()

    def refuse(self, reply: Reply) -> None:
        """A reply to something that a correct client does not send."""
        self.errors += 1
        self._points += MISTAKE
        if self.errors > self.limits.errors:
            log.info("too many errors", peer=self.peer.address, last=str(reply))
            self.say(TOO_MANY_ERRORS)
            self.leaving = True
        else:
            self.say(reply)

    async def handle_exception(self, error: Exception) -> str:
        """Never a word of it on the wire."""
        if isinstance(error, MailplatError):
            log.warning("command failed", peer=self.peer.address, error=f"{type(error).__name__}: {error}")
            return str(reply_for(error))
        log.error("command failed: this is a bug", peer=self.peer.address, exc_info=error)
        return str(UNAVAILABLE)


def _remote(transport: asyncio.Transport) -> tuple[str, int]:
    """Address and port; IPv4 through an IPv6 socket as plain IPv4; ("", 0) for a Unix socket."""
    name: Any = transport.get_extra_info("peername")
    if not isinstance(name, tuple):
        return "", 0
    return str(parse_ip(str(name[0]))), int(name[1])


def cipher_of(transport: asyncio.BaseTransport) -> str:
    layer: Any = transport.get_extra_info("ssl_object")
    cipher = layer.cipher() if layer is not None else None
    return f"{layer.version()} {cipher[0]}" if cipher else ""
