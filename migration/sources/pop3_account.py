"""An account on a POP3 server as a source: one mailbox, INBOX, and UIDLs for identities (RFC 1939 7).

UIDs are ours: given in POP3's order, written down before anything is copied under them (migration/numbering.py). No
flags, no INTERNALDATE (sources/received.py), no subscriptions but that of INBOX, which every client has.

A server may lock the maildrop while we are in it (RFC 1939 4), and its owner comes first. So a session is left
after IDLE_S of having nothing to do and takes no further message after SESSION_S; between two there is a GAP_S in
which whoever waits gets in. Our proxy tries a login that is refused with [IN-USE] again meanwhile
(access/proxy/pop3.py); a client that goes there past us sees the refusal, for at most SESSION_S and the messages that
are under way then.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import structlog

from mailplat.core.spool import Body
from mailplat.directory import Backend
from migration.sources.contract import Fetched, Listed, Numbers, SourceMailbox, Span, Status, Survey, cut
from migration.sources.pop3 import Session
from migration.sources.received import arrival

log = structlog.get_logger("migration")

# Seconds that a maildrop is held while messages are read: below what a person waits for his mail program, and long
# enough that LIST and UIDL of 100,000 messages (about a second) are not most of it.
SESSION_S = 5.0
# Seconds of doing nothing in it.
IDLE_S = 0.5
# Seconds between two sessions: above what the proxy waits between two attempts (access/proxy/pop3.py).
GAP_S = 1.5

INBOX = SourceMailbox(b"INBOX", "INBOX")


class _Visit:
    """One session with its listing."""

    def __init__(self, session: Session, numbers: dict[int, int], sizes: dict[int, int]) -> None:
        self.session = session
        self.numbers = numbers  # by UID, ascending
        self.sizes = sizes
        self.until = time.monotonic() + SESSION_S

    @property
    def over(self) -> bool:
        return time.monotonic() >= self.until


class Pop3Account:
    """A Source. It opens a session when one is needed."""

    def __init__(self, backend: Backend, account: str, spool: Path, numbers: Numbers) -> None:
        self._backend = backend
        self._account = account
        self._spool = spool
        self._given = numbers
        self._lock = asyncio.Lock()
        self._visit: _Visit | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._left = -GAP_S  # monotonic; when a session ended in which messages were read
        self._uidls: dict[int, str] = {}  # by UID, in POP3's order, as of the last listing
        self._seen: dict[int, int] = {}
        self._status = Status(0, 1, 0, None)

    async def naming(self) -> None:
        """Nothing to ask: one mailbox, and its clients know no other name."""

    async def survey(self) -> Survey:
        async with self._lock:
            self._leave()  # a session shows the maildrop as it was when it began
            await self._enter()
            self._rest()
        return Survey((INBOX,), frozenset({"INBOX"}), {"INBOX": self._status})

    async def examine(self, mailbox: SourceMailbox) -> Status:
        async with self._lock:
            await self._enter()
            self._rest()
        return self._status

    async def spans(self) -> list[Span]:
        async with self._lock:
            visit = await self._enter()
            self._rest()
        return cut(list(visit.numbers))

    async def scan(
        self,
        *,
        details: bool = False,
        since: int | None = None,
        uids: Sequence[int] | None = None,
        span: Span | None = None,
    ) -> list[Listed]:
        """`since` says nothing here; sizes are what LIST says, dates nobody does."""
        if uids is not None and not uids:
            return []
        async with self._lock:
            visit = await self._enter()
            self._rest()
        if span is not None:
            low, high = span
            uids = [uid for uid in visit.numbers if low <= uid and (high is None or uid <= high)]
        wanted = visit.numbers if uids is None else [uid for uid in sorted(uids) if uid in visit.numbers]
        return [Listed(uid, (), size=visit.sizes[uid], bare=True) for uid in wanted]

    async def fetch(self, uids: Sequence[int]) -> list[Fetched]:
        found: list[Fetched] = []
        left = list(uids)
        async with self._lock:
            try:
                while left:
                    visit = await self._enter()
                    left = [uid for uid in left if uid in visit.numbers]
                    left = await self._take(visit, left, found)
                    if visit.over:
                        self._leave()
                        self._left = time.monotonic()
            except BaseException:
                self._leave()  # what is on its way in it is nobody's any more
                for each in found:
                    each.body.close()
                raise
            self._rest()
        return found

    async def _take(self, visit: _Visit, uids: list[int], found: list[Fetched]) -> list[int]:
        """As far as the session's time reaches; those that are left."""
        numbers, done, refused = {visit.numbers[uid]: uid for uid in uids}, 0, False
        stream = visit.session.retrieve(list(numbers), self._spool, lambda: not visit.over)
        async for number, body in stream:
            done += 1
            if body is None:
                refused = True
            else:
                found.append(self._fetched(numbers[number], body))
        if refused:  # gone meanwhile, or not readable: the next listing says
            self._leave()
        return uids[done:]

    def _fetched(self, uid: int, body: Body) -> Fetched:
        date, zone = arrival(body, time.time()) or (self._seen[uid], 0)
        return Fetched(uid, (), date, zone, body)

    def uidls(self) -> Mapping[int, str]:
        """By UID, in POP3's order, as of the last listing."""
        return self._uidls

    async def _enter(self) -> _Visit:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._visit is not None and not self._visit.over:
            return self._visit
        self._leave()
        wait = self._left + GAP_S - time.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)
        session = await Session.open(self._backend, self._account)
        try:
            listed = await session.listing()
            given = await self._given.give([uidl for _, uidl, _ in listed])
        except BaseException:
            session.abort()
            raise
        uids = [each.uid for each in given.numbers]
        self._uidls = {uid: uidl for uid, (_, uidl, _) in zip(uids, listed, strict=True)}
        self._seen = {each.uid: each.seen for each in given.numbers}
        self._status = Status(given.uidvalidity, given.uidnext, len(listed), None)
        self._visit = _Visit(
            session,
            {uid: number for uid, (number, _, _) in zip(uids, listed, strict=True)},
            {uid: size for uid, (_, _, size) in zip(uids, listed, strict=True)},
        )
        return self._visit

    def _rest(self) -> None:
        if self._visit is not None:
            self._timer = asyncio.get_running_loop().call_later(IDLE_S, self._idle)

    def _idle(self) -> None:
        self._timer = None
        if not self._lock.locked():
            self._leave()

    def _leave(self) -> None:
        visit, self._visit = self._visit, None
        if visit is not None:
            visit.session.abort()

    async def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._leave()
