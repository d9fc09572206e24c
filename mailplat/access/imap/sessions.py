"""The sessions of one process, by account: to end those whose account moves."""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable

from mailplat.access.imap.moving import over
from mailplat.access.imap.session import MOVED, Session
from mailplat.access.login import Serve
from mailplat.core.errors import LimitReached, StaleEpoch, Unavailable
from mailplat.core.limits.imap import ImapLimits
from mailplat.core.route import Route, ShardHome
from mailplat.usage import Meter, Tap

# Routes whose last change is remembered, for logins that were under way when they changed.
_REMEMBERED = 10_000


class Sessions:
    def __init__(self, limits: ImapLimits, meter: Meter) -> None:
        self._limits = limits
        self._meter = meter
        self._taps: dict[Session, Tap] = {}
        self._all: set[Session] = set()
        self._by_account: dict[int, set[Session]] = {}
        self._guests: dict[int, set[Session]] = {}  # by the owner of the mailbox that they have selected
        self._owners: dict[Session, int] = {}
        self._moved: OrderedDict[int, Route] = OrderedDict()

    def __len__(self) -> int:
        return len(self._all)

    def of(self, account_id: int) -> int:
        """How many are served from the account's home."""
        return len(self._by_account.get(account_id, ()))

    def add(self, session: Session) -> None:
        """Raises LimitReached."""
        if len(self._all) >= self._limits.connections:
            raise LimitReached(
                f"{len(self._all)} IMAP connections are open; imap.max_connections is the limit"
            )
        self._all.add(session)

    def enter(self, session: Session, granted: Serve) -> None:
        """The session is logged in. Raises StaleEpoch when the route changed since it was read (log in again), and
        LimitReached."""
        account_id = granted.account.id
        route = self._moved.get(account_id)
        if route is not None and route.ends(granted.residence.epoch):
            raise StaleEpoch(f"account {account_id} moved during its login")
        there = self._by_account.setdefault(account_id, set())
        if len(there) >= self._limits.connections_per_account:
            raise LimitReached(f"account {account_id} has {len(there)} IMAP connections")
        there.add(session)
        if not granted.reading:
            domain, home = granted.account.address.domain, ShardHome(granted.residence.shard)
            self._taps[session] = self._meter.open_tap(domain, home, lambda: session.stream.sent)

    def look(self, session: Session) -> None:
        """What the session has selected is another mailbox now, or none. Raises Unavailable where that of somebody
        else moved since it was read."""
        before = self._owners.pop(session, None)
        if before is not None:
            self._guests[before].discard(session)
            if not self._guests[before]:
                del self._guests[before]
        view = session.view
        if view is None or view.place.own:
            return
        residence = view.place.residence
        route = self._moved.get(residence.account_id)
        if route is not None and route.ends(residence.epoch):
            raise Unavailable(f"account {residence.account_id} moved while a mailbox of it was opened")
        self._owners[session] = residence.account_id
        self._guests.setdefault(residence.account_id, set()).add(session)

    def remove(self, session: Session) -> None:
        """The connection is over."""
        self._all.discard(session)
        self.leave(session)

    def leave(self, session: Session) -> None:
        """The session is not logged in any more."""
        if (tap := self._taps.pop(session, None)) is not None:
            tap.close()
        account_id = session.account_id
        if account_id is not None and (there := self._by_account.get(account_id)) is not None:
            there.discard(session)
            if not there:
                del self._by_account[account_id]

    async def follow(self, route: Route) -> None:
        """A route changed: end what it no longer allows. Returns when those sessions are over."""
        self._moved[route.account_id] = route
        self._moved.move_to_end(route.account_id)
        if len(self._moved) > _REMEMBERED:
            self._moved.popitem(last=False)
        there = self._by_account.get(route.account_id, ())
        ended = [s for s in there if s.granted and route.ends(s.granted.residence.epoch)]
        guests = self._guests.get(route.account_id, ())
        ended += [s for s in guests if s.view is not None and route.ends(s.view.place.residence.epoch)]
        await self.end(ended, MOVED)

    async def end_all(self, text: str) -> None:
        await self.end(self._all, text)

    async def end(self, sessions: Iterable[Session], text: str) -> None:
        """`* BYE text` after the command that runs; cut off what takes longer than limits.stop_grace."""
        ended = list(sessions)
        for session in ended:
            session.stop(text)
        # Who may follow the account to its next home is not over, but at rest.
        waits = {
            session: asyncio.ensure_future(over(session) if text == MOVED else asyncio.wait({session.task}))
            for session in ended
            if session.task is not None
        }
        if not waits:
            return
        _, late = await asyncio.wait(waits.values(), timeout=self._limits.stop_grace)
        if late:
            for session, waiting in waits.items():
                if waiting in late and session.task is not None:
                    session.stream.abort()
                    session.task.cancel()
            _, late = await asyncio.wait(late, timeout=self._limits.stop_grace)
        for waiting in late:
            waiting.cancel()
