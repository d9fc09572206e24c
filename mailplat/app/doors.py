"""Listeners for the doors that speak over asyncio streams (IMAP, POP3): caps, TLS, draining.

SMTP and LMTP have their own (`ingress.server`), because aiosmtpd is a protocol and not a stream.
"""

import asyncio
import contextlib
import socket
import ssl
from typing import Protocol

import structlog

log = structlog.get_logger("doors")

# Connections that the kernel keeps while we are busy accepting.
BACKLOG = 1024

# The buffer of one connection's reader: a command line and then some; literals are read in chunks of this.
READ_BUFFER = 64 * 1024


class StreamServer(Protocol):
    """A protocol's server: one call a connection, which ends when the connection is done."""

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, implicit_tls: bool = False
    ) -> None: ...


def bind(endpoint: str, *, shared: bool) -> socket.socket:
    """A listening socket for "address:port". `shared`: several processes bind the same port and the kernel
    spreads connections over them (SO_REUSEPORT). Raises OSError with the endpoint in its text."""
    host, _, port = endpoint.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((host, int(port)))
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise OSError(error.errno, f"cannot listen on {endpoint}: {error.strerror}") from error
    return sock


class StreamDoor:
    """One protocol on any number of sockets in this process. At most `max_connections` at once; one more is
    closed at once, so that a flood costs a file descriptor for a moment only."""

    def __init__(self, name: str, server: StreamServer, max_connections: int) -> None:
        self._name = name
        self._server = server
        self._max = max_connections
        self._listeners: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def connections(self) -> int:
        return len(self._tasks)

    async def listen(self, sock: socket.socket, tls: ssl.SSLContext | None) -> None:
        """`tls`: TLS from the first octet (RFC 8314)."""

        def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if len(self._tasks) >= self._max:
                log.warning("connection refused", door=self._name, limit=self._max)
                writer.transport.abort()
                return
            task = asyncio.ensure_future(self._serve(reader, writer, tls is not None))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        listener = await asyncio.start_server(
            accepted, sock=sock, ssl=tls, limit=READ_BUFFER, backlog=BACKLOG
        )
        self._listeners.append(listener)

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, implicit_tls: bool
    ) -> None:
        transport_socket = writer.get_extra_info("socket")
        if transport_socket is not None and transport_socket.family in (socket.AF_INET, socket.AF_INET6):
            transport_socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await self._server.serve(reader, writer, implicit_tls)
        except (ConnectionError, TimeoutError, ssl.SSLError) as error:
            log.debug("connection ended", door=self._name, reason=str(error))
        except Exception:
            log.exception("connection ended by a bug", door=self._name)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError, TimeoutError, ssl.SSLError):
                await writer.wait_closed()

    def stop_accepting(self) -> None:
        for listener in self._listeners:
            listener.close()

    async def drain(self, timeout: float) -> None:
        """Wait for open connections; cut what is left after `timeout` seconds."""
        self.stop_accepting()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout)
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
