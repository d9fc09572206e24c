"""Log in at a POP3 backend as the client would (RFC 1939 7)."""

import asyncio
from asyncio import StreamReader

from mailplat.access.login import AuthenticationFailed, Forward, MaildropInUse
from mailplat.access.proxy.upstream import Upstream, logging_in, read_line, start_tls
from mailplat.core.errors import Unavailable
from mailplat.core.route import RouteState

# An account whose mail is copied over POP3 is locked by us for seconds at a time (migration/sources/pop3_account.py):
# its owner's login is tried again until we have left. Somebody else's session it is refused for a little later.
IN_USE_PATIENCE_S = 12.0
IN_USE_EVERY_S = 0.5
_BEING_COPIED = frozenset({RouteState.SEEDING, RouteState.TRACKING, RouteState.READY})


async def connect_pop3(granted: Forward, *, utf8: bool = False) -> Upstream:
    """`utf8`: the client asked for UTF-8 mode (RFC 6856), and gets it where the backend knows it. Raises
    AuthenticationFailed, MaildropInUse, Unavailable, and StaleEpoch when the account has moved meanwhile."""
    loop = asyncio.get_running_loop()
    until = loop.time() + IN_USE_PATIENCE_S
    while True:
        try:
            return await _connect(granted, utf8)
        except MaildropInUse:
            may_be_us = granted.route.state in _BEING_COPIED and not granted.backend.imap
            if not may_be_us or loop.time() >= until:
                raise
        await asyncio.sleep(IN_USE_EVERY_S)


async def _connect(granted: Forward, utf8: bool) -> Upstream:
    backend = granted.backend
    if any(octet in granted.name + granted.password for octet in "\r\n\0"):
        raise AuthenticationFailed("a line end or NUL in name or password")
    async with logging_in(backend.pop3, backend.pop3_tls, granted) as (reader, writer):
        greeting = await _agreed(reader, backend.name, "greeting")
        if backend.pop3_tls == "starttls":
            writer.write(b"STLS\r\n")
            await _agreed(reader, backend.name, "STLS")
            await start_tls(writer, backend.pop3)
        if b"[XCLIENT]" in greeting and granted.peer.address:  # Dovecot's; why: see the ID of imap.py
            writer.write(
                b"XCLIENT ADDR=%b PORT=%d\r\n" % (granted.peer.address.encode("ascii"), granted.peer.port)
            )
            await read_line(reader)
        if utf8:
            writer.write(b"UTF8\r\n")
            await read_line(reader)
        writer.write(b"USER %b\r\n" % granted.name.encode())
        await _judged(reader, backend.name)
        writer.write(b"PASS %b\r\n" % granted.password.encode())
        text = await _judged(reader, backend.name)
        ending = await granted.sessions.enter(granted.account.id, backend.name)
    return Upstream(reader, writer, ending, granted, text, imap=False)


async def _agreed(reader: StreamReader, backend: str, what: str) -> bytes:
    line = await read_line(reader)
    if not line.startswith(b"+OK"):
        raise Unavailable(f"backend {backend}: {what} was answered with {line[:80]!r}")
    return line


async def _judged(reader: StreamReader, backend: str) -> bytes:
    line = (await read_line(reader)).rstrip(b"\r\n")
    if line.startswith(b"+OK"):
        return line[3:].strip()
    upper = line.upper()
    if b"[IN-USE]" in upper:  # RFC 2449 8.1.2
        raise MaildropInUse(f"backend {backend}: another session has the maildrop")
    if b"[SYS/" in upper or b"[LOGIN-DELAY]" in upper:  # RFC 3206 4, RFC 2449 8.1.1
        raise Unavailable(f"backend {backend} cannot take the login now: {line[:120]!r}")
    raise AuthenticationFailed(f"backend {backend} refused the login")
