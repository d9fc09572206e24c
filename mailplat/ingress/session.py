"""The commands of SMTP (RFC 5321 4.1) and LMTP (RFC 2033). Each takes what follows its verb, as octets."""

import asyncio
import ssl
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import structlog

from mailplat.core.envelope import Peer
from mailplat.core.errors import InvalidInput, MailplatError
from mailplat.core.reply import RELAY_DENIED, UNAVAILABLE, UNKNOWN_RECIPIENT, Reply
from mailplat.filtering.stage import Phase
from mailplat.ingress.conduct import MESSAGE, RELAY
from mailplat.ingress.conduct import UNKNOWN_RECIPIENT as UNKNOWN_POINTS
from mailplat.ingress.connection import Connection
from mailplat.ingress.content import Content, reply_for
from mailplat.ingress.gate import Gate
from mailplat.ingress.inlet import EndOfInput
from mailplat.ingress.reception import Reception
from mailplat.ingress.rooms import Rooms
from mailplat.ingress.screen import Known
from mailplat.ingress.trace import presentable
from mailplat.wire.smtp import xclient
from mailplat.wire.smtp.data import ChunkDecoder, DataDecoder
from mailplat.wire.smtp.parameters import parse_chunk

log = structlog.get_logger("ingress")

# RFC 5321 4.5.3.1.2: what a client calls itself, octets.
MAX_HELO = 255

OK = Reply(250, "2.0.0", "Ok")
BYE = Reply(221, "2.0.0", "Bye")
GO_AHEAD = Reply(354, "", "End data with <CR><LF>.<CR><LF>")
READY_FOR_TLS = Reply(220, "2.0.0", "Ready to start TLS")
NO_TLS = Reply(502, "5.5.1", "STARTTLS is not available")
TLS_ALREADY = Reply(503, "5.5.1", "TLS is already in use")
CANNOT_VRFY = Reply(252, "2.5.0", "Cannot say; send the message and see")
VRFY_SYNTAX = Reply(501, "5.5.4", "Syntax: VRFY address")
NO_EXPN = Reply(502, "5.5.1", "EXPN is not available")
HELP = Reply(214, "2.0.0", "See RFC 5321; ask the postmaster")
NO_ARGUMENT = Reply(501, "5.5.4", "This command takes no argument")
HELO_ARGUMENT = Reply(501, "5.5.4", "Say the name of your host")
HELO_FIRST = Reply(503, "5.5.1", "Say hello first")
DATA_TIMEOUT = Reply(421, "4.4.2", "Timeout waiting for data, closing")

NOT_A_FRONT = Reply(550, "5.7.0", "XCLIENT is not for you")
NESTED_XCLIENT = Reply(503, "5.5.1", "A message has begun; RSET comes first")

# Replies to RCPT that tell something of who asks.
_POINTS = {UNKNOWN_RECIPIENT: UNKNOWN_POINTS, RELAY_DENIED: RELAY}

# What a correct client never hears (RFC 5321 4.2.3).
_MISTAKES = frozenset({501, 503, 555})


