"""A remote SMTP or LMTP server that behaves, until it is told what to say instead."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

DROP = "drop"  # instead of a reply: close the connection
SILENCE = "silence"  # instead of a reply: nothing, ever

GOOD = {
    "GREETING": "220 remote ESMTP",
    "MAIL": "250 2.1.0 ok",
    "RCPT": "250 2.1.5 ok",
    "DATA": "354 go on",
    "END": "250 2.0.0 kept",
    "RSET": "250 2.0.0 ok",
    "QUIT": "221 2.0.0 bye",
}


@dataclass
class Received:
    sender: str
    recipients: list[str]
    octets: bytes = b""  # still dot-stuffed, with the final dot


@dataclass
class Remote:
    """`answers` by verb (GREETING, EHLO, MAIL, RCPT, DATA, END, ...), used up in order, over all connections;
    then it behaves. A held-up remote waits at `gate` before it answers the final dot."""

    lmtp: bool = False
    extensions: Sequence[str] = ("PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE 1000000", "ENHANCEDSTATUSCODES")
    answers: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    messages: list[Received] = field(default_factory=list)  # those it said 2xx to
    commands: list[str] = field(default_factory=list)
    connections: int = 0
    open: int = 0
    most_open: int = 0
    port: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    at_end: asyncio.Event = field(default_factory=asyncio.Event)  # a final dot has arrived

    def __post_init__(self) -> None:
        self.gate.set()

    @property
    def next_hop(self) -> str:
        return f"{'lmtp' if self.lmtp else 'smtp'}:127.0.0.1:{self.port}"

    @property
    def kept(self) -> list[bytes]:
        return [message.octets for message in self.messages]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            await self._session(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, _Dropped):
            pass
        finally:
            self.open -= 1
            writer.transport.abort()

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        message = Received("", [])
        await self._say(writer, "GREETING")
        while line := await reader.readline():
            command = line.decode().rstrip("\r\n")
            verb = command.split(" ")[0].upper()
            self.commands.append(command)
            if verb in ("EHLO", "LHLO"):
                lines = ["remote", *self.extensions]
                text = "".join(f"250-{one}\r\n" for one in lines[:-1]) + f"250 {lines[-1]}"
                await self._say(writer, "EHLO", text)
            elif verb == "DATA":
                default = GOOD["DATA"] if message.recipients else "503 5.5.1 no recipients"
                if (await self._say(writer, "DATA", default)).startswith("354"):
                    await self._data(reader, writer, message)
                    message = Received("", [])
            else:
                answer = await self._say(writer, verb, GOOD.get(verb, "500 5.5.2 what"))
                if answer.startswith("2"):
                    if verb == "MAIL":
                        message = Received(command, [])
                    elif verb == "RCPT":
                        message.recipients.append(command)
                    elif verb == "QUIT":
                        return
                elif answer.startswith("421"):
                    return

    async def _data(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, message: Received
    ) -> None:
        octets = b""
        while not (octets.endswith(b"\r\n.\r\n") or octets == b".\r\n"):
            octets += await reader.readexactly(1) if len(octets) < 4 else await reader.readuntil(b"\r\n")
        message.octets = octets
        self.at_end.set()
        await self.gate.wait()
        kept = []
        for recipient in message.recipients if self.lmtp else [None]:
            if (await self._say(writer, "END")).startswith("2") and recipient is not None:
                kept.append(recipient)
            elif recipient is None:
                kept = message.recipients if self._last.startswith("2") else []
        if kept:
            self.messages.append(Received(message.sender, kept, octets))

    async def _say(self, writer: asyncio.StreamWriter, verb: str, default: str = "") -> str:
        queued = self.answers.get(verb)
        answer = self._last = queued.pop(0) if queued else default or GOOD[verb]
        if answer == DROP:
            raise _Dropped
        if answer == SILENCE:
            await asyncio.Event().wait()
        writer.write(answer.encode("latin-1") + b"\r\n")
        await writer.drain()
        return answer

    _last: str = ""


class _Dropped(Exception):
    pass


@contextlib.asynccontextmanager
async def listening(remote: Remote) -> AsyncIterator[Remote]:
    server = await asyncio.start_server(remote.serve, "127.0.0.1", remote.port, limit=1 << 26)
    remote.port = server.sockets[0].getsockname()[1]
    tasks = asyncio.all_tasks()
    try:
        yield remote
    finally:
        server.close()
        for task in asyncio.all_tasks() - tasks - {asyncio.current_task()}:
            if "Remote.serve" in repr(task):
                task.cancel()
        await server.wait_closed()
