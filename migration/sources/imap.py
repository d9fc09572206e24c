"""One connection to an IMAP server, for reading in bulk. The source on top of it is `imap_account`.

The only file that imports aioimaplib. Of it we keep the connecting, the tags and the commands with their waiting;
replaced is what does not hold for bulk reading (research/libraries.md §2): its reader recurses once a line and
collects literals in memory, its dispatch allows one FETCH at a time, and it neither quotes names nor knows
STARTTLS or AUTHENTICATE PLAIN.
"""

import asyncio
import re
import ssl
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import aioimaplib

from mailplat.access.deflate import BadDeflate, Deflate
from mailplat.core.errors import NotFound, Unavailable
from mailplat.core.limits.sources import SourceLimits
from mailplat.core.spool import MEMORY_LIMIT, Body
from mailplat.wire.imap.strings import string
from migration.errors import Lost, Misbehaviour, Throttled
from migration.lease import Held, always
from migration.sources import replies
from migration.sources.contract import Listed

# What one piece of a response takes beside its octets.
_PIECE = 100
# Inflated at once: what waits in memory.
INFLATED = 256 * 1024

_TEXT_ONLY = re.compile(rb"\+|(?:\*|[A-Za-z0-9]+) (?:OK|NO|BAD|BYE|PREAUTH)\b", re.IGNORECASE)
_LITERAL = re.compile(rb"\{(\d{1,19})\+?\}\Z")
_TAGGED = re.compile(rb"([A-Za-z0-9]+) (OK|NO|BAD)(?: (.*))?\Z", re.IGNORECASE | re.DOTALL)
_LATER = re.compile(rb"\[(?:LIMIT|INUSE|UNAVAILABLE|THROTTLED|SERVERBUG|CONTACTADMIN)\b", re.IGNORECASE)
_ABSENT = re.compile(rb"\[(?:NONEXISTENT|TRYCREATE)\]|doesn't exist|does not exist", re.IGNORECASE)
_BACKOFF = re.compile(rb"Suggested Backoff Time: (\d{1,7}) milliseconds", re.IGNORECASE)


def asks_to_wait(text: bytes) -> bool:
    """What stands behind a NO that is none for good (RFC 5530 3)."""
    return bool(_LATER.search(text) or _BACKOFF.search(text))


Found = Callable[[Listed, bytes | Body | None], None]


