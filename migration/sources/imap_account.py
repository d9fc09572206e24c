"""An account on an IMAP server as a source, by the right of a master user."""

import asyncio
import base64
import contextlib
import itertools
import re
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from mailplat.core.errors import NotFound, Unavailable
from mailplat.core.spool import Body
from mailplat.directory import Backend
from migration.errors import Lost, Throttled, Unreachable
from migration.sources import replies, tls
from migration.sources.contract import (
    SPAN_MESSAGES,
    Fetched,
    Listed,
    Naming,
    SourceMailbox,
    Span,
    Status,
    Survey,
)
from migration.sources.imap import Client, asks_to_wait, command
from migration.sources.names import check_collisions, decode_name, naming

_CAPABILITY = re.compile(rb"\[CAPABILITY ([^\]]*)\]", re.IGNORECASE)
_SPECIAL = {
    each.casefold(): each
    for each in ("\\All", "\\Archive", "\\Drafts", "\\Flagged", "\\Junk", "\\Sent", "\\Trash")
}


def longest(wire: bytes, prefixes: Sequence[bytes]) -> bytes:
    """Of the namespaces with these prefixes the one that a mailbox is in."""
    return max((each for each in prefixes if wire.startswith(each)), key=len, default=b"")


def _prefixes(group: replies.Token) -> list[bytes]:
    """Of one kind of namespaces; NIL where there is none."""
    if not isinstance(group, list):
        return []
    return [each[0] for each in group if isinstance(each, list) and each and isinstance(each[0], bytes)]


