"""One message on its way in: what MAIL and RCPT said, and what becomes of it after the final dot.

Knows no socket and no aiosmtpd. Every method answers with replies and raises nothing that is expected: an
error of another room becomes the reply that CONTRACT names for its class.
"""

import dataclasses
import time
from typing import Any

import structlog

from mailplat.admin import metrics
from mailplat.core.address import NULL_SENDER, Address
from mailplat.core.envelope import Envelope, Peer, Wish
from mailplat.core.errors import InvalidInput, MailplatError, OverQuota
from mailplat.core.reply import (
    BARE_NEWLINE,
    NO_TLS_FROM_HERE,
    RELAY_DENIED,
    TOO_LARGE,
    UNAVAILABLE,
    UNKNOWN_RECIPIENT,
    Reply,
    over_quota,
)
from mailplat.core.route import Door, Residence, ShardHome
from mailplat.core.spool import Body
from mailplat.directory import Resolution, Target
from mailplat.filtering.mailauth.results import strip
from mailplat.filtering.verdict import ACCEPTED, Action, Transaction
from mailplat.ingress.content import Content, Place, has_bare_ends, reply_for
from mailplat.ingress.rooms import Rooms
from mailplat.ingress.said import MAIL_PARAMETERS, RCPT_PARAMETERS, read_envelope, read_wish
from mailplat.ingress.screen import Known, Screen, looks
from mailplat.ingress.screen import field as verdict_field
from mailplat.ingress.trace import new_id, protocol_name, received_field
from mailplat.wire.mime.binary import encode_binary
from mailplat.wire.smtp.address import format_mailbox, parse_path
from mailplat.wire.smtp.data import ChunkDecoder, DataDecoder
from mailplat.wire.smtp.parameters import UnknownParameter, parse_parameters

log = structlog.get_logger("ingress")

SENDER_OK = Reply(250, "2.1.0", "Sender ok")
RECIPIENT_OK = Reply(250, "2.1.5", "Recipient ok")
NESTED_MAIL = Reply(503, "5.5.1", "MAIL was given already; RSET begins anew")
MAIL_FIRST = Reply(503, "5.5.1", "MAIL comes first")
RCPT_FIRST = Reply(503, "5.5.1", "RCPT comes first: there is no valid recipient")
MAIL_SYNTAX = Reply(501, "5.5.4", "Syntax: MAIL FROM:<address> [parameters]")
RCPT_SYNTAX = Reply(501, "5.5.4", "Syntax: RCPT TO:<address>")
UNKNOWN_PARAMETER = Reply(555, "5.5.4", "A parameter is not known here")
TOO_MANY_RECIPIENTS = Reply(452, "4.5.3", "Too many recipients; send the rest in another transaction")
NEEDS_SMTPUTF8 = Reply(553, "5.6.7", "An address that is not ASCII needs SMTPUTF8")
HEADER_TOO_LARGE = Reply(552, "5.3.4", "Header block is larger than the limit")

NO_BINARY_DATA = Reply(503, "5.5.1", "BODY=BINARYMIME goes with BDAT")
DATA_OR_BDAT = Reply(503, "5.5.1", "A message comes by DATA or by BDAT")
CHUNK_FAILED = Reply(503, "5.5.1", "A chunk was refused; RSET begins anew")
CHUNKS_BEGUN = Reply(503, "5.5.1", "The message has begun; RSET begins anew")
TLS_FIRST = Reply(530, "5.7.10", "REQUIRETLS needs TLS; say STARTTLS first")


