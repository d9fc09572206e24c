"""A backend that says what a test tells it to: misbehaving servers, and a look at what reaches one."""

import asyncio
import contextlib
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Awaitable, Callable

Script = Callable[["Connection"], Awaitable[None]]


class Connection:
    """The server's end of one connection. `seen` is all that came; `ended` when the other side closed or reset."""

    def __init__(self, reader: StreamReader, writer: StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.seen = bytearray()
        self.ended = asyncio.Event()

    def say(self, octets: bytes) -> None:
        self.writer.write(octets)

    async def hear(self) -> bytes:
        line = await self.reader.readline()
        self.seen += line
        return line

    async def imap_login(
        self, reply: bytes = b"OK [CAPABILITY IMAP4rev1 IDLE] Logged in"
    ) -> tuple[bytes, bytes]:
        """The name and the password, from literals."""
        self.say(b"* OK backend ready\r\n")
        words = []
        tag = b""
        for _ in range(2):
            line = await self.hear()
            tag = tag or line.split(b" ")[0]
            size = int(line.rpartition(b"{")[2].rstrip(b"}\r\n"))
            self.say(b"+ go on\r\n")
            words.append(await self.reader.readexactly(size))
        await self.hear()
        self.say(tag + b" " + reply + b"\r\n")
        return words[0], words[1]

    async def pop3_login(self, reply: bytes = b"+OK Logged in") -> None:
        self.say(b"+OK backend ready\r\n")
        while not (await self.hear()).upper().startswith(b"PASS"):
            self.say(b"+OK\r\n")
        self.say(reply + b"\r\n")

    async def listen_to_the_end(self) -> None:
        with contextlib.suppress(ConnectionError):
            while octets := await self.reader.read(65536):
                self.seen += octets
        self.ended.set()


class ScriptedBackend:
    def __init__(self, port: int) -> None:
        self.port = port
        self.connections: list[Connection] = []

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self.port}"


@contextlib.asynccontextmanager
async def backend(script: Script) -> AsyncIterator[ScriptedBackend]:
    """Runs `script` for each connection, then closes it."""

    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        connection = Connection(reader, writer)
        found.connections.append(connection)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await script(connection)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 20)
    found = ScriptedBackend(server.sockets[0].getsockname()[1])
    try:
        yield found
    finally:
        server.close()
        for connection in found.connections:
            connection.writer.transport.abort()