class Exchange(aioimaplib.Command):  # type: ignore[misc]
    """A command in flight: what is sent at each continuation, what came back, who is told of each message."""

    def __init__(self, name: str, tag: str, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(name, tag, loop=loop)  # no timeout of its own: the connection watches for silence
        self.more: deque[bytes] = deque()
        self.responses: list[replies.Response] = []
        self.found: Found | None = None
        self.wanted: set[int] | None = None  # UIDs whose messages are ours; None: all
        self.kept = 0  # octets of `responses`
        self.raw = False  # FETCH responses are responses like all others; nothing else may be in flight then

    @property
    def text(self) -> bytes:
        """What stands behind OK, NO or BAD."""
        return bytes(self.response.lines[-1])

    def named(self, name: bytes) -> list[replies.Response]:
        """The untagged responses of this name."""
        prefix = b"* %b " % name
        return [each for each in self.responses if replies.first(each)[: len(prefix)].upper() == prefix]

    def fail(self, error: BaseException) -> None:
        self._exception = error
        self.close(b"", "KO")

    @property
    def refused(self) -> bool:
        """The server has answered NO; the connection is as good as before."""
        return self._exception is None and self.response is not None and self.response.result == "NO"


class Protocol(aioimaplib.IMAP4ClientProtocol):  # type: ignore[misc]
    """Reads iteratively, in memory bounded by `limits` and MEMORY_LIMIT, whatever the server sends; several
    commands may be in flight, told apart by tag."""

    def __init__(self, loop: asyncio.AbstractEventLoop, spool: Path, limits: SourceLimits) -> None:
        super().__init__(loop)
        self._limits = limits
        self.greeting: asyncio.Future[bytes] = loop.create_future()
        self._spool = spool
        self._flying: dict[str, Exchange] = {}
        self._line = bytearray()
        self._parts: list[bytes | Body] = []
        self._literal: Body | None = None
        self._missing = 0  # octets of the literal still to come
        self._text = self._literals = 0  # octets since the last tagged answer
        self._held = 0  # of this response
        self._heard = loop.time()
        self._watcher: asyncio.TimerHandle | None = None
        self._farewell = b""
        self._broken: BaseException | None = None
        self._deflate: Deflate | None = None
        self.upgrading = False  # STARTTLS was answered, TLS has not begun: no octet may come
        self.held: Held = always  # asked before anything is said

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if self._watcher is None:
            self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._farewell:
            found = _BACKOFF.search(self._farewell)
            wait = int(found[1]) / 1000 if found else None
            self.fail(Throttled(f"the source said {self._farewell[:200]!r}", wait))
        self.fail(Lost(f"the source closed the connection: {exc or 'end of stream'}"))

    def fail(self, error: BaseException) -> None:
        """Every command in flight and every later one fails with this."""
        if self._broken is None:
            self._broken = error
        flying, self._flying = self._flying, {}
        for exchange in flying.values():
            exchange.fail(self._broken)
        if not self.greeting.done():
            self.greeting.set_exception(self._broken)
            self.greeting.exception()  # looked at: who connects may have given up already
        _close([*self._parts, self._literal])
        self._parts, self._literal, self._missing = [], None, 0
        if self._watcher is not None:
            self._watcher.cancel()
            self._watcher = None
        if self.transport is not None:
            self.transport.abort()

    def start(self, exchange: Exchange, line: bytes) -> None:
        if self._broken is not None:
            raise self._broken
        self.held()
        self._heard = self.loop.time() if not self._flying else self._heard
        self._flying[exchange.tag] = exchange
        self._send(b"%b %b\r\n" % (exchange.tag.encode(), line))

    def _send(self, octets: bytes) -> None:
        self.transport.write(octets if self._deflate is None else self._deflate.deflate(octets))

    def data_received(self, data: bytes) -> None:
        self._heard = self.loop.time()
        try:
            if self._deflate is None:
                data = data[self._take(data, until_deflate=True) :]
            if self._deflate is not None and data:
                self._deflate.feed(data)
                while self._broken is None and (octets := self._deflate.take(INFLATED)):
                    self._take(octets)
        except BadDeflate as error:
            self.fail(Misbehaviour(f"the source's COMPRESS=DEFLATE: {error}; try without --imap-compress"))
        except Exception as error:  # noqa: BLE001 - a protocol must not raise; every waiter gets it
            self.fail(error)

    def _take(self, data: bytes, *, until_deflate: bool = False) -> int:
        """Where it stopped: at the end, or where what follows is compressed (RFC 4978 3)."""
        at, end = 0, len(data)
        while at < end and self._broken is None and not (until_deflate and self._deflate):
            if self.upgrading:  # somebody in between speaks for the server (NO STARTTLS, USENIX 2021)
                raise Misbehaviour("octets in the clear behind the answer to STARTTLS")
            if self._missing:
                at = self._take_literal(data, at)
                continue
            newline = data.find(b"\n", at)
            if newline < 0 or len(self._line) + newline - at > self._limits.line:
                self._line += data[at:]
                if len(self._line) > self._limits.line:
                    raise Misbehaviour(f"a line of more than {self._limits.line} octets")
                return end
            line = data[at:newline]
            if self._line:
                line = bytes(self._line) + line
                self._line.clear()
            at = newline + 1
            self._take_line(line[:-1] if line.endswith(b"\r") else line)
        return at

    def _take_literal(self, data: bytes, at: int) -> int:
        piece = data[at : at + self._missing]
        self._missing -= len(piece)
        if self._literal is None and not self._missing:
            self._hold(piece)  # it came whole: no copy but this one
        else:
            if self._literal is None:
                self._literal = Body.create(self._spool, MEMORY_LIMIT)
            self._literal.write(piece)  # beyond MEMORY_LIMIT into the page cache, nothing waits for the disk
            if not self._missing:
                self._parts.append(self._literal)
                self._literal = None
        return at + len(piece)

    def _take_line(self, line: bytes) -> None:
        # The text behind OK, NO and + has no literals, however it ends (RFC 3501 7.1).
        if line.endswith(b"}") and (self._parts or not _TEXT_ONLY.match(line)):
            found = _LITERAL.search(line)
            if found is not None:
                size = int(found[1])
                if size > self._limits.message:
                    raise Misbehaviour(f"a literal of {size} octets")
                self._literals += size
                if self._literals > self._limits.literals:
                    raise Misbehaviour(f"literals of more than {self._limits.literals} octets in one answer")
                self._hold(line)
                self._missing = size
                if not size:
                    self._hold(b"")
                return
        self._hold(line)
        parts, self._parts, self._held = self._parts, [], 0
        self._dispatch(parts)

    def _hold(self, octets: bytes) -> None:
        """A line, or a literal that came whole."""
        self._text += len(octets) + _PIECE
        self._held += len(octets) + _PIECE
        if self._held > self._limits.kept:
            raise Misbehaviour(f"a response of more than {self._limits.kept} octets")
        if self._text > self._limits.lines:
            raise Misbehaviour(f"more than {self._limits.lines} octets, and no end of the answer")
        self._parts.append(octets)

    def _dispatch(self, parts: list[bytes | Body]) -> None:
        first = parts[0]
        assert isinstance(first, bytes)
        if not self.greeting.done():
            self.greeting.set_result(first)
        elif first.startswith(b"* "):
            self._untagged(parts, first)
        elif first.startswith(b"+"):
            waiting = next((each for each in self._flying.values() if each.more), None)
            if waiting is None:
                raise Misbehaviour("a continuation that nobody asked for")
            self.held()
            self._send(waiting.more.popleft() + b"\r\n")
        elif (tagged := _TAGGED.match(first)) is not None:
            self._text = self._literals = 0
            exchange = self._flying.pop(tagged[1].decode(), None)
            if exchange is None:
                raise Misbehaviour(f"an answer to no command of ours: {first[:80]!r}")
            self.upgrading = exchange.name == "STARTTLS"
            if exchange.name == "COMPRESS" and tagged[2].upper() == b"OK":
                self._deflate = Deflate(self._limits.deflate_ratio, self._limits.deflate_allowance)
            exchange.close(tagged[3] or b"", tagged[2].decode().upper())
        elif first:
            raise Misbehaviour(f"unreadable: {first[:80]!r}")

    def _untagged(self, parts: list[bytes | Body], first: bytes) -> None:
        if replies.is_fetch(parts) and not any(each.raw for each in self._flying.values()):
            listed, body = replies.parse_fetch(parts)
            for exchange in self._flying.values():
                if (
                    exchange.found
                    and listed.uid
                    and (exchange.wanted is None or listed.uid in exchange.wanted)
                ):
                    exchange.found(listed, body)
                    return
            if isinstance(body, Body):
                body.close()
            return
        if first[:6].upper() == b"* BYE ":
            self._farewell = first
        oldest = next(iter(self._flying.values()), None)
        if oldest is None:
            _close(parts)
            return
        oldest.kept += sum(_PIECE + (len(each) if isinstance(each, bytes) else 0) for each in parts)
        if oldest.kept > self._limits.kept:
            raise Misbehaviour(f"responses of more than {self._limits.kept} octets to {oldest.name}")
        oldest.responses.append(parts)

    def _watch(self) -> None:
        silence = self._limits.silence
        if self._flying and self.loop.time() - self._heard > silence:
            self.fail(Unavailable(f"the source was silent for {silence:.0f} s"))
            return
        self._watcher = self.loop.call_later(silence / 10, self._watch)


def _close(parts: Sequence[bytes | Body | None]) -> None:
    for part in parts:
        if isinstance(part, Body):
            part.close()


Connect = Callable[[Callable[[], Protocol]], Coroutine[Any, Any, Any]]


class Client(aioimaplib.IMAP4):  # type: ignore[misc]
    """One connection with our protocol in it."""

    def __init__(
        self, host: str, port: int, spool: Path, tls: ssl.SSLContext | None, limits: SourceLimits
    ) -> None:
        self._spool, self._limits = spool, limits
        super().__init__(host, port, timeout=limits.connect, ssl_context=tls)

    def create_client(
        self, host: str, port: int, loop: Any, conn_lost_cb: Any = None, ssl_context: Any = None
    ) -> None:
        self._make_protocol(
            lambda made: asyncio.get_running_loop().create_connection(made, host, port, ssl=ssl_context)
        )

    def _make_protocol(self, connect: Connect) -> None:
        loop = asyncio.get_running_loop()
        self.protocol = Protocol(loop, self._spool, self._limits)
        self._client_task = loop.create_task(connect(lambda: self.protocol))

    async def greeting(self) -> bytes:
        async with asyncio.timeout(self._limits.connect):
            await self._client_task
            return bytes(await self.protocol.greeting)

    def begin(self, line: bytes, *more: bytes) -> Exchange:
        """Send a command; `more` goes out piece by piece, each when the server asks for it."""
        exchange = Exchange(line.partition(b" ")[0].decode(), self.protocol.new_tag(), self.protocol.loop)
        exchange.more.extend(more)
        self.protocol.start(exchange, line)
        return exchange

    async def run(self, line: bytes, *more: bytes) -> Exchange:
        return await self.finish(self.begin(line, *more))

    async def finish(self, exchange: Exchange) -> Exchange:
        """Wait for the tagged answer. Raises NotFound, Throttled, Unavailable for NO; Misbehaviour for BAD."""
        await exchange.wait()
        status, text = exchange.response.result, exchange.text
        if status == "OK":
            return exchange
        what = f"{exchange.name}: {status} {text[:200].decode('utf-8', 'replace')}"
        if status == "BAD":
            raise Misbehaviour(f"the source answered {what}")
        if asks_to_wait(text):
            found = _BACKOFF.search(text)
            raise Throttled(f"the source answered {what}", int(found[1]) / 1000 if found else None)
        raise (NotFound if _ABSENT.search(text) else Unavailable)(f"the source answered {what}")

    async def start_tls(self, context: ssl.SSLContext) -> None:
        await self.run(b"STARTTLS")
        async with asyncio.timeout(self._limits.connect):
            self.protocol.transport = await self.protocol.loop.start_tls(
                self.protocol.transport, self.protocol, context, server_hostname=self.host
            )
        self.protocol.upgrading = False

    async def compress(self) -> None:
        """RFC 4978: both ways, from the answer on. Nothing else may be in flight."""
        await self.run(b"COMPRESS DEFLATE")

    def abort(self) -> None:
        self._client_task.cancel()
        self.protocol.fail(Unavailable("the connection was closed by us"))


def command(name: bytes, *values: bytes, tail: bytes = b"") -> list[bytes]:
    """A command whose arguments are quoted, or sent as literals where they cannot be: the pieces between the
    server's continuations (RFC 3501 4.3)."""
    pieces: list[bytes] = []
    line = name
    for value in values:
        quoted = string(value)
        if quoted.startswith(b"{"):
            announced, _, octets = quoted.partition(b"\r\n")
            pieces.append(line + b" " + announced)
            line = octets
        else:
            line += b" " + quoted
    return [*pieces, line + b" " + tail if tail else line]
