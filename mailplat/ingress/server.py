"""Listening sockets of the SMTP and LMTP doors, their caps on connections, and draining."""

import asyncio
import collections
import contextlib
import socket
import ssl
from collections.abc import Coroutine, Sequence

import structlog

from mailplat.core.reply import Reply
from mailplat.ingress.connection import SHUTTING_DOWN, Connection
from mailplat.ingress.reception import Rooms
from mailplat.ingress.session import Session

log = structlog.get_logger("ingress")

BUSY = Reply(421, "4.7.0", "Too many connections, try again later")
BUSY_FOR_YOU = Reply(421, "4.7.0", "Too many connections from your address")


class SmtpServer:
    """All SMTP and LMTP listeners of one process. `start` may be called for each kind of listener; caps and
    draining are over all of them. Lives in one event loop."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._servers: list[asyncio.Server] = []
        self._sessions: set[Connection] = set()
        self._from: collections.Counter[str] = collections.Counter()
        self._storing: set[asyncio.Task[list[Reply]]] = set()
        self._draining = False
        self._quiet = asyncio.Event()
        self._quiet.set()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    @property
    def connections(self) -> int:
        return len(self._sessions)

    @property
    def storing(self) -> int:
        """Messages between their final dot and our reply."""
        return len(self._storing)

    async def start(
        self,
        sockets: Sequence[socket.socket] = (),
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        lmtp: bool = False,
        tls: ssl.SSLContext | None = None,
        implicit_tls: bool = False,
    ) -> list[tuple[str, int]]:
        """Listen on sockets that are bound already, or else on host and port (0: any free one). `tls` offers
        STARTTLS, or with `implicit_tls` is spoken from the first octet (RFC 8314). Returns where it listens."""

        def session() -> Session:
            return Session(self, self._rooms, lmtp=lmtp, tls=None if implicit_tls else tls)

        backlog = self._rooms.limits.backlog
        layer = tls if implicit_tls else None
        if implicit_tls and tls is None:
            raise ValueError("implicit_tls needs a context")
        if sockets:
            made = [
                await self.loop.create_server(session, sock=sock, ssl=layer, backlog=backlog)
                for sock in sockets
            ]
        else:
            made = [await self.loop.create_server(session, host, port, ssl=layer, backlog=backlog)]
        self._servers += made
        names = [sock.getsockname() for server in made for sock in server.sockets]
        return [(name[0], name[1]) for name in names if isinstance(name, tuple)]

    async def drain(self, timeout: float) -> int:
        """Accept no more, end idle sessions with 421, let others finish their message. After `timeout`
        seconds connections that are left are cut, and a store in progress runs on without them; no message
        that we answered with 250 is at stake. Returns how many connections were cut."""
        self._draining = True
        for server in self._servers:
            server.close()
        for session in tuple(self._sessions):
            session.wind_down()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._quiet.wait()
        left = tuple(self._sessions)
        for session in left:
            session.abort()
        if left or self._storing:
            log.warning("drain cut short", connections=len(left), storing=len(self._storing), timeout=timeout)
        return len(left)

    # For sessions

    def admit(self, session: Connection, address: str) -> Reply | None:
        """Count a connection in, or say why not."""
        limits = self._rooms.limits
        if self._draining:
            return SHUTTING_DOWN
        if len(self._sessions) >= limits.connections:
            log.warning("connection refused", peer=address, limit=limits.connections)
            return BUSY
        if self._from[address] >= limits.connections_per_address:
            log.warning("connection refused", peer=address, limit_per_address=limits.connections_per_address)
            return BUSY_FOR_YOU
        self._sessions.add(session)
        self._from[address] += 1
        self._quiet.clear()
        return None

    def leave(self, session: Connection, address: str) -> None:
        self._sessions.discard(session)
        self._from[address] -= 1
        if self._from[address] <= 0:
            del self._from[address]
        self._settle()

    def keep(self, work: Coroutine[None, None, list[Reply]]) -> asyncio.Task[list[Reply]]:
        """Run to its end whatever becomes of the connection; drain waits for it."""
        task = self.loop.create_task(work)
        self._storing.add(task)
        self._quiet.clear()
        task.add_done_callback(self._kept)
        return task

    def _kept(self, task: asyncio.Task[list[Reply]]) -> None:
        self._storing.discard(task)
        self._settle()

    def _settle(self) -> None:
        if not self._sessions and not self._storing:
            self._quiet.set()
