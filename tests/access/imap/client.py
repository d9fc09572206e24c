"""A client that hides nothing: it sends octets and reads response lines, literals included, as they come."""

import asyncio
import re
import ssl
from asyncio import StreamReader, StreamWriter
from dataclasses import dataclass

_LITERAL = re.compile(rb"\{(\d+)\}\r\n\Z")


@dataclass(frozen=True)
class Answer:
    """Everything up to a tagged line. `lines` are the untagged ones, without their CRLF."""

    lines: list[bytes]
    tagged: bytes  # without the tag: b"OK NOOP completed"

    @property
    def status(self) -> bytes:
        return self.tagged.partition(b" ")[0]

    def having(self, text: bytes) -> list[bytes]:
        return [line for line in self.lines if text in line]


class Client:
    def __init__(self, reader: StreamReader, writer: StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.greeting = b""
        self._count = 0

    @classmethod
    async def connect(cls, port: int, tls: ssl.SSLContext | None = None) -> "Client":
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls, limit=1 << 26)
        client = cls(reader, writer)
        client.greeting = await client.line()
        return client

    async def line(self) -> bytes:
        """One response line without its CRLF, literals and what follows them included; b"" at the end."""
        whole = b""
        while True:
            part = await asyncio.wait_for(self.reader.readline(), 20)
            whole += part
            literal = _LITERAL.search(part)
            if literal is None:
                return whole.removesuffix(b"\r\n")
            whole += await asyncio.wait_for(self.reader.readexactly(int(literal[1])), 20)

    def send(self, octets: bytes) -> None:
        self.writer.write(octets)

    def start(self, command: bytes) -> bytes:
        """Send a command and do not wait; its tag."""
        self._count += 1
        tag = b"t%d" % self._count
        self.send(tag + b" " + command + b"\r\n")
        return tag

    async def answer(self, tag: bytes) -> Answer:
        lines = []
        while True:
            line = await self.line()
            if line.startswith(tag + b" "):
                return Answer(lines, line[len(tag) + 1 :])
            if not line:
                raise EOFError(f"the server closed; before: {lines[-3:]}")
            lines.append(line)

    async def command(self, command: bytes | str) -> Answer:
        if isinstance(command, str):
            command = command.encode()
        return await self.answer(self.start(command))

    async def ok(self, command: bytes | str) -> list[bytes]:
        """The untagged lines of a command that must succeed."""
        answer = await self.command(command)
        assert answer.status == b"OK", answer
        return answer.lines

    async def append(self, message: bytes, mailbox: str = "INBOX", flags: str = "", date: str = "") -> int:
        """The new UID."""
        rest = "".join(f"{item} " for item in (flags, f'"{date}"' if date else "") if item)
        answer = await self.command(
            f"APPEND {mailbox} {rest}".encode() + b"{%d+}\r\n" % len(message) + message
        )
        uid = re.search(rb"\[APPENDUID \d+ (\d+)\]", answer.tagged)
        assert uid is not None, answer
        return int(uid[1])

    async def talk(self, transcript: str) -> None:
        """Play a transcript: lines `C: ...` are sent, lines `S: ...` must come, in this order and no others between.
        `...` in a line of the server stands for any text. Lines of neither are remarks."""
        for raw in transcript.splitlines():
            line = raw.strip()
            if line.startswith("C: "):
                self.send(line[3:].encode() + b"\r\n")
            elif line.startswith("S: "):
                came = (await self.line()).decode()
                pattern = ".*".join(map(re.escape, line[3:].split("...")))
                assert re.fullmatch(pattern, came, re.DOTALL), f"expected {line[3:]!r}, came {came!r}"

    async def closed(self) -> None:
        """The server has closed the connection."""
        assert await asyncio.wait_for(self.reader.read(), 20) == b""

    async def close(self) -> None:
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except (ConnectionError, ssl.SSLError):
            pass
