"""What a client sends, as command lines and as chunks of DATA, with pipelined octets kept in between."""

import asyncio

# One read, and half of what asyncio buffers for one connection before it stops reading from the socket.
READ_SIZE = 128 * 1024


class EndOfInput(Exception):
    """The client closed its side."""


class LineRefused(Exception):
    """A line that is no command; it is swallowed to its end. The text is for the client."""


class Inlet:
    """Only CRLF ends a command line. A line with a bare LF or CR in it is refused as a whole, up to its CRLF,
    so that what somebody smuggled behind the bare LF is never obeyed (RFC 5321 2.3.8)."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._pending = bytearray()
        self._answered = False  # the line that we are in was refused already
        self._oversized = False

    @property
    def pending(self) -> bool:
        """A whole line waits here: there is no need to flush replies yet (RFC 2920 3.2)."""
        return b"\n" in self._pending

    async def line(self, limit: int) -> bytes:
        """The next command without its CRLF. Raises EndOfInput, and LineRefused for a line that is longer than
        `limit` octets (after the whole of it was read, in bounded memory) or has a bare CR or LF."""
        while True:
            end = self._pending.find(b"\n")
            if end < 0:
                if len(self._pending) > limit:
                    self._oversized = True
                    del self._pending[:-1]  # the last octet may be the CR of its end
                self._pending += await self._read()
                continue
            line = bytes(self._pending[: end + 1])
            del self._pending[: end + 1]
            if not line.endswith(b"\r\n"):
                self._answered = True
                raise LineRefused("Lines end in CRLF")
            if self._answered:
                self._answered = self._oversized = False
                continue
            if self._oversized or len(line) > limit:
                self._oversized = False
                raise LineRefused(f"Line is longer than {limit} octets")
            if b"\r" in line[:-2]:
                raise LineRefused("Lines end in CRLF")
            return line[:-2]

    async def comes(self, seconds: float) -> bool:
        """Whether the client says something, or leaves, within that time. Nothing of it is lost."""
        if self._pending:
            return True
        try:
            async with asyncio.timeout(seconds):
                self._pending += await self._read()
        except TimeoutError:
            return False
        return True

    async def exactly(self, count: int) -> bytes:
        """So many octets; for few. Raises EndOfInput."""
        while len(self._pending) < count:
            self._pending += await self._read()
        return self._take(count)

    async def up_to(self, count: int) -> bytes:
        """What came, at least one octet and no more than that. Raises EndOfInput."""
        if not self._pending:
            self._pending += await self._read()
        return self._take(count)

    def _take(self, count: int) -> bytes:
        octets = bytes(self._pending[:count])
        del self._pending[:count]
        return octets

    async def chunk(self) -> bytes:
        """Whatever came, at least one octet. Raises EndOfInput."""
        if self._pending:
            octets = bytes(self._pending)
            self._pending.clear()
            return octets
        return await self._read()

    def push_back(self, octets: bytes) -> None:
        """What followed the final dot: the next commands."""
        self._pending[:0] = octets

    def discard(self) -> None:
        """Forget what came in clear (RFC 3207 4.2)."""
        self._pending.clear()
        self._answered = self._oversized = False

    async def _read(self) -> bytes:
        octets = await self._reader.read(READ_SIZE)
        if not octets:
            raise EndOfInput
        return octets
