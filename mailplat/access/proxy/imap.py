"""Log in at an IMAP backend as the client would (RFC 3501 6.2)."""

import re
from asyncio import StreamReader, StreamWriter

from mailplat.access.login import AuthenticationFailed, Forward
from mailplat.access.proxy.upstream import Upstream, logging_in, read_line, start_tls
from mailplat.core.errors import Unavailable

# RFC 5530 3: a NO with one of these says that the server is at fault and not the password.
_SERVER_AT_FAULT = (b"[UNAVAILABLE]", b"[INUSE]", b"[LIMIT]", b"[SERVERBUG]", b"[CONTACTADMIN]")


_KNOWS_ID = re.compile(rb"\[CAPABILITY [^\]]*\bID\b", re.IGNORECASE)


async def connect_imap(granted: Forward) -> Upstream:
    """`Upstream.text` has the backend's capabilities as response code, since those that the client saw were ours.
    Raises AuthenticationFailed, Unavailable, and StaleEpoch when the account has moved meanwhile."""
    backend = granted.backend
    if "\0" in granted.name + granted.password:  # no literal may have it
        raise AuthenticationFailed("a NUL in name or password")
    async with logging_in(backend.imap, backend.imap_tls, granted) as (reader, writer):
        dialogue = _Dialogue(reader, writer, backend.name)
        greeting = await dialogue.greeting()
        if backend.imap_tls == "starttls":
            if not (await dialogue.command(b"STARTTLS")).upper().startswith(b"OK"):
                raise Unavailable(f"backend {backend.name} refused STARTTLS")
            await start_tls(writer, backend.imap)
        if _KNOWS_ID.search(greeting) and granted.peer.address:
            # RFC 2971. Whose client it is: for the backend's log, and so that one who guesses passwords slows down
            # himself and not everybody behind this proxy. Dovecot believes it of login_trusted_networks only.
            await dialogue.command(
                b'ID ("x-originating-ip" "%b" "x-originating-port" "%d")'
                % (granted.peer.address.encode("ascii"), granted.peer.port)
            )
        text = _judge(await dialogue.login(granted.name, granted.password), backend.name)
        if not text.startswith(b"["):
            text = b"[CAPABILITY %b] %b" % (await dialogue.capabilities(), text)
        ending = await granted.sessions.enter(granted.account.id, backend.name)
    return Upstream(reader, writer, ending, granted, text, imap=True)


class _Dialogue:
    """One command after the other, each with a tag of its own."""

    def __init__(self, reader: StreamReader, writer: StreamWriter, backend: str) -> None:
        self._reader = reader
        self._writer = writer
        self._backend = backend
        self._number = 0
        self._capabilities = b""  # the last that the backend said by itself

    async def greeting(self) -> bytes:
        line = await read_line(self._reader)
        if not line.upper().startswith(b"* OK"):
            raise Unavailable(f"backend {self._backend} greeted with {line[:80]!r}")
        return line

    async def command(self, text: bytes) -> bytes:
        """What stands behind the tag of its reply."""
        self._number += 1
        self._writer.write(b"m%d %b\r\n" % (self._number, text))
        return await self._tagged() or b""

    async def login(self, name: str, password: str) -> bytes:
        """LOGIN with literals: nothing in a name or a password then needs quoting (RFC 3501 6.2.3)."""
        self._number += 1
        self._capabilities = b""
        octets, secret = name.encode(), password.encode()
        self._writer.write(b"m%d LOGIN {%d}\r\n" % (self._number, len(octets)))
        for piece in (octets + b" {%d}\r\n" % len(secret), secret + b"\r\n"):
            reply = await self._tagged(or_prompt=True)
            if reply is not None:
                return reply
            self._writer.write(piece)
        return await self._tagged() or b""

    async def capabilities(self) -> bytes:
        """Of the state after the login."""
        if not self._capabilities and not (await self.command(b"CAPABILITY")).upper().startswith(b"OK"):
            raise Unavailable(f"backend {self._backend} does not say its capabilities")
        return self._capabilities or b"IMAP4rev1"

    async def _tagged(self, *, or_prompt: bool = False) -> bytes | None:
        """None for a prompt for the next literal."""
        tag = b"m%d " % self._number
        while not (line := await read_line(self._reader)).startswith(tag):
            upper = line.upper()
            if or_prompt and line.startswith(b"+"):
                return None
            if upper.startswith(b"* BYE"):
                raise Unavailable(f"backend {self._backend} said {line[:120]!r}")
            if upper.startswith(b"* CAPABILITY "):
                self._capabilities = line[len(b"* CAPABILITY ") :].strip()
        return line[len(tag) :].rstrip(b"\r\n")


def _judge(reply: bytes, backend: str) -> bytes:
    status, _, text = reply.partition(b" ")
    if status.upper() == b"OK":
        return text
    if any(code in reply.upper() for code in _SERVER_AT_FAULT):
        raise Unavailable(f"backend {backend} cannot take the login now: {reply[:120]!r}")
    raise AuthenticationFailed(f"backend {backend} refused the login")
