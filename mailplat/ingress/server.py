"""Listening sockets of the SMTP and LMTP doors, their caps on connections, and draining."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Sequence

import structlog

from mailplat.ingress.conduct import Conduct
from mailplat.ingress.gate import Gate
from mailplat.ingress.rooms import Rooms
from mailplat.ingress.session import Session

log = structlog.get_logger("ingress")


class SmtpServer:
    """All SMTP and LMTP listeners of one process. `start` may be called for each kind of listener; caps and
    draining are over all of them. Lives in one event loop."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._servers: list[asyncio.Server] = []
        conduct = Conduct(rooms.limits, rooms.trusted, rooms.clock.monotonic)
        self.gate = Gate(rooms.limits, rooms.trusted, conduct)

    @property
    def connections(self) -> int:
        return len(self.gate.connections)

    @property
    def storing(self) -> int:
        """Messages between their final dot and our reply."""
        return len(self.gate.storing)

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
            return Session(self.gate, self._rooms, lmtp=lmtp, tls=None if implicit_tls else tls)

        loop = asyncio.get_running_loop()
        backlog = self._rooms.limits.backlog
        layer = tls if implicit_tls else None
        if implicit_tls and tls is None:
            raise ValueError("implicit_tls needs a context")
        if sockets:
            made = [
                await loop.create_server(session, sock=sock, ssl=layer, backlog=backlog) for sock in sockets
            ]
        else:
            made = [await loop.create_server(session, host, port, ssl=layer, backlog=backlog)]
        self._servers += made
        names = [sock.getsockname() for server in made for sock in server.sockets]
        return [(name[0], name[1]) for name in names if isinstance(name, tuple)]

    async def drain(self, timeout: float) -> int:
        """Accept no more, end idle sessions with 421, let others finish their message. After `timeout`
        seconds connections that are left are cut, and a store in progress runs on without them; no message
        that we answered with 250 is at stake. Returns how many connections were cut."""
        self.gate.closed = True
        for server in self._servers:
            server.close()
        for connection in tuple(self.gate.connections):
            connection.wind_down()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self.gate.quiet.wait()
        left = tuple(self.gate.connections)
        for connection in left:
            connection.abort()
        if left or self.storing:
            log.warning("drain cut short", connections=len(left), storing=self.storing, timeout=timeout)
        return len(left)
