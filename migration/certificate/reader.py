"""The account as its user reads it: over our own IMAP listener, with EXAMINE, nothing of the store's own functions.

The login is a pass for this one connection (directory/reading_passes.py). At most 256 messages are asked for at a
time and each is hashed as it comes: memory does not grow with the mailbox.
"""

import hashlib
import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mailplat.app.wiring import Platform
from mailplat.core.errors import Unavailable
from mailplat.core.spool import Body
from mailplat.directory.reading_passes import ReadingPasses
from migration.certificate.digests import sha256_of
from migration.errors import Misbehaviour
from migration.sources import replies, tls
from migration.sources.contract import BATCH_MESSAGES, Listed, SourceMailbox, Status, Survey
from migration.sources.imap import Client, command
from migration.sources.imap_account import ImapAccount


@dataclass(frozen=True, slots=True)
class Reread:
    """A message as it came."""

    uid: int
    flags: tuple[str, ...]
    modseq: int
    internaldate: int
    zone: int
    size: int
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Opened:
    status: Status
    vanished: tuple[tuple[int, int], ...]  # ranges of UIDs that were expunged since (RFC 7162 3.2.10)


class UserReader(ImapAccount):
    """Log in with `enter`, close() it."""

    @classmethod
    async def enter(
        cls, platform: Platform, account_id: int, address: str, spool: Path, who: str
    ) -> "UserReader":
        """Raises Unavailable, Throttled, Misbehaviour."""
        host, port, secured = _listener(platform)
        limits = platform.settings.migration.sources
        reader = cls(Client(host, port, spool, tls.context() if secured else None, limits))
        try:
            await reader._greeted(secured)
            client = reader._client.protocol.transport.get_extra_info("sockname")
            issue = ReadingPasses(platform.database, platform.clock).issue
            secret = await platform.executors.run(
                "migration", partial(issue, account_id, address, who, client[0], client[1])
            )
            done = await reader._client.run(*command(b"LOGIN", address.encode(), secret.encode()))
            await reader._learn(done.text)
            if b"QRESYNC" not in reader.capabilities:
                raise Misbehaviour("our own IMAP server does not offer QRESYNC")
            await reader._client.run(b"ENABLE QRESYNC")
        except BaseException as error:
            reader._client.abort()
            if isinstance(error, OSError | TimeoutError | ssl.SSLError):
                raise Unavailable(f"our IMAP server at {host}:{port}: {error}") from error
            raise
        return reader

    async def _greeted(self, secured: bool) -> None:
        greeting = await self._client.greeting()
        if not greeting[:5].upper().startswith(b"* OK"):
            raise Unavailable(f"our IMAP server greeted with {greeting[:200]!r}")
        await self._learn(greeting)
        if not secured and b"STARTTLS" in self.capabilities:
            await self._client.start_tls(tls.context())
            await self._learn(b"")
        if b"LOGINDISABLED" in self.capabilities:
            raise Unavailable("our IMAP server allows no LOGIN without TLS, and offers no TLS")

    async def own(self, shared_prefix: str) -> Survey:
        """Without what others share with the user, which LIST names below `shared_prefix` ("": nothing is shared)."""
        found = await self.survey()
        if not shared_prefix:
            return found
        mine = tuple(each for each in found.mailboxes if not each.name.startswith(shared_prefix))
        return Survey(mine, found.subscriptions, found.statuses)

    async def open(  # type: ignore[override]
        self, mailbox: SourceMailbox, uidvalidity: int, modseq: int
    ) -> Opened:
        """`uidvalidity`, `modseq`: as they were at the commit; what was expunged since is told."""
        since = b"(QRESYNC (%d %d))" % (uidvalidity, modseq)  # RFC 7162 3.2.5
        self._opened = False
        done = await self._client.run(*command(b"EXAMINE", mailbox.wire, tail=since))
        self._opened = True
        texts = [replies.first(each) for each in done.named(b"VANISHED")]
        ranges = [each for text in texts for each in _ranges(text)]
        return Opened(replies.parse_opening(done.responses), tuple(ranges))

    async def rights(self, mailbox: SourceMailbox) -> dict[str, str]:
        """Identifier and rights, as GETACL tells its owner (RFC 4314 3.6)."""
        done = await self._client.run(*command(b"GETACL", mailbox.wire))
        for each in done.named(b"ACL"):
            items = [item for item in replies.tokens(each, 2)[1:] if isinstance(item, bytes)]
            words = [item.decode("utf-8", "replace") for item in items]
            return dict(zip(words[::2], words[1::2], strict=False))
        return {}

    async def messages(self, status: Status, below: int) -> AsyncIterator[list[Reread]]:
        """Those with a UID below `below`, by UID, at most 256 at a time. Named by sequence number: nothing but FETCH
        is sent meanwhile, so no number changes (RFC 3501 7.4.1)."""
        for first in range(1, status.messages + 1, BATCH_MESSAGES):
            last = min(first + BATCH_MESSAGES - 1, status.messages)
            found = await self._fetch(b"%d:%d" % (first, last))
            found.sort(key=lambda each: each.uid)
            yield [each for each in found if each.uid < below]
            if found and found[-1].uid >= below:
                return

    async def _fetch(self, numbers: bytes) -> list[Reread]:
        found: list[Reread] = []

        def take(listed: Listed, octets: bytes | Body | None) -> None:
            if octets is None or listed.internaldate is None:
                return
            if isinstance(octets, Body):
                size, digest = octets.size, sha256_of(octets)
                octets.close()
            else:
                size, digest = len(octets), hashlib.sha256(octets).digest()
            found.append(
                Reread(
                    listed.uid,
                    listed.flags,
                    listed.modseq or 0,
                    listed.internaldate,
                    listed.zone,
                    size,
                    digest,
                )
            )

        exchange = self._client.begin(
            b"FETCH %b (UID FLAGS MODSEQ RFC822.SIZE INTERNALDATE BODY.PEEK[])" % numbers
        )
        exchange.found = take
        await self._client.finish(exchange)
        return found


def _listener(platform: Platform) -> tuple[str, int, bool]:
    """Host, port, and whether TLS begins with the first octet. Raises Unavailable where no IMAP door is open."""
    listen = platform.settings.listen
    endpoints: Sequence[str] = listen.imap or listen.imaps
    if not endpoints:
        raise Unavailable("listen.imap and listen.imaps are empty: nothing can be read as a user reads it")
    host, _, port = endpoints[0].rpartition(":")
    host = host.strip("[]")
    loopback = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}
    return loopback.get(host, host), int(port), not listen.imap


def _ranges(text: bytes) -> list[tuple[int, int]]:
    """Of "* VANISHED (EARLIER) 41,43:116"."""
    found = []
    for each in text.split()[-1].split(b","):
        low, _, high = each.partition(b":")
        if not low.isdigit() or not (high or low).isdigit():
            raise Misbehaviour(f"unreadable VANISHED: {text[:120]!r}")
        found.append((int(low), int(high or low)))
    return found
