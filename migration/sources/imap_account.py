"""An account on an IMAP server as a source, by the right of a master user."""

import asyncio
import base64
import contextlib
import itertools
import re
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from mailplat.core.errors import NotFound, Unavailable
from mailplat.core.spool import Body
from mailplat.directory import Backend
from migration.sources import replies, tls
from migration.sources.contract import (
    SPAN_MESSAGES,
    Fetched,
    Listed,
    SourceMailbox,
    Span,
    Status,
    Survey,
)
from migration.sources.imap import Client, command
from migration.sources.names import check_collisions, decode_name

_CAPABILITY = re.compile(rb"\[CAPABILITY ([^\]]*)\]", re.IGNORECASE)
# A prefix and its separator (RFC 2342 5).
_NAMESPACE = re.compile(rb'\("((?:[^"\\]|\\.)*)" (?:"|NIL)')
_SPECIAL = {
    each.casefold(): each
    for each in ("\\All", "\\Archive", "\\Drafts", "\\Flagged", "\\Junk", "\\Sent", "\\Trash")
}


class ImapAccount:
    """A Source. `open` logs in; close() it."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.capabilities: frozenset[bytes] = frozenset()
        self._opened = False  # a mailbox is
        self._messages = 0  # in it, when it was opened

    @classmethod
    async def open(cls, backend: Backend, account: str, spool: Path) -> Self:
        """As `account`, by the master user of the backend. Raises Unavailable, Throttled, Misbehaviour."""
        host, _, port = backend.imap.rpartition(":")
        secured = tls.context() if backend.imap_tls == "implicit" else None
        source = cls(Client(host.strip("[]"), int(port), spool, secured))
        try:
            greeting = await source._client.greeting()
            if not greeting[:5].upper().startswith(b"* OK"):
                raise Unavailable(f"backend {backend.name} greeted with {greeting[:200]!r}")
            if backend.imap_tls == "starttls":
                await source._client.start_tls(tls.context())
                greeting = b""  # what was said in the clear is forgotten (RFC 3501 6.2.1)
            await source._learn(greeting)
            await source._login(backend, account)
            if backend.imap_compress and b"COMPRESS=DEFLATE" in source.capabilities:
                await source._client.compress()
        except BaseException as error:
            source._client.abort()
            if isinstance(error, OSError | TimeoutError | ssl.SSLError):
                reason = tls.explain(error, "--imap-tls", backend.imap_tls)
                raise Unavailable(f"backend {backend.name} at {backend.imap}: {reason}") from error
            raise
        return source

    async def _learn(self, text: bytes) -> None:
        found = _CAPABILITY.search(text)
        if found is None:
            done = await self._client.run(b"CAPABILITY")
            words = [word for each in done.responses for word in replies.first(each).upper().split()[1:]]
        else:
            words = found[1].upper().split()
        self.capabilities = frozenset(words)

    async def _login(self, backend: Backend, account: str) -> None:
        if backend.master_style == "plain":
            secret = b"\0".join(
                each.encode() for each in (account, backend.master_user, backend.master_password)
            )
            response = base64.b64encode(secret)  # RFC 4616: authzid NUL authcid NUL password
            if b"SASL-IR" in self.capabilities:
                done = await self._client.run(b"AUTHENTICATE PLAIN " + response)
            else:
                done = await self._client.run(b"AUTHENTICATE PLAIN", response)
        elif b"LOGINDISABLED" in self.capabilities:
            raise Unavailable(f"backend {backend.name} allows no LOGIN without TLS; set --imap-tls")
        else:
            user = f"{account}*{backend.master_user}".encode()
            done = await self._client.run(*command(b"LOGIN", user, backend.master_password.encode()))
        await self._learn(done.text)

    async def survey(self) -> Survey:
        await self._leave()
        listing = b'LIST "" "*"'
        if b"LIST-EXTENDED" in self.capabilities and b"SPECIAL-USE" in self.capabilities:
            listing += b" RETURN (SPECIAL-USE)"  # RFC 6154 5.2
        listed = self._client.begin(listing)
        subscribed = self._client.begin(b'LSUB "" "*"')
        rows = [replies.parse_list(each) for each in (await self._client.finish(listed)).named(b"LIST")]
        subs = [replies.parse_list(each) for each in (await self._client.finish(subscribed)).named(b"LSUB")]
        separators = {wire: separator for _, separator, wire in rows}
        found: dict[bytes, SourceMailbox] = {}
        for attributes, separator, wire in rows:
            if not attributes & {"\\noselect", "\\nonexistent"}:
                special = next((_SPECIAL[each] for each in sorted(attributes) if each in _SPECIAL), "")
                found[wire] = SourceMailbox(wire, decode_name(wire, separator), special)
        check_collisions((each.wire, each.name) for each in found.values())
        mailboxes = tuple(sorted(found.values(), key=lambda each: (each.name != "INBOX", each.name)))
        names = frozenset(
            decode_name(wire, separators.get(wire, separator))
            for attributes, separator, wire in subs
            if "\\noselect" not in attributes  # a parent that is shown for its child's sake (RFC 3501 6.3.9)
        )
        return Survey(mailboxes, names, await self._statuses(mailboxes))

    async def namespaces(self) -> list[bytes]:
        """Prefixes of all namespaces, as their mailboxes' names begin; the first personal one first."""
        if b"NAMESPACE" not in self.capabilities:
            return [b""]
        done = await self._client.run(b"NAMESPACE")
        text = b"".join(replies.first(each) for each in done.named(b"NAMESPACE"))
        return [replies.unquote(each) for each in _NAMESPACE.findall(text)] or [b""]

    async def _leave(self) -> None:
        """STATUS of the mailbox that is open would tell what this session has seen, not what is there now (RFC 3501
        6.3.10). CLOSE removes nothing from a mailbox that was opened with EXAMINE (RFC 3501 6.4.2)."""
        if self._opened:
            self._opened = False
            await self._client.run(b"UNSELECT" if b"UNSELECT" in self.capabilities else b"CLOSE")

    async def _statuses(self, mailboxes: Sequence[SourceMailbox]) -> dict[str, Status]:
        items = b"(UIDVALIDITY UIDNEXT MESSAGES%b)" % (b" HIGHESTMODSEQ" if self.condstore else b"")
        flying = [
            (each, self._client.begin(*command(b"STATUS", each.wire, tail=items))) for each in mailboxes
        ]
        found: dict[str, Status] = {}
        for mailbox, exchange in flying:
            with contextlib.suppress(NotFound):  # deleted between LIST and STATUS: not there
                done = await self._client.finish(exchange)
                for response in done.named(b"STATUS"):
                    found[mailbox.name] = replies.parse_status(response)[1]
        return found

    @property
    def condstore(self) -> bool:
        """Whether changes can be asked for by MODSEQ (RFC 7162)."""
        return bool({b"CONDSTORE", b"QRESYNC"} & self.capabilities)

    async def glance(self) -> None:
        """What clients ask all day."""
        await self._client.run(b"STATUS INBOX (MESSAGES UIDNEXT)")

    async def touch(self, mailbox: SourceMailbox) -> None:
        """Open it as a client does who may change it, and at once for reading again: Courier writes UIDs down only
        then. Nothing is removed when a mailbox is opened after another (RFC 3501 6.3.1), as it would be by CLOSE."""
        self._opened = False
        await self._client.run(*command(b"SELECT", mailbox.wire))
        await self.examine(mailbox)

    async def examine(self, mailbox: SourceMailbox) -> Status:
        tail = b"(CONDSTORE)" if self.condstore else b""
        self._opened = False  # one that cannot be opened leaves none open
        done = await self._client.run(*command(b"EXAMINE", mailbox.wire, tail=tail))
        self._opened = True
        status = replies.parse_opening(done.responses)
        self._messages = status.messages
        return status

    async def spans(self) -> list[Span]:
        """Asked by sequence numbers, which nothing renumbers between EXAMINE and a FETCH (RFC 9051 7.5.1)."""
        firsts = range(1 + SPAN_MESSAGES, self._messages + 1, SPAN_MESSAGES)
        if not firsts:
            return [(1, None)]
        found: set[int] = set()
        exchange = self._client.begin(b"FETCH %b (UID)" % b",".join(b"%d" % each for each in firsts))
        exchange.found = lambda listed, body: found.add(listed.uid)
        await self._client.finish(exchange)
        bounds = [1, *sorted(found)]
        return [*((low, high - 1) for low, high in itertools.pairwise(bounds)), (bounds[-1], None)]

    async def scan(
        self,
        *,
        details: bool = False,
        since: int | None = None,
        uids: Sequence[int] | None = None,
        span: Span | None = None,
    ) -> list[Listed]:
        if uids is not None and not uids:
            return []
        low, high = span or (1, None)
        which = b"%d:%b" % (low, b"*" if high is None else b"%d" % high)
        if uids is not None:
            which = replies.uid_set(uids)
        items = b"(UID FLAGS%b)" % (b" RFC822.SIZE INTERNALDATE" if details else b"")
        changed = b"" if since is None else b" (CHANGEDSINCE %d)" % since  # RFC 7162 3.1.4.1
        found: dict[int, Listed] = {}

        def take(listed: Listed, body: bytes | Body | None) -> None:
            # "n:*" is at least the last message, whatever its UID (RFC 9051 9, seq-range).
            if listed.uid >= low and (not details or listed.size is not None):
                found[listed.uid] = listed

        exchange = self._client.begin(b"UID FETCH %b %b%b" % (which, items, changed))
        exchange.found = take
        await self._client.finish(exchange)
        return [found[uid] for uid in sorted(found)]

    async def fetch(self, uids: Sequence[int]) -> list[Fetched]:
        found: list[Fetched] = []

        def take(listed: Listed, octets: bytes | Body | None) -> None:
            if octets is not None and listed.internaldate is not None and exchange.wanted is not None:
                exchange.wanted.discard(listed.uid)
                body = octets if isinstance(octets, Body) else Body.of(octets)
                found.append(Fetched(listed.uid, listed.flags, listed.internaldate, listed.zone, body))

        exchange = self._client.begin(
            b"UID FETCH %b (UID FLAGS INTERNALDATE BODY.PEEK[])" % replies.uid_set(uids)
        )
        exchange.found, exchange.wanted = take, set(uids)
        try:
            await self._client.finish(exchange)
        except BaseException:
            exchange.found = None
            for each in found:
                each.body.close()
            raise
        return found

    async def close(self) -> None:
        """Politely, but not for long."""
        with contextlib.suppress(Exception):
            async with asyncio.timeout(2.0):
                await self._client.run(b"LOGOUT")
        self._client.abort()
