"""One SMTP or LMTP session from the client's side (RFC 5321, RFC 2033): one message at a time."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from mailplat.core.address import Address
from mailplat.core.envelope import NO_WISH, Envelope, Wish
from mailplat.core.outcome import Outcome
from mailplat.core.reply import Reply
from mailplat.delivery.encoding import DataEncoder
from mailplat.wire.smtp.address import format_path, needs_utf8

# RFC 5321 4.5.3.1.5 says 512 octets; some servers say more. Longer than this is not SMTP.
MAX_REPLY_LINE = 4096
# An EHLO answer has a dozen lines. More than this is an attack on our memory.
MAX_REPLY_LINES = 200
# What we keep of a remote's text (one Reply line).
MAX_REPLY_TEXT = 400

_LINE = re.compile(rb"([2-5][0-9][0-9])([ -]|$)(.*)", re.S)
_STATUS = re.compile(r"([245]\.[0-9]{1,3}\.[0-9]{1,3})(?: |$)")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds for each phase: RFC 5321 4.5.3.2, which asks for these as the least."""

    connect: float = 30.0  # not in the RFC: a host that is up answers at once
    greeting: float = 300.0
    hello: float = 300.0
    mail: float = 300.0
    rcpt: float = 300.0
    data: float = 120.0
    block: float = 180.0
    final: float = 600.0
    quit: float = 5.0  # nobody waits for it


@dataclass(frozen=True, slots=True)
class Load:
    """One message for one transaction. `wishes` are the recipients', in their order, or none; `size` in octets."""

    envelope: Envelope
    recipients: Sequence[Address]
    wishes: Sequence[Wish]
    size: int


