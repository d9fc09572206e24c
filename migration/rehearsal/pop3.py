"""What POP3 clients ask (RFC 1939 5, 7), of both sides: STAT, LIST, UIDL, TOP. Never a RETR, which marks a message as
seen on many servers, and never a DELE."""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import Mapping

from mailplat.core.errors import Unavailable
from mailplat.directory import Backend
from migration.errors import Misbehaviour
from migration.rehearsal.doors import CopyDoors
from migration.rehearsal.judgement import Difference, Notice
from migration.sources.pop3 import logged_in

# Seconds for all of one side.
TIMEOUT_S = 120.0
# Of each message whose header is asked for.
LINES = 5
# Octets of a line of a message; longer ones than RFC 5322 2.1.1 has are common.
MAX_LINE = 1 << 20
# Of one TOP.
MAX_LINES = 20_000

Lines = dict[str, object]
Answers = Mapping[str, Lines]


async def compare_pop3(
    backend: Backend, address: str, doors: CopyDoors, tops: int
) -> tuple[list[Difference], int]:
    """And how many commands were asked of both. `tops`: messages that are looked into, the eldest and the newest.
    Raises Unavailable, Misbehaviour."""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            async with logged_in(backend, address, limit=MAX_LINE) as streams:
                there = await _read(_Asked(*streams), tops, backend.limits.messages)
            reader, writer = await doors.pop3(MAX_LINE)
            try:
                asked = _Asked(reader, writer)
                await asked.line()
                for command in (f"USER {address}", "PASS -"):
                    await asked.one(command)
                here = await _read(asked, tops, backend.limits.messages)
            finally:
                writer.close()
    except (OSError, TimeoutError, EOFError, ValueError, IndexError, asyncio.LimitOverrunError) as error:
        raise Unavailable(f"POP3 could not be compared: {str(error) or type(error).__name__}") from error
    found = []
    for command in {**there, **here}:
        old, new = there.get(command, {}), here.get(command, {})
        for key in {**old, **new}:
            if old.get(key) != new.get(key):
                verdict = _judge(command)
                found.append(Difference("POP3", command, key, old.get(key), new.get(key), *verdict))
    return found, len({**there, **here})


def _judge(command: str) -> tuple[Notice, str]:
    if command == "UIDL":
        return Notice.YES, "a client that leaves mail on the server downloads the message again"
    if command.startswith("TOP"):
        return Notice.YES, "other octets"
    return Notice.PERHAPS, "numbers or sizes that a client shows while it downloads"


async def _read(asked: "_Asked", tops: int, most: int) -> Answers:
    found: dict[str, Lines] = {}
    stat = (await asked.one("STAT")).split()
    count = int(stat[1])
    found["STAT"] = {"messages": count, "octets": int(stat[2])}
    for command in ("LIST", "UIDL"):
        lines = await asked.many(command, most)
        found[command] = {number: value for number, _, value in (each.partition(" ") for each in lines)}
    eldest = tops // 2
    numbers = sorted({*range(1, count + 1)[:eldest], *range(1, count + 1)[eldest - tops :]})
    for number in numbers:
        lines = await asked.many(f"TOP {number} {LINES}", MAX_LINES)
        found[f"TOP {number} {LINES}"] = {"": "\n".join(lines)}
    await asked.one("QUIT")
    return found


class _Asked:
    def __init__(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def line(self) -> str:
        """Raises EOFError."""
        octets = await self._reader.readuntil(b"\n")
        return octets.rstrip(b"\r\n").decode("utf-8", "backslashreplace")

    async def one(self, command: str) -> str:
        self._writer.write(f"{command}\r\n".encode())
        line = await self.line()
        if not line.startswith("+OK"):
            raise Unavailable(f"POP3 answered {command.split()[0]} with {line[:200]!r}")
        return line

    async def many(self, command: str, most: int) -> list[str]:
        await self.one(command)
        found: list[str] = []
        while (line := await self.line()) != ".":
            if len(found) >= most:
                raise Misbehaviour(f"POP3 answered {command} with more than {most} lines")
            found.append(line.removeprefix("."))
        return found
