"""The commands of SMTP (RFC 5321 4.1) and LMTP (RFC 2033). Each takes what follows its verb, as octets."""

import asyncio
import ssl

import structlog

from mailplat.core.envelope import Peer
from mailplat.core.errors import MailplatError
from mailplat.core.reply import Reply
from mailplat.ingress.connection import Connection, Gate
from mailplat.ingress.content import Content, reply_for
from mailplat.ingress.reception import Reception, Rooms
from mailplat.ingress.trace import presentable

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

# What a correct client never hears (RFC 5321 4.2.3).
_MISTAKES = frozenset({501, 503, 555})


class Session(Connection):
    """Made by SmtpServer for each connection. `tls` offers STARTTLS; over an SSL transport it does not."""

    def __init__(self, gate: Gate, rooms: Rooms, *, lmtp: bool, tls: ssl.SSLContext | None) -> None:
        super().__init__(gate, rooms, lmtp=lmtp, tls=tls)
        for verb in ("AUTH", "HELO", "EHLO") if lmtp else ("AUTH", "LHLO"):
            self._smtp_methods.pop(verb)

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
        ]
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
        helo = presentable(argument, MAX_HELO)
        self.peer = Peer(self.peer.address, self.peer.port, helo, esmtp, self.peer.tls)
        return True

    async def smtp_MAIL(self, argument: bytes) -> None:
        if not self.peer.helo:
            self.refuse(HELO_FIRST)
            return
        self._answer(self.reception.mail(argument, esmtp=self.peer.esmtp))

    async def smtp_RCPT(self, argument: bytes) -> None:
        self._answer(await self.reception.rcpt(argument))

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
        # From here on a client that vanishes changes nothing: the task is the server's, not the connection's.
        storing = self.gate.keep(self.reception.finish(content, self.peer))
        self.reception = Reception(self.rooms, lmtp=self.lmtp)
        replies = await asyncio.shield(storing)
        if any(reply.positive for reply in replies):
            self.errors = 0
        self.say(*replies)

    async def _receive(self, content: Content) -> None:
        end = self.loop.time() + self.limits.data_total
        while not content.finished:
            left = min(self.limits.data_timeout, end - self.loop.time())
            with self.patience(left, DATA_TIMEOUT):
                chunk = await self.inlet.chunk()
            await content.feed(chunk)
        self.inlet.push_back(content.rest)

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
