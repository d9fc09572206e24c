"""Clients that cost little beside the server: blocking sockets, and replies that are searched for their end, never
parsed."""

import socket
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

# One read; replies are large.
_BUFFER = 1024 * 1024
# A tagged reply of LOGIN names all capabilities.
_LONGEST_LINE = 4096
# Seconds without an octet before the server counts as stuck.
_PATIENCE_S = 120.0


class Connection:
    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), _PATIENCE_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray(_BUFFER)
        self._view = memoryview(self._buffer)
        self.read_line()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def send(self, octets: bytes) -> None:
        self._socket.sendall(octets)

    def receive(self) -> memoryview:
        """What came next; the next call writes over it. Raises EOFError."""
        count = self._socket.recv_into(self._view)
        if not count:
            raise EOFError("the server closed the connection")
        return self._view[:count]

    def read_line(self) -> bytes:
        """The reply that is one line, and the last that was asked for."""
        line = b""
        while not line.endswith(b"\n"):
            line += self.receive()
        return line


class Imap(Connection):
    """Logged in, a mailbox selected."""

    def __init__(self, port: int, user: str, password: str) -> None:
        super().__init__(port)
        self._number = 0
        self.ask(f"LOGIN {user} {password}")
        self.ask("SELECT INBOX")

    def ask(self, command: str) -> int:
        """Octets of the reply. Raises RuntimeError for a NO or BAD."""
        self._number += 1
        tag = b"t%d " % self._number
        self.send(tag + command.encode() + b"\r\n")
        octets, tail = 0, b"\r\n"
        while True:
            piece = self.receive()
            octets += len(piece)
            tail = (tail + bytes(piece[-_LONGEST_LINE:]))[-_LONGEST_LINE:]
            at = tail.rfind(b"\r\n" + tag)
            if at >= 0 and tail.endswith(b"\n"):
                if not tail.startswith(b"OK", at + 2 + len(tag)):
                    raise RuntimeError(f"{command}: {tail[at:].decode(errors='replace').strip()}")
                return octets

    def seconds(self, command: str) -> float:
        began = time.perf_counter()
        self.ask(command)
        return time.perf_counter() - began


class Pop3(Connection):
    """Logged in."""

    def __init__(self, port: int, user: str, password: str) -> None:
        super().__init__(port)
        self.ask(f"USER {user}")
        self.ask(f"PASS {password}")

    def ask(self, command: str) -> bytes:
        self.send(command.encode() + b"\r\n")
        line = self.read_line()
        if not line.startswith(b"+OK"):
            raise RuntimeError(f"{command.partition(' ')[0]}: {line.decode(errors='replace').strip()}")
        return line

    def retrieve(self, numbers: Sequence[int], depth: int) -> float:
        """Seconds that RETR of these messages took, `depth` of them sent at once."""
        began = time.perf_counter()
        for start in range(0, len(numbers), depth):
            some = numbers[start : start + depth]
            self.send(b"".join(b"RETR %d\r\n" % number for number in some))
            self._await_ends(len(some))
        return time.perf_counter() - began

    def _await_ends(self, count: int) -> None:
        """Count the lines that are one dot: within a message dots are doubled (RFC 1939 3)."""
        end = b"\r\n.\r\n"
        rest = b""
        while count:
            octets = rest + bytes(self.receive())
            count -= octets.count(end)
            rest = octets[-(len(end) - 1) :]
