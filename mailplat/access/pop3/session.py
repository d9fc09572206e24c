"""One connection: its state, and the loop that takes line by line and answers in their order."""

import asyncio
import contextlib
import enum
import ssl
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

import structlog

from mailplat.access.login import LoginService, Serve
from mailplat.access.pop3.maildrop import Maildrop
from mailplat.access.stream import Stream, peer_of
from mailplat.core.errors import StaleEpoch, Unavailable
from mailplat.core.executors import Executors
from mailplat.core.limits.pop3 import Pop3Limits
from mailplat.store import Store
from mailplat.usage import Tap
from mailplat.wire import pop3

log = structlog.get_logger("pop3")

P = ParamSpec("P")
T = TypeVar("T")

# Commands that run without an await in between, before other connections get a turn.
BURST = 50

NOT_NOW = pop3.err("Not possible now, try again later", "SYS/TEMP")


class State(enum.Enum):
    """RFC 1939 3. UPDATE is what QUIT does in TRANSACTION; nothing is read in it."""

    AUTHORIZATION = enum.auto()
    TRANSACTION = enum.auto()
    ENDED = enum.auto()


@dataclass(frozen=True, slots=True)
class Services:
    """What all sessions of a process share."""

    login: LoginService
    store: Store
    executors: Executors
    limits: Pop3Limits
    hostname: str
    tls: ssl.SSLContext | None
    plaintext_without_tls: bool
    enter: "Callable[[Session, Serve], None]"  # Sessions.enter


Handler = Callable[["Session", pop3.Command], Awaitable[None]]


class Session:
    """`out` takes replies; nothing is sent before `stream.flush`."""

    def __init__(self, services: Services, stream: Stream, commands: dict[State, dict[str, Handler]]) -> None:
        self.services = services
        self.stream = stream
        self.out = stream.write
        self.peer = peer_of(stream.writer)
        self.lines = pop3.Lines()
        self.state = State.AUTHORIZATION
        self.name: bytes | None = None  # USER's
        self.utf8 = False
        self.granted: Serve | None = None
        self.maildrop: Maildrop | None = None
        self.failures = 0  # logins
        self.unfinished = 0  # exchanges of AUTH that came to no end
        self.ticket = services.login.throttle.admit(self.peer.address)  # until it is logged in
        self.handed_over = False  # to a backend: nothing of ours is said any more
        self.task = asyncio.current_task()
        self.tap: Tap | None = None  # counts what the client gets, from the login on
        self._commands = commands
        self._bad = 0  # lines that were no command, in a row
        self._ending = False  # the server wants it to end
        self._interruptible = False  # waits for the client or a backend: may be woken to end

    @property
    def limits(self) -> Pop3Limits:
        return self.services.limits

    @property
    def account_id(self) -> int | None:
        return self.granted.account.id if self.granted else None

    @property
    def may_log_in(self) -> bool:
        """Whether a password may come over this connection."""
        return self.stream.tls or self.services.plaintext_without_tls

    @property
    def drop(self) -> Maildrop:
        assert self.maildrop is not None
        return self.maildrop

    async def call(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """A synchronous call of the store, in its threads. Raises Unavailable when its disk is stalled."""
        return await self.services.executors.ask(self.lane, function, *args, **kwargs)

    @property
    def lane(self) -> str:
        """The threads of the account's shard."""
        assert self.granted is not None
        return f"store/{self.granted.residence.shard}"

    async def run(self) -> None:
        """To the end of the connection, whoever ends it; raises only CancelledError."""
        self.out(pop3.ok(f"{self.services.hostname} ready"))
        try:
            await self._converse()
        except (ConnectionError, ssl.SSLError, TimeoutError):
            pass  # the client went away: nobody is left to tell
        except asyncio.CancelledError:
            if not self._ending:
                raise

    async def line(self, limit: int = 0) -> bytes | pop3.Overlong | None:
        """The next line; None at the end of the connection. `limit` 0: that of commands."""
        self.lines.limit = limit or self.limits.line
        while (line := self.lines.next()) is None:
            await self.stream.flush()
            octets = await self._read()
            if not octets:
                return None
            self.lines.feed(octets)
        return line

    def stop(self) -> None:
        """Called by the server: end as soon as the running command is done. POP3 has no words for it."""
        self._ending = True
        if self._interruptible and self.task is not None:
            self.task.cancel()

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """What runs inside may be cut off by `stop` without harm."""
        self._interruptible = True
        try:
            yield
        finally:
            self._interruptible = False

    async def close(self) -> None:
        """Give the maildrop back."""
        self.ticket.close()
        if self.tap is not None:
            self.tap.close()
        drop, self.maildrop = self.maildrop, None
        if drop is not None:
            await self.call(drop.close)

    async def _read(self) -> bytes:
        if self._ending:
            return b""
        with self.interruptible():
            return await self.stream.read()

    async def _converse(self) -> None:
        burst = 0
        while self.state is not State.ENDED and not self._ending:
            line = await self.line()
            if line is None:
                return
            await self._take(line)
            if self.stream.full:
                await self.stream.flush()
            burst += 1
            if burst % BURST == 0:
                await asyncio.sleep(0)

    async def _take(self, line: bytes | pop3.Overlong) -> None:
        if isinstance(line, pop3.Overlong):
            self._refuse(f"A line has at most {self.limits.line} octets")
            return
        command = pop3.parse_command(line)
        if command is None:
            self._refuse("That is no command")
            return
        handler = self._commands[self.state].get(command.keyword)
        if handler is None:
            known = any(command.keyword in commands for commands in self._commands.values())
            self._refuse("Not in this state" if known else "Unknown command")
            return
        self._bad = 0
        await self._attempt(handler, command)

    async def _attempt(self, handler: Handler, command: pop3.Command) -> None:
        try:
            await handler(self, command)
        except (ConnectionError, ssl.SSLError, asyncio.CancelledError):
            raise
        except StaleEpoch as error:
            log.info("session ends", account=self.account_id, reason=str(error))
            self.out(pop3.err("Mailbox has moved, connect again", "SYS/TEMP"))
            self.state = State.ENDED
        except Unavailable as error:
            log.warning(
                "command not possible now",
                command=command.keyword,
                account=self.account_id,
                reason=str(error),
            )
            self.out(NOT_NOW)
        except Exception:
            log.exception("command failed", command=command.keyword, account=self.account_id)
            self.out(NOT_NOW)

    def _refuse(self, text: str) -> None:
        self.out(pop3.err(text))
        self._bad += 1
        if self._bad >= self.limits.bad_commands:
            self.state = State.ENDED
