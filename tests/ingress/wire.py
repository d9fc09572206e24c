"""A client that says exactly the octets it is told, and reads replies."""

import asyncio
import ssl
from collections.abc import Sequence

# Longer than anything here takes; a reply that does not come is a failure, not a hang.
PATIENCE = 20.0


class Wire:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, address: tuple[str, int], *, greeted: bool = True) -> "Wire":
        wire = cls(*await asyncio.open_connection(*address))
        if greeted:
            assert (await wire.reply()).startswith("220 ")
        return wire

    async def send(self, octets: bytes) -> None:
        self.writer.write(octets)
        await self.writer.drain()

    async def reply(self) -> str:
        """The next reply, lines joined by LF; "" when the server closed."""
        lines = []
        while True:
            line = await asyncio.wait_for(self.reader.readline(), PATIENCE)
            if not line:
                return "\n".join(lines)
            assert line.endswith(b"\r\n"), line
            lines.append(line[:-2].decode("ascii"))
            if lines[-1][3:4] != "-":
                return "\n".join(lines)

    async def ask(self, command: str | bytes) -> str:
        await self.send((command.encode() if isinstance(command, str) else command) + b"\r\n")
        return await self.reply()

    async def say(self, *commands: str) -> list[str]:
        return [await self.ask(command) for command in commands]

    async def mail(self, octets: bytes, recipients: Sequence[str] = ("anna@example.org",)) -> str:
        """One message; the last reply. `octets` are dot-stuffed already and end with CRLF."""
        reply = await self.ask("MAIL FROM:<sender@remote.example>")
        for recipient in recipients:
            if reply[0] == "2":
                reply = await self.ask(f"RCPT TO:<{recipient}>")
        if reply[0] != "2":
            return reply
        reply = await self.ask("DATA")
        if reply[0] != "3":
            return reply
        await self.send(octets + b".\r\n")
        return await self.reply()

    async def closed(self) -> bool:
        """Nothing more comes. True once the server has closed."""
        try:
            return await asyncio.wait_for(self.reader.read(1), PATIENCE) == b""
        except ConnectionError:
            return True

    async def start_tls(self, context: ssl.SSLContext) -> None:
        assert (await self.ask("STARTTLS")).startswith("220 2.0.0 ")
        await self.writer.start_tls(context, server_hostname="mx.example.org")

    async def close(self) -> None:
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except (ConnectionError, ssl.SSLError):
            pass  # the server was first