class Interrupted(Exception):
    """The session ended before it should: `reply` is temporary and says where."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(str(reply))
        self.reply = reply


class Dialogue:
    """Made by `open_dialogue`. After a message, `usable` says whether another may follow."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        remote: str,
        *,
        lmtp: bool,
        timeouts: Timeouts,
    ) -> None:
        self.remote = remote
        self.usable = True
        self.lost_early = False  # the last message got no answer but, at most, a 421 to MAIL
        self.messages = 0
        self.extensions: dict[str, str] = {}  # EHLO keyword, upper case -> its parameters
        self._reader = reader
        self._writer = writer
        self._lmtp = lmtp
        self._timeouts = timeouts

    async def greet(self, hostname: str) -> None:
        """Greeting and EHLO or LHLO. Raises Interrupted, also for a refusal: another try may fare better."""
        reply, _ = await self._reply("greeting", self._timeouts.greeting)
        if reply.code != 220:
            raise Interrupted(_temporary(reply))
        reply, lines = await self._hello("LHLO" if self._lmtp else "EHLO", hostname)
        if not reply.positive and not self._lmtp and reply.permanent:
            reply, lines = await self._hello("HELO", hostname)  # RFC 5321 3.2
        if not reply.positive:
            raise Interrupted(_temporary(reply))
        for line in lines[1:]:
            keyword, _, parameters = line.partition(" ")
            self.extensions[keyword.upper()] = parameters

    async def send(
        self, load: Load, octets: AsyncIterator[bytes], commit: Callable[[], None]
    ) -> list[Outcome]:
        """One message; an outcome for each recipient, in order. `commit` is called right before the final dot
        and may raise to stop there; nothing was sent then as far as the remote is concerned. Every failure of
        the session is a temporary outcome; `usable` is then False."""
        recipients = load.recipients
        refusal = self._unable(load)
        if refusal is not None:
            return [Outcome.from_reply(refusal)] * len(recipients)
        self.messages += 1
        self.lost_early = True
        replies: list[Reply | None] = [None] * len(recipients)
        try:
            accepted = await self._open_transaction(load, replies)
            if accepted:
                await self._send_octets(octets, commit)
                await self._close_transaction(accepted, replies)
            elif self.usable:
                await self._command("RSET", "RSET", self._timeouts.mail)
        except Interrupted as error:
            self.abort()
            replies = [reply or error.reply for reply in replies]
        except BaseException:
            self.abort()
            raise
        told = "DSN" in self.extensions
        return [
            Outcome.from_reply(reply, self.remote, passed_on=told) for reply in replies if reply is not None
        ]

    async def quit(self) -> None:
        """Polite end; a remote that does not answer is left."""
        if self.usable:
            self.usable = False
            with contextlib.suppress(Interrupted):
                await self._command("QUIT", "QUIT", self._timeouts.quit)
        self.abort()

    def abort(self) -> None:
        """Drop the connection now."""
        self.usable = False
        self._writer.transport.abort()

    @property
    def closed_by_remote(self) -> bool:
        """True where an idle connection is known to be dead."""
        return self._reader.at_eof() or self._writer.is_closing()

    # -- transaction

    def _unable(self, load: Load) -> Reply | None:
        """What can be refused without asking (RFC 1870 6.3, RFC 6531 3.2)."""
        limit = self.extensions.get("SIZE", "").strip()
        if limit.isdigit() and 0 < int(limit) < load.size:
            return Reply(552, "5.3.4", f"Message of {load.size} octets is larger than {self.remote} takes")
        addresses = [load.envelope.reverse_path, *load.recipients]
        if "SMTPUTF8" not in self.extensions and any(needs_utf8(address) for address in addresses):
            return Reply(553, "5.6.7", f"{self.remote} takes no addresses with other than ASCII characters")
        return None

    def _mail(self, load: Load) -> str:
        parameters, envelope = "", load.envelope
        if "SIZE" in self.extensions:
            parameters += f" SIZE={load.size}"
        # Without 8BITMIME it is sent as it is: next hops here are platforms of the same house, and the message
        # must not change (RFC 6152 3 would have us re-encode it).
        if envelope.body == "8BITMIME" and "8BITMIME" in self.extensions:
            parameters += " BODY=8BITMIME"
        if envelope.utf8 and "SMTPUTF8" in self.extensions:
            parameters += " SMTPUTF8"
        if "DSN" in self.extensions:  # RFC 3461 5.2.1: as it was said to us
            parameters += f" RET={envelope.ret}" if envelope.ret else ""
            parameters += f" ENVID={envelope.envid}" if envelope.envid else ""
        return f"MAIL FROM:{format_path(envelope.reverse_path)}{parameters}"

    def _rcpts(self, load: Load) -> list[str]:
        wishes = load.wishes or [NO_WISH] * len(load.recipients)
        if "DSN" not in self.extensions:
            wishes = [NO_WISH] * len(load.recipients)
        commands = []
        for recipient, wish in zip(load.recipients, wishes, strict=True):
            parameters = f" NOTIFY={wish.notify}" if wish.notify else ""
            parameters += f" ORCPT={wish.orcpt}" if wish.orcpt else ""
            commands.append(f"RCPT TO:{format_path(recipient)}{parameters}")
        return commands

    async def _open_transaction(self, load: Load, replies: list[Reply | None]) -> list[int]:
        """MAIL, RCPT, DATA. Fills in refusals; the indices of recipients that the octets are for. Pipelined
        where offered (RFC 2920 3.1), else step by step."""
        recipients = load.recipients
        commands = [self._mail(load), *self._rcpts(load), "DATA"]
        pipelined = "PIPELINING" in self.extensions
        if pipelined:
            await self._write("".join(f"{command}\r\n" for command in commands).encode(), "MAIL")
        mail = await self._next(commands[0], "MAIL", self._timeouts.mail, pipelined)
        self.lost_early = False
        if not mail.positive:
            replies[:] = [mail] * len(recipients)
        accepted = []
        if mail.positive or pipelined:
            for index in range(len(recipients)):
                reply = await self._next(commands[index + 1], "RCPT", self._timeouts.rcpt, pipelined)
                if not mail.positive:
                    continue
                if reply.positive:
                    accepted.append(index)
                else:
                    replies[index] = reply
        if not accepted and not pipelined:
            return []
        data = await self._next("DATA", "DATA", self._timeouts.data, pipelined)
        if data.code == 354:
            if not accepted:  # RFC 2920 3.1: it wants octets that nobody gets
                await self._discard()
            return accepted
        for index in accepted:
            replies[index] = data if not data.positive else _temporary(data)
        return []

    async def _next(self, command: str, phase: str, timeout: float, pipelined: bool) -> Reply:
        if not pipelined:
            await self._write(f"{command}\r\n".encode(), phase)
        reply, _ = await self._reply(phase, timeout)
        if reply.code == 421:  # RFC 5321 3.8: it closes; what follows would be the same words again
            raise Interrupted(reply)
        return reply

    async def _discard(self) -> None:
        if self._lmtp:  # no recipient, so there is no reply to the dot: begin anew on another connection
            self.usable = False
            return
        await self._write(b".\r\n", "DATA")
        await self._reply("end of data", self._timeouts.final)

    async def _send_octets(self, octets: AsyncIterator[bytes], commit: Callable[[], None]) -> None:
        encoder = DataEncoder()
        async for chunk in octets:
            await self._write(encoder.feed(chunk), "message", self._timeouts.block)
        commit()
        await self._write(encoder.finish(), "end of data", self._timeouts.block)

    async def _close_transaction(self, accepted: Sequence[int], replies: list[Reply | None]) -> None:
        """RFC 2033 4.2: LMTP answers once for each accepted recipient, SMTP once for all."""
        reply: Reply | None = None
        for index in accepted:
            if reply is None or self._lmtp:
                reply, _ = await self._reply("end of data", self._timeouts.final)
            replies[index] = reply if reply.code < 300 or not reply.positive else _temporary(reply)
        if reply is not None and reply.code == 421:
            self.abort()

    # -- lines

    async def _hello(self, verb: str, hostname: str) -> tuple[Reply, list[str]]:
        await self._write(f"{verb} {hostname}\r\n".encode(), verb)
        return await self._reply(verb, self._timeouts.hello)

    async def _command(self, command: str, phase: str, timeout: float) -> Reply:
        await self._write(f"{command}\r\n".encode(), phase)
        reply, _ = await self._reply(phase, timeout)
        return reply

    async def _write(self, octets: bytes, phase: str, timeout: float | None = None) -> None:
        self._writer.write(octets)
        try:
            async with asyncio.timeout(timeout or self._timeouts.block):
                await self._writer.drain()
        except TimeoutError as error:
            raise Interrupted(_lost(f"{self.remote} stopped reading at {phase}")) from error
        except OSError as error:
            raise Interrupted(_lost(f"connection to {self.remote} lost at {phase}")) from error

    async def _reply(self, phase: str, timeout: float) -> tuple[Reply, list[str]]:
        """One reply and its lines' texts. Raises Interrupted."""
        try:
            async with asyncio.timeout(timeout):
                code, lines = await self._read_lines(phase)
        except TimeoutError as error:
            raise Interrupted(_lost(f"{self.remote} did not answer {phase} in {timeout:g} s")) from error
        except (OSError, asyncio.IncompleteReadError) as error:
            raise Interrupted(_lost(f"connection to {self.remote} lost at {phase}")) from error
        except asyncio.LimitOverrunError as error:
            raise Interrupted(_lost(f"{self.remote} does not speak SMTP at {phase}")) from error
        return _parse(code, lines), lines

    async def _read_lines(self, phase: str) -> tuple[int, list[str]]:
        lines: list[str] = []
        while len(lines) < MAX_REPLY_LINES:
            raw = (await self._reader.readuntil(b"\n")).rstrip(b"\r\n")
            match = _LINE.fullmatch(raw)
            if match is None:
                break
            lines.append("".join(chr(octet) if 32 <= octet < 127 else "?" for octet in match[3]))
            if match[2] != b"-":
                return int(match[1]), lines
        raise Interrupted(_lost(f"{self.remote} does not speak SMTP at {phase}"))