class Session(Connection):
    """Made by SmtpServer for each connection. `tls` offers STARTTLS; over an SSL transport it does not."""

    def __init__(self, gate: Gate, rooms: Rooms, *, lmtp: bool, tls: ssl.SSLContext | None) -> None:
        super().__init__(gate, rooms, lmtp=lmtp, tls=tls)
        for verb in ("AUTH", "HELO", "EHLO") if lmtp else ("AUTH", "LHLO"):
            self._smtp_methods.pop(verb)
        self._until: float | None = None  # when the message that comes by BDAT must be here
        self._said = xclient.Client()
        self._known: Known = {}  # what was said of who connected

    def _answer(self, reply: Reply) -> None:
        if reply.code in _MISTAKES:
            self.refuse(reply)
        else:
            self.say(reply)

    async def smtp_HELO(self, argument: bytes) -> None:
        if self._hello(argument, esmtp=False):
            self.say(Reply(250, "", self.hostname))

    async def smtp_EHLO(self, argument: bytes) -> None:
        if not self._hello(argument, esmtp=True):
            return
        lines = [
            self.hostname,
            "PIPELINING",
            f"SIZE {self.limits.message_size}",
            "8BITMIME",
            "SMTPUTF8",
            "ENHANCEDSTATUSCODES",
            "CHUNKING",
            "BINARYMIME",
            "DSN",
            f"LIMITS RCPTMAX={self.limits.recipients}",  # RFC 9422
        ]
        if self.peer.tls:
            lines.append("REQUIRETLS")  # RFC 8689 2: never in clear
        if self.is_front:
            lines.append(f"XCLIENT {xclient.OFFERED}")
        if self.tls_context is not None and not self.peer.tls:
            lines.append("STARTTLS")
        lines.append("HELP")
        self._out += "".join(f"250-{line}\r\n" for line in lines[:-1]).encode("ascii")
        self.say(Reply(250, "", lines[-1]))

    async def smtp_LHLO(self, argument: bytes) -> None:
        await self.smtp_EHLO(argument)

    def _hello(self, argument: bytes, *, esmtp: bool) -> bool:
        # RFC 5321 4.1.4: a name that does not verify is no reason to refuse. It is kept printable, for logs.
        if not argument:
            self.refuse(HELO_ARGUMENT)
            return False
        self._set_rset_state()
        self._known.pop(Phase.HELO, None)
        said = self._said  # by a front, which greets in its own name
        helo = said.helo.encode() if said.helo else argument
        known = esmtp if said.esmtp is None else said.esmtp
        self.peer = replace(self.peer, helo=presentable(helo, MAX_HELO), esmtp=known)
        return True

    async def smtp_MAIL(self, argument: bytes) -> None:
        if not self.peer.helo:
            self.refuse(HELO_FIRST)
            return
        reply = self.reception.mail(argument, esmtp=self.peer.esmtp, tls=bool(self.peer.tls))
        if reply.positive:
            self.reception.screen(self.peer, self._known)
        self._answer(reply)

    async def smtp_RCPT(self, argument: bytes) -> None:
        reply = await self.reception.rcpt(argument)
        self._points += _POINTS.get(reply, 0.0)
        self._answer(reply)

    async def smtp_DATA(self, argument: bytes) -> None:
        refusal = NO_ARGUMENT if argument else self.reception.refuse_data()
        if refusal is not None:
            self.refuse(refusal)
            return
        try:
            content = await self.reception.content()
        except MailplatError as error:
            log.warning("no place for a message", error=str(error))
            self._answer(reply_for(error))
            return
        try:
            self.say(GO_AHEAD)
            await self.flush()
            await self._receive(content)
        except BaseException:
            content.body.close()
            raise
        await self._finish(content)

    async def _finish(self, content: Content[Any]) -> None:
        # From here on a client that vanishes changes nothing: the task is the server's, not the connection's.
        storing = self.gate.keep(self.reception.finish(content, self.peer))
        self.reception = Reception(self.rooms, lmtp=self.lmtp)
        replies = await asyncio.shield(storing)
        if any(reply.positive for reply in replies):
            self.errors = 0
            self._points += MESSAGE
        self.say(*replies)

    async def _receive(self, content: Content[DataDecoder]) -> None:
        end = self.loop.time() + self.limits.data_total
        while not content.decoder.finished:
            with self._patient(end):
                chunk = await self.inlet.chunk()
            await content.feed(chunk)
        self.inlet.push_back(content.decoder.rest)

    def _patient(self, end: float) -> AbstractContextManager[None]:
        """Raises EndOfInput for a message that came too slowly, though each piece of it was here in time."""
        left = end - self.loop.time()
        if left <= 0:
            self._close_with(DATA_TIMEOUT)
            raise EndOfInput
        return self.patience(min(self.limits.data_timeout, left), DATA_TIMEOUT)

    async def smtp_BDAT(self, argument: bytes) -> None:  # RFC 3030 2
        try:
            size, last = parse_chunk(argument)
        except InvalidInput as error:
            # How long the chunk is nobody knows, and nothing in it is a command.
            self.refuse(Reply(501, "5.5.4", f"{error}; closing"))
            self.leaving = True
            return
        refusal = self.reception.refuse_chunk()
        content = None
        if refusal is None:
            try:
                content = await self.reception.chunks()
            except MailplatError as error:
                log.warning("no place for a message", error=str(error))
                refusal = reply_for(error)
                self.reception.fail_chunks()
        await self._receive_chunk(content, size)
        if content is None or refusal is not None:
            self._answer(refusal or UNAVAILABLE)
        elif last:
            self.reception.end_chunks()
            await self._finish(content)
        elif content.refusal is not None:
            refused = content.refusal
            self.reception.fail_chunks()
            self._answer(refused)
        else:
            self.say(Reply(250, "2.0.0", f"{size} octets received"))

    async def _receive_chunk(self, content: Content[ChunkDecoder] | None, size: int) -> None:
        """All of it is taken off the wire, also what nobody wants."""
        if self._until is None or not self.reception.chunked:
            self._until = self.loop.time() + self.limits.data_total
        while size:
            with self._patient(self._until):
                octets = await self.inlet.up_to(size)
            size -= len(octets)
            if content is not None:
                await content.feed(octets)

    @property
    def is_front(self) -> bool:
        """Whether the other end is a mail server that may say whose mail it hands on."""
        return self.connected in self.rooms.fronts and not self.proxied  # else its clients could

    async def smtp_XCLIENT(self, argument: bytes) -> None:
        if not self.is_front:
            self.refuse(NOT_A_FRONT)
            return
        if self.reception.begun:
            self.refuse(NESTED_XCLIENT)
            return
        try:
            said = xclient.parse(argument)
        except InvalidInput as error:
            self.refuse(Reply(501, "5.5.4", str(error)))
            return
        address = self.peer.address if said.address is None else said.address
        refusal = self.count(address)
        if refusal is not None:
            self.say(refusal)
            self.leaving = True
            return
        self._said = said
        self._known.clear()
        self.peer = Peer(
            address,
            self.peer.port if said.port is None else said.port,
            "" if said.helo is None else presentable(said.helo.encode(), MAX_HELO),
            self.peer.esmtp if said.esmtp is None else said.esmtp,
            self.peer.tls,
            said.login or "",
        )
        self._set_rset_state()
        self.greet()

    async def smtp_RSET(self, argument: bytes) -> None:
        if argument:
            self.refuse(NO_ARGUMENT)
            return
        self._set_rset_state()
        self.say(OK)

    async def smtp_NOOP(self, _argument: bytes) -> None:
        self.say(OK)

    async def smtp_HELP(self, _argument: bytes) -> None:
        self.say(HELP)

    async def smtp_VRFY(self, argument: bytes) -> None:
        # RFC 5321 7.3: answering truly would tell spammers who is here.
        self._answer(CANNOT_VRFY if argument else VRFY_SYNTAX)

    async def smtp_EXPN(self, _argument: bytes) -> None:  # type: ignore[override]
        self.refuse(NO_EXPN)

    async def smtp_QUIT(self, argument: bytes) -> None:
        if argument:
            self.refuse(NO_ARGUMENT)
            return
        self.say(BYE)
        self.leaving = True

    async def smtp_STARTTLS(self, argument: bytes) -> None:  # RFC 3207
        context = self.tls_context
        if argument or context is None or self.peer.tls:
            self.refuse(NO_ARGUMENT if argument else TLS_ALREADY if self.peer.tls else NO_TLS)
            return
        self.say(READY_FOR_TLS)
        await self.flush()
        await self.start_tls(context)
