"""A network that fails when a test says so."""

import asyncio


class Wire:
    """A TCP proxy that can cut its connections: after so many octets of the server's, or all of them at once."""

    def __init__(self, port: int) -> None:
        self._there = port
        self.cut_after: int | None = None
        self.cut = asyncio.Event()
        self._open: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> "Wire":
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listener.close()

    def cut_all(self) -> None:
        """Those that are open now."""
        for writer in tuple(self._open):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._there)
        await asyncio.gather(
            self._pass(reader, there_writer, None), self._pass(there_reader, writer, there_writer)
        )

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, other: asyncio.StreamWriter | None
    ) -> None:
        passed = 0
        self._open.add(writer)
        try:
            while chunk := await reader.read(4096):
                passed += len(chunk)
                if other is not None and self.cut_after is not None and passed > self.cut_after:
                    self.cut.set()
                    other.transport.abort()
                    writer.transport.abort()
                    return
                writer.write(chunk)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            self._open.discard(writer)
            writer.close()