class Reception:
    """From MAIL to the reply after the final dot; then a new one begins."""

    def __init__(self, rooms: Rooms, *, lmtp: bool) -> None:
        self._rooms = rooms
        self._lmtp = lmtp
        self._envelope: Envelope | None = None
        self._recipients: list[Address] = []
        self._accounts: list[tuple[int, ...]] = []  # for each recipient, where it leads
        self._targets: dict[int, Target] = {}  # by account: one copy each, however many recipients lead there
        self._wishes: dict[int, Wish] = {}  # the same, of the first recipient that leads there
        self._chunks: Content[ChunkDecoder] | None = None  # BDAT, between two of them
        self._chunk_failed = False
        self._screen: Screen | None = None

    @property
    def begun(self) -> bool:
        return self._envelope is not None

    @property
    def chunked(self) -> bool:
        """Between two chunks of a message."""
        return self._chunks is not None and bool(self._chunks.decoder.size)

    def abandon(self) -> None:
        """Nobody wants what came of it any more. Idempotent."""
        if self._screen is not None:
            self._screen.close()
        chunks, self._chunks = self._chunks, None
        if chunks is not None:
            chunks.body.close()

    def mail(self, argument: bytes, *, esmtp: bool, tls: bool = False) -> Reply:
        """MAIL, `argument` being what follows "MAIL " (RFC 5321 4.1.1.2)."""
        if self._envelope is not None:
            return NESTED_MAIL
        if argument[:5].upper() != b"FROM:":
            return MAIL_SYNTAX
        path = argument[5:].lstrip(b" ")  # RFC 5321 3.3 forbids the space; too many senders have it
        try:
            sender, rest = parse_path(path, utf8=esmtp, null_ok=True)
        except InvalidInput as error:
            return Reply(501, "5.1.7", f"Sender: {error}")
        try:
            given = parse_parameters(rest, MAIL_PARAMETERS if esmtp else ())
            envelope = read_envelope(sender, given)
        except UnknownParameter:
            return UNKNOWN_PARAMETER
        except InvalidInput as error:
            return Reply(501, "5.5.4", str(error))
        if not envelope.utf8 and not path[: len(path) - len(rest)].isascii():
            return NEEDS_SMTPUTF8  # RFC 6531 3.5
        if envelope.require_tls and not tls:
            return TLS_FIRST
        if envelope.declared_size > self._rooms.limits.message_size:
            return TOO_LARGE
        self._envelope = envelope
        return SENDER_OK

    def screen(self, peer: Peer, known: Known) -> None:
        """Behind MAIL: begin to look at who sends. Nobody looks at who logged in, or is trusted."""
        rooms, envelope = self._rooms, self._envelope
        exempt = self._lmtp or peer.account or not peer.address or peer.address in rooms.trusted
        if exempt or envelope is None or not looks(rooms.pipeline):
            return
        now = rooms.clock.now()
        transaction = Transaction(peer, envelope, (), Body.of(b""), rooms.hostname, now)
        self._screen = Screen(rooms.pipeline, transaction, known)

    async def rcpt(self, argument: bytes) -> Reply:
        """RCPT (RFC 5321 4.1.1.3). What the directory does not know is refused here, so that nothing has to
        be bounced later."""
        if self._envelope is None:
            return MAIL_FIRST
        if self._chunks is not None or self._chunk_failed:
            return CHUNKS_BEGUN
        if argument[:3].upper() != b"TO:":
            return RCPT_SYNTAX
        if len(self._recipients) >= self._rooms.limits.recipients:
            return TOO_MANY_RECIPIENTS
        path = argument[3:].lstrip(b" ")
        try:
            address, rest = parse_path(path, utf8=True, null_ok=False)
        except InvalidInput as error:
            return Reply(501, "5.1.3", f"Recipient: {error}")
        if not self._envelope.utf8 and not path[: len(path) - len(rest)].isascii():
            return NEEDS_SMTPUTF8
        try:
            wish = read_wish(parse_parameters(rest, RCPT_PARAMETERS))
        except UnknownParameter:
            return UNKNOWN_PARAMETER
        except InvalidInput as error:
            return Reply(501, "5.5.4", str(error))
        reply, reasons = await self._judge(address)
        if reply is None:
            reply = await self._admit(address, wish)
        if not reply.positive:
            log.info(
                "recipient refused", recipient=format_mailbox(address), reply=str(reply), reasons=reasons
            )
        return reply

    async def _judge(self, address: Address) -> tuple[Reply | None, tuple[str, ...]]:
        """What the pipeline has against sender and recipient."""
        if self._screen is None:
            return None, ()
        verdict = await self._screen.recipient(address)
        return (None if verdict.action is Action.ACCEPT else verdict.reply or UNAVAILABLE), verdict.reasons

    def refuse_data(self) -> Reply | None:
        """Why DATA cannot begin now, None where it can."""
        if self._envelope is None:
            return MAIL_FIRST
        if self._chunks is not None or self._chunk_failed:
            return DATA_OR_BDAT
        if self._envelope.body == "BINARYMIME":
            return NO_BINARY_DATA  # RFC 3030 3
        return None if self._recipients else RCPT_FIRST

    def refuse_chunk(self) -> Reply | None:
        """The same of BDAT. Behind a chunk that was refused come others that were on their way (RFC 3030 2)."""
        if self._chunk_failed:
            return CHUNK_FAILED
        if self._envelope is None:
            return MAIL_FIRST
        return None if self._recipients else RCPT_FIRST

    async def content(self) -> Content[DataDecoder]:
        """Where DATA goes, for one that `refuse_data` does not refuse. Raises Unavailable."""
        rooms = self._rooms
        return Content(await self._places(), DataDecoder(rooms.limits.message_size), rooms.executors)

    async def chunks(self) -> Content[ChunkDecoder]:
        """Where BDAT goes. Raises Unavailable."""
        if self._chunks is None:
            rooms, envelope = self._rooms, self._envelope
            binary = envelope is not None and envelope.body == "BINARYMIME"
            decoder = ChunkDecoder(rooms.limits.message_size, binary=binary)
            self._chunks = Content(await self._places(), decoder, rooms.executors)
        return self._chunks

    def fail_chunks(self) -> None:
        """What was refused is not gone on with."""
        self._chunk_failed = True
        self.abandon()

    def end_chunks(self) -> None:
        """From here on the content is `finish`'s."""
        if self._chunks is not None:
            self._chunks.decoder.end()
        self._chunks = None

    async def _places(self) -> list[Place]:
        """Beside the mail of the first recipient that lives here, else beside the queue."""
        rooms = self._rooms
        homes = [_residence(target) for target in self._targets.values()]
        shards = dict.fromkeys(home.shard for home in homes if home is not None)
        places = [((await rooms.store.opened(name)).tmp, f"spool/{name}") for name in shards]
        if len(shards) != 1 or None in homes:
            places.append((rooms.queue.tmp, "spool"))
        return places

    async def finish(self, content: Content[Any], peer: Peer) -> list[Reply]:
        """Filter, trace, deliver. One reply for SMTP, one for each recipient for LMTP (RFC 2033 4.2). Closes
        the body. Runs to its end whatever became of the client."""
        now = self._rooms.clock.now()
        started = time.perf_counter()
        message_id = new_id(now)
        size = content.body.size
        try:
            reply = content.refusal or await self._decide(content, peer, message_id, now)
        except MailplatError as error:
            log.warning("message not accepted", id=message_id, error=f"{type(error).__name__}: {error}")
            reply = reply_for(error)
        except Exception:
            log.exception("message not accepted: this is a bug", id=message_id)
            reply = UNAVAILABLE
        finally:
            content.body.close()
        replies = self._replies(reply, message_id)
        self._log(replies, message_id, size, peer, time.perf_counter() - started)
        return replies

    async def _admit(self, address: Address, wish: Wish) -> Reply:
        rooms = self._rooms
        bare = not address.domain
        asked = Address(address.local, rooms.hostname) if bare else address  # RFC 5321 4.5.1: <postmaster>
        try:
            resolution = await rooms.executors.run("directory", rooms.directory.resolve, asked)
            if self._nobodys_postmaster(asked, resolution, bare):
                assert rooms.postmaster is not None
                resolution = await rooms.executors.run("directory", rooms.directory.resolve, rooms.postmaster)
            if not resolution.targets:
                return UNKNOWN_RECIPIENT if resolution.known_domain or bare else RELAY_DENIED
            secret = self._envelope is not None and self._envelope.require_tls
            if secret and any(target.route.door is Door.FORWARD for target in resolution.targets):
                return NO_TLS_FROM_HERE
            for target in resolution.targets:
                await self._check_room(target)
        except OverQuota as error:
            return over_quota(error)
        except MailplatError as error:
            log.warning("recipient not looked up", error=str(error))
            return reply_for(error)
        self._recipients.append(address)
        self._accounts.append(tuple(target.account_id for target in resolution.targets))
        for target in resolution.targets:
            self._targets.setdefault(target.account_id, target)
            self._wishes.setdefault(target.account_id, wish)
        return RECIPIENT_OK

    def _nobodys_postmaster(self, address: Address, resolution: Resolution, bare: bool) -> bool:
        """RFC 5321 4.5.1: mail for the postmaster of each domain that we serve is taken."""
        return (
            self._rooms.postmaster is not None
            and not resolution.targets
            and (bare or resolution.known_domain)
            and address.local.casefold() == "postmaster"
        )

    async def _check_room(self, target: Target) -> None:
        """Raises OverQuota where the account or its domain has no room for what MAIL declared, DiskFull or
        Unavailable where its shard has none: refused here it keeps no other recipient from the message."""
        residence = _residence(target)
        if residence is None:
            return
        shard = await self._rooms.store.opened(residence.shard)
        declared = self._envelope.declared_size if self._envelope else 0
        await self._rooms.executors.ask(
            f"store/{residence.shard}", shard.check_room, residence, declared, target.quota
        )

    async def _decide(
        self, content: Content[Any], peer: Peer, message_id: str, now: float
    ) -> Reply | list[Reply]:
        rooms, envelope, body = self._rooms, self._envelope, content.body
        assert envelope is not None
        transaction = Transaction(peer, envelope, tuple(self._recipients), body, rooms.hostname, now)
        if not transaction.header.complete:
            return HEADER_TOO_LARGE
        before = ACCEPTED if self._screen is None else await self._screen.early()
        verdict = await rooms.pipeline.message(transaction, before)
        if verdict.action is not Action.ACCEPT:
            log.info("filtered", id=message_id, score=verdict.score, reasons=verdict.reasons)
            return verdict.reply or UNAVAILABLE
        _remove_forgeries(body, transaction)
        if envelope.body == "BINARYMIME":
            await content.convert(encode_binary)
            body, envelope = content.body, dataclasses.replace(envelope, body="8BITMIME")
            if await rooms.executors.run("spool", has_bare_ends, body):
                return BARE_NEWLINE
        only = self._recipients[0] if len(self._recipients) == 1 else None
        protocol = protocol_name(peer, lmtp=self._lmtp, utf8=envelope.utf8)
        received = received_field(peer, rooms.hostname, protocol, message_id, only, now)
        judged = b"" if self._screen is None else verdict_field(verdict)
        prefix = b"".join(verdict.headers) + judged + received
        targets = tuple(self._targets.values())
        return await rooms.delivery.accept(
            envelope, targets, body, prefix, peer, separately=self._lmtp, wishes=self._wishes
        )

    def _replies(self, outcome: Reply | list[Reply], message_id: str) -> list[Reply]:
        """What the client hears. A list has one reply for each target; a recipient that leads to several
        hears the worst of theirs."""
        each = [outcome] * len(self._targets) if isinstance(outcome, Reply) else list(outcome)
        by_account = dict(zip(self._targets, each, strict=True))
        if self._lmtp:
            heard = [_worst([by_account[account] for account in accounts]) for accounts in self._accounts]
        else:
            heard = [_worst(each)]
        return [_named(reply, message_id) for reply in heard]

    def _log(self, replies: list[Reply], message_id: str, size: int, peer: Peer, seconds: float) -> None:
        envelope = self._envelope
        assert envelope is not None
        protocol = "lmtp" if self._lmtp else "smtp"
        code = min(reply.code for reply in replies)  # one recipient that has it is enough
        outcome = "accepted" if code < 300 else "deferred" if code < 500 else "refused"
        metrics.messages.labels(protocol, outcome).inc()
        metrics.message_seconds.labels(protocol).observe(seconds)
        log.info(
            "message accepted" if any(reply.positive for reply in replies) else "message refused",
            id=message_id,
            peer=peer.address,
            helo=peer.helo,
            tls=bool(peer.tls),
            sender=format_mailbox(envelope.reverse_path) if envelope.reverse_path != NULL_SENDER else "<>",
            recipients=len(self._recipients),
            recipient=format_mailbox(self._recipients[0]),
            size=size,
            reply=str(min(replies, key=lambda reply: reply.positive)),
            seconds=round(seconds, 4),
        )


def _residence(target: Target) -> Residence | None:
    """Where the account lives, if that is here and now."""
    route = target.route
    if route.door is Door.SERVE and isinstance(route.home, ShardHome):
        return Residence(target.account_id, route.home.shard, route.epoch)
    return None


def _remove_forgeries(body: Body, transaction: Transaction) -> None:
    """Fields that claim to be ours (RFC 8601 5). Nothing else of the message is ever altered."""
    block = transaction.header.block
    kept = strip(block, transaction.hostname)
    if kept != block:
        body.replace_head(len(block), kept)


def _worst(replies: list[Reply]) -> Reply:
    """A temporary refusal before a permanent one: the client then keeps the message and tries again."""
    return min(replies, key=lambda reply: (not reply.temporary, not reply.permanent))


def _named(reply: Reply, message_id: str) -> Reply:
    return dataclasses.replace(reply, text=f"{reply.text} ({message_id})") if reply.code == 250 else reply
