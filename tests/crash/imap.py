"""A plain IMAP client. Every command is answered (Answer) or cut (ConnectionError): nothing in between is hidden."""

import re
import select
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

TIMEOUT_S = 30.0

Timed = Callable[[str, float], None]  # verb, milliseconds

_LITERAL = re.compile(rb"\{(\d+)\}\r\n\Z")


@dataclass
class Answer:
    status: str = ""  # OK, NO or BAD
    text: bytes = b""
    lines: list[tuple[bytes, list[bytes]]] = field(default_factory=list)  # untagged: text, literals in it

    @property
    def ok(self) -> bool:
        return self.status == "OK"

    def split_at_closed(self) -> tuple["Answer", "Answer"]:
        """Of a SELECT with QRESYNC: what was told of the mailbox that was selected before, and of the new one
        (RFC 7162 3.2.11)."""
        texts = [text.upper() for text, _ in self.lines]
        at = next((n for n, text in enumerate(texts) if text.startswith(b"* OK [CLOSED]")), 0)
        return Answer(self.status, self.text, self.lines[:at]), Answer(
            self.status, self.text, self.lines[at:]
        )

    def code(self, name: bytes) -> bytes | None:
        """What a response code says, from the tagged line or an untagged one: b"17 3:5" of [APPENDUID 17 3:5]."""
        for text in (self.text, *(line for line, _ in self.lines)):
            found = re.search(rb"\[" + name + rb" ([^]]*)\]", text)
            if found:
                return found[1]
        return None


class LoginRefused(ConnectionError):
    """A tagged NO or BAD to LOGIN, as it was said."""


class Imap:
    def __init__(
        self,
        port: int,
        account: str,
        password: str,
        *,
        timed: Timed = lambda verb, ms: None,
        dark: threading.Event | None = None,
    ) -> None:
        """Logged in. `timed` hears how long each command took. Once `dark` is set no answer is heard any more. Raises
        LoginRefused, ConnectionError, OSError."""
        self._timed = timed
        self._dark = dark or threading.Event()
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
        self._file = self._socket.makefile("rb")
        try:
            self._line()
            answer = self.command(f'LOGIN {account} "{password}"'.encode())
            if not answer.ok:
                raise LoginRefused(f"{answer.status} {answer.text.decode('latin-1')}")
        except BaseException:
            self.close()
            raise

    def command(self, *parts: bytes | tuple[bytes]) -> Answer:
        """Octets as they are, literals as tuples of one (LITERAL+, RFC 7888)."""
        pieces = [b"a "]
        for part in parts:
            pieces += [b"{%d+}\r\n" % len(part[0]), part[0]] if isinstance(part, tuple) else [part]
        began = time.perf_counter()
        self._socket.sendall(b"".join(pieces) + b"\r\n")
        answer = self._answer()
        words = pieces[1].decode("latin-1").split()
        self._timed(" ".join(words[: 1 + (words[0] == "UID")]), (time.perf_counter() - began) * 1000)
        return answer

    def idle(self) -> None:
        """Until `done` the server tells by itself what happens."""
        self._socket.sendall(b"a IDLE\r\n")
        self.hear(b"+")

    def hear(self, text: bytes) -> None:
        """Read up to a line that begins or ends so."""
        while True:
            line = self._line().rstrip(b"\r\n")
            if line.startswith(text) or line.endswith(text):
                return

    def readable(self, within: float) -> bool:
        """Whether something comes within so many seconds, the end too. A line that came together with one that was
        read already is not seen before the next: for who waits for a BYE, which the end follows."""
        return bool(select.select([self._socket], [], [], within)[0])

    def heard(self) -> bytes:
        """The next line. Raises ConnectionError when there is none any more."""
        return self._line().rstrip(b"\r\n")

    def done(self) -> Answer:
        self._socket.sendall(b"DONE\r\n")
        return self._answer()

    def _answer(self) -> Answer:
        answer = Answer()
        while True:
            text, literals = self._response()
            if text.startswith(b"a "):
                _, status, answer.text = text.split(b" ", 2)
                answer.status = status.decode()
                return answer
            if text.startswith(b"* BYE"):
                raise ConnectionError(text.decode("latin-1"))
            answer.lines.append((text, literals))

    def log_out(self) -> None:
        self._socket.sendall(b"a LOGOUT\r\n")
        self.hear(b"a OK")

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def _response(self) -> tuple[bytes, list[bytes]]:
        text, literals = self._line(), []
        while found := _LITERAL.search(text):
            literal = self._file.read(int(found[1]))
            if len(literal) < int(found[1]):
                raise ConnectionError("cut within a literal")
            literals.append(literal)
            text += self._line()
        return text.rstrip(b"\r\n"), literals

    def _line(self) -> bytes:
        line = self._file.readline()
        if self._dark.is_set() or not line.endswith(b"\n"):
            raise ConnectionError("cut")
        return line


def numbers(uid_set: bytes) -> list[int]:
    """1:3,7 -> [1, 2, 3, 7]"""
    found: list[int] = []
    for piece in uid_set.split(b","):
        low, _, high = piece.partition(b":")
        found += range(int(low), int(high or low) + 1)
    return found


def uid_set(uids: list[int]) -> bytes:
    return b",".join(b"%d" % uid for uid in uids)