async def open_dialogue(
    host: str, port: int, hostname: str, *, lmtp: bool, timeouts: Timeouts | None = None
) -> Dialogue:
    """Connect and greet. Raises Interrupted."""
    timeouts = timeouts or Timeouts()
    remote = f"{host}:{port}"
    try:
        async with asyncio.timeout(timeouts.connect):
            reader, writer = await asyncio.open_connection(host, port, limit=MAX_REPLY_LINE)
    except TimeoutError as error:
        raise Interrupted(_lost(f"{remote} did not accept a connection in {timeouts.connect:g} s")) from error
    except OSError as error:
        raise Interrupted(Reply(451, "4.4.1", f"cannot connect to {remote}: {error.strerror}")) from error
    dialogue = Dialogue(reader, writer, remote, lmtp=lmtp, timeouts=timeouts)
    try:
        await dialogue.greet(hostname)
    except BaseException:
        dialogue.abort()
        raise
    return dialogue


def _parse(code: int, lines: Sequence[str]) -> Reply:
    """An enhanced status code (RFC 2034 4) only where its class is the reply's; else the class alone."""
    texts = []
    status = ""
    for line in lines:
        match = _STATUS.match(line)
        if match and match[1][0] == str(code)[0]:
            status = status or match[1]
            line = line[match.end() :]
        texts.append(line)
    default = "" if code // 100 == 3 else f"{code // 100}.0.0"
    return Reply(code, status or default, " ".join(texts).strip()[:MAX_REPLY_TEXT])


def _lost(text: str) -> Reply:
    return Reply(451, "4.4.2", text)


def _temporary(reply: Reply) -> Reply:
    """A refusal that is not about a recipient, or a reply that makes no sense here: try again later."""
    return reply if reply.temporary else Reply(451, "4.3.0", f"it said {reply}"[:MAX_REPLY_TEXT])