class ImapAccount:
    """A Source. `open` logs in; close() it."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.capabilities: frozenset[bytes] = frozenset()
        self._opened = False  # a mailbox is
        self._prefixes: tuple[list[bytes], frozenset[bytes]] | None = None  # of namespaces
        self._messages = 0  # in it, when it was opened

    @classmethod
    async def open(cls, backend: Backend, account: str, spool: Path) -> Self:
        """As `account`, by the master user of the backend. Raises Unavailable (Unreachable where nobody greets),
        Throttled, Misbehaviour."""
        host, _, port = backend.imap.rpartition(":")
        secured = tls.context() if backend.imap_tls == "implicit" else None
        source = cls(Client(host.strip("[]"), int(port), spool, secured, backend.limits))
        kind: type[Unavailable] = Unreachable
        try:
            greeting = await source._client.greeting()
            if not greeting[:5].upper().startswith(b"* OK"):
                raise Unavailable(f"it greeted with {greeting[:200]!r}")
            kind = Unavailable
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
                raise kind(f"backend {backend.name} at {backend.imap}: {reason}") from error
            if kind is Unreachable and type(error) in (Unavailable, Lost):
                raise Unreachable(f"backend {backend.name} at {backend.imap}: {error}") from error
            raise
        return source

    async def log_in(self, user: str, password: str) -> Self:
        """Over a connection that nobody else has: no TLS. Raises Unavailable, Throttled, Misbehaviour."""
        try:
            await self._client.greeting()
            done = await self._client.run(*command(b"LOGIN", user.encode(), password.encode()))
            await self._learn(done.text)
        except BaseException:
            self._client.abort()
            raise
        return self

    async def ask(self, *pieces: bytes) -> tuple[str, bytes, list[replies.Response]]:
        """One command as `command` makes it, and its answer as it came: status, what stands behind it, untagged
        responses, FETCH too. Nothing else may be in flight. Raises Unavailable, Throttled, Misbehaviour."""
        exchange = self._client.begin(*pieces)
        exchange.raw = True
        self._opened = self._opened or exchange.name == "EXAMINE"
        await exchange.wait()
        if exchange.response.result == "NO" and asks_to_wait(exchange.text):
            raise Throttled(f"the source answered {exchange.name}: NO {exchange.text[:200]!r}")
        return exchange.response.result, exchange.text, exchange.responses

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

    async def mailboxes(self) -> tuple[SourceMailbox, ...]:
        """What can be selected of the user's own; two of one name are not refused here, as `survey` does."""
        return (await self._listed())[0]

    async def _listed(self) -> tuple[tuple[SourceMailbox, ...], frozenset[str]]:
        """With what is subscribed."""
        await self._leave()
        listing = b'LIST "" "*"'
        if b"LIST-EXTENDED" in self.capabilities and b"SPECIAL-USE" in self.capabilities:
            listing += b" RETURN (SPECIAL-USE)"  # RFC 6154 5.2
        known, foreign = await self._namespaces()
        listed = self._client.begin(listing)
        subscribed = self._client.begin(b'LSUB "" "*"')
        rows = [replies.parse_list(each) for each in (await self._client.finish(listed)).named(b"LIST")]
        subs = [replies.parse_list(each) for each in (await self._client.finish(subscribed)).named(b"LSUB")]
        # What others share with the user is theirs: it moves with them.
        rows = [row for row in rows if longest(row[2], known) not in foreign]
        subs = [row for row in subs if longest(row[2], known) not in foreign]
        separators = {wire: separator for _, separator, wire in rows}
        found: dict[bytes, SourceMailbox] = {}
        for attributes, separator, wire in rows:
            if not attributes & {"\\noselect", "\\nonexistent"}:
                special = next((_SPECIAL[each] for each in sorted(attributes) if each in _SPECIAL), "")
                found[wire] = SourceMailbox(wire, decode_name(wire, separator), special)
        mailboxes = tuple(sorted(found.values(), key=lambda each: (each.name != "INBOX", each.name)))
        names = frozenset(
            decode_name(wire, separators.get(wire, separator))
            for attributes, separator, wire in subs
            if "\\noselect" not in attributes  # a parent that is shown for its child's sake (RFC 3501 6.3.9)
        )
        return mailboxes, names

    async def survey(self) -> Survey:
        mailboxes, names = await self._listed()
        check_collisions((each.wire, each.name) for each in mailboxes)
        return Survey(mailboxes, names, await self._statuses(mailboxes))

    async def namespaces(self) -> list[bytes]:
        """Prefixes of all namespaces, as their mailboxes' names begin; the first personal one first."""
        return (await self._namespaces())[0]

    async def _namespaces(self) -> tuple[list[bytes], frozenset[bytes]]:
        """All prefixes, and those of other users' and shared mailboxes (RFC 2342 5). Asked once a connection."""
        if self._prefixes is None:
            groups: list[list[bytes]] = []
            if b"NAMESPACE" in self.capabilities:
                done = await self._client.run(b"NAMESPACE")
                for response in done.named(b"NAMESPACE"):
                    groups = [_prefixes(each) for each in replies.tokens(response, 2)[1:4]]
            known = [prefix for group in groups for prefix in group] or [b""]
            own = groups[0] if groups else known
            self._prefixes = known, frozenset(known).difference(own)
        return self._prefixes

    async def separator(self) -> bytes:
        """What stands between the levels of a name (RFC 3501 6.3.8)."""
        done = await self._client.run(b'LIST "" ""')
        found = [replies.parse_list(each)[1] for each in done.named(b"LIST")]
        return found[0] if found else b"/"

    async def naming(self) -> Naming:
        return naming((await self.namespaces())[0], await self.separator())

    async def _leave(self) -> None:
        """STATUS of the mailbox that is open would tell what this session has seen, not what is there now (RFC 3501
        6.3.10). CLOSE removes nothing from a mailbox that was opened with EXAMINE (RFC 3501 6.4.2)."""
        if self._opened:
            self._opened = False
            await self._client.run(b"UNSELECT" if b"UNSELECT" in self.capabilities else b"CLOSE")

    async def status(self, mailbox: SourceMailbox) -> Status | None:
        """Its numbers now; None where it is not there any more. Leaves no mailbox open."""
        await self._leave()
        return (await self._statuses([mailbox])).get(mailbox.name)

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

    @property
    def offers_acl(self) -> bool:
        return b"ACL" in self.capabilities

    @property
    def has_old_rights(self) -> bool:
        """Those of RFC 2086; RFC 4314 2.2 says RIGHTS= where there are more."""
        return not any(each.startswith(b"RIGHTS=") for each in self.capabilities)

    async def access_lists(self, wires: Mapping[str, bytes]) -> dict[str, list[tuple[str, str]] | None]:
        """Identifiers and letters of mailboxes (ours to the server's names) of the user's own namespaces; None where
        the server does not tell. One that has gone is left out."""
        known, foreign = await self._namespaces()
        own = {name: wire for name, wire in wires.items() if longest(wire, known) not in foreign}
        flying = [(name, self._client.begin(*command(b"GETACL", wire))) for name, wire in own.items()]
        found: dict[str, list[tuple[str, str]] | None] = {}
        for name, exchange in flying:
            try:
                done = await self._client.finish(exchange)
            except NotFound:
                continue
            except Unavailable:
                if not exchange.refused:
                    raise
                found[name] = None
                continue
            found[name] = [pair for each in done.named(b"ACL") for pair in replies.parse_acl(each)[1]]
        return found

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
            if low <= listed.uid <= (high or replies.MAX_UID) and (not details or listed.size is not None):
                found[listed.uid] = listed

        if uids is None:
            await self._client.run(b"NOOP")  # Courier shows what came and went since the SELECT only then
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
