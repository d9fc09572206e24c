"""One connection: its state, its mailbox, and what commands may do with them. The loop is dialogue.py."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ParamSpec, TypeVar

import structlog

from mailplat.access.deflate import BadDeflate
from mailplat.access.imap.between import Between
from mailplat.access.imap.limits import after_login, before_login
from mailplat.access.imap.place import Place
from mailplat.access.imap.request import Request, State
from mailplat.access.imap.sharing import Sharing
from mailplat.access.imap.view import Manner, View
from mailplat.access.imap.watch import UNASKED, Watch
from mailplat.access.login import LoginService, Serve
from mailplat.access.stream import Stream
from mailplat.bus import Bus, Listener
from mailplat.core.clock import Clock
from mailplat.core.envelope import Peer
from mailplat.core.errors import LimitReached, NotFound
from mailplat.core.executors import Executors
from mailplat.core.limits.imap import ImapLimits
from mailplat.core.quota import Quota
from mailplat.core.rights import Rights
from mailplat.core.route import Residence
from mailplat.directory import Account
from mailplat.store import Shard, Store
from mailplat.store.types import Changes, UidRanges
from mailplat.wire.imap import events
from mailplat.wire.imap.arguments import Arguments
from mailplat.wire.imap.framer import Framer
from mailplat.wire.imap.spelling import Spelling

log = structlog.get_logger("imap")

P = ParamSpec("P")
T = TypeVar("T")


# RFC 5530: the route of the account says another home.
MOVED = "[UNAVAILABLE] Mailbox has moved, connect again"


# RFC 2180 3.3: what the client has selected is no more, or no more for it; only a new beginning makes sense.
GONE = "The selected mailbox is gone"

# To who has not logged in in time.
FAREWELL = b"* BYE Log in sooner\r\n"


@dataclass(frozen=True, slots=True)
class Services:
    """What all sessions of a process share."""

    login: LoginService
    store: Store
    bus: Bus
    executors: Executors
    clock: Clock
    limits: ImapLimits
    hostname: str
    tls: ssl.SSLContext | None
    plaintext_without_tls: bool
    large: asyncio.Semaphore  # messages that are held whole, see limits.large_messages
    enter: "Callable[[Session, Serve], None]"  # Sessions.enter
    leave: "Callable[[Session], None]"  # Sessions.leave
    look: "Callable[[Session], None]"  # Sessions.look: what is selected has changed
    sharing: Sharing | None  # None: nothing is shared on this platform


class Farewell(Exception):
    """The session ends now; the argument is the text of `* BYE`, response code included. Raised by commands."""


class ConnectionGone(Exception):
    """The client closed the connection, or its time was over, while a command waited for it."""


class Session:
    """`out` takes untagged replies; nothing is sent before `stream.flush`."""

    def __init__(self, services: Services, stream: Stream, peer: Peer) -> None:
        """Raises LimitReached where the peer's network has too many that have not logged in."""
        self.services = services
        self.stream = stream
        self.out = stream.write
        self.peer = peer
        self.framer = Framer(before_login(services.limits))
        self.state = State.NOT_AUTHENTICATED
        self.granted: Serve | None = None
        self.view: View | None = None
        self.enabled: set[str] = set()  # CONDSTORE ...
        self.manner = Manner()  # follows `enabled`
        self.watch = UNASKED  # what NOTIFY asked for
        self.failures = 0  # logins
        self.ticket = services.login.throttle.admit(peer.address)  # until it is logged in
        self.listener: Listener | None = None
        self._heard: int | None = None  # the account that it listens to
        self._patience = services.limits.preauth  # what is left of it; drops while we wait for the client
        self.interruptible = False  # waits for the client: may be woken to say BYE
        self.ending = ""  # text of the BYE that the server asked for
        self.handed_over = False  # to a backend: nothing of ours is said any more
        self.between = Between()
        self.task = asyncio.current_task()

    @property
    def limits(self) -> ImapLimits:
        return self.services.limits

    @property
    def account_id(self) -> int | None:
        return self.granted.account.id if self.granted else None

    @property
    def account(self) -> Account:
        assert self.granted is not None
        return self.granted.account

    @property
    def residence(self) -> Residence:
        assert self.granted is not None
        return self.granted.residence

    @property
    def shard(self) -> Shard:
        return self.services.store.shard(self.residence.shard)

    @property
    def selected(self) -> View:
        assert self.view is not None
        return self.view

    @property
    def own_selected(self) -> int | None:
        """The selected mailbox, where it is the account's own: numbers of two shards say nothing of each other."""
        return self.view.mailbox_id if self.view is not None and self.view.place.own else None

    @property
    def condstore(self) -> bool:
        return "CONDSTORE" in self.enabled

    @property
    def spelling(self) -> Spelling:
        """Of mailbox names over the wire."""
        separator = self.granted.account.separator if self.granted else "/"
        return Spelling(self.rev2 or "UTF8=ACCEPT" in self.enabled, separator)

    @property
    def rev2(self) -> bool:
        """RFC 9051 6.3.1: replies are those of IMAP4rev2."""
        return "IMAP4REV2" in self.enabled

    def arguments(self, event: events.Command | events.Append) -> Arguments:
        """Read as the client has enabled it."""
        accept = "UTF8=ACCEPT" in self.enabled
        return event.arguments(
            self.spelling, self.limits.bounds, uid_only=self.manner.uid_only, no_charset=accept
        )

    async def call(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """A synchronous reading call of the store, in its threads. Raises Unavailable when its disk is stalled."""
        return await self.services.executors.ask(self.lane, function, *args, **kwargs)

    async def change(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """A synchronous writing call, or one that may take long: waited for as long as it takes, since it cannot be
        taken back and no reply before its end would be true."""
        return await self.services.executors.run(self.lane, function, *args, **kwargs)

    def own(self, name: str) -> Place:
        """A mailbox of the account's own; whether there is one is not known yet."""
        return Place(self.services.executors, self.shard, self.residence, self.account, name, name)

    async def quota(self, owner: Account | None = None) -> Quota:
        """As it is now: a session may be older than what an admin has changed since. `owner`: of the account whose
        mailbox it is about."""
        return await self.services.login.quota(owner or self.account)

    @property
    def lane(self) -> str:
        """The threads of the shard; before the login there is none."""
        return f"store/{self.residence.shard}"

    def log_in(self, granted: Serve) -> None:
        self.ticket.close()
        self.granted = granted
        self.state = State.AUTHENTICATED
        self.framer.limits = after_login(self.limits)
        self.stream.timeout = self.limits.autologout
        self.stream.farewell = b"* BYE Autologout; idle for too long\r\n"

    def log_out(self) -> None:
        """RFC 8437 3: as if nobody had logged in yet; TLS stays, and what was selected is not expunged."""
        self.services.leave(self)
        self.close()
        self.granted = None
        self.enabled.clear()
        self.manner = Manner()
        self.watch = UNASKED
        self.state = State.NOT_AUTHENTICATED
        self.framer.limits = before_login(self.limits)
        self._patience = self.limits.preauth
        self.stream.farewell = FAREWELL
        try:
            self.ticket = self.services.login.throttle.admit(self.peer.address)
        except LimitReached as error:
            raise Farewell("Too many connections that are not logged in") from error

    def listen(self, owner_id: int | None = None) -> Listener:
        """Hints for the account whose mailbox is selected, or about to be (`owner_id`). Always before the mailbox is
        read, so that no change falls between."""
        if owner_id is None:
            owner_id = self.view.place.residence.account_id if self.view is not None else self.account_id
        if self.listener is not None and self._heard != owner_id:
            self.listener.close()
            self.listener = None
        if self.listener is None:
            self.listener = self.services.bus.listen(f"account:{owner_id}")
            self._heard = owner_id
        return self.listener

    def select(self, view: View) -> None:
        """Raises Unavailable where the owner has moved since the mailbox was read."""
        self.view = view
        self.state = State.SELECTED
        try:
            self.services.look(self)
        except BaseException:
            self.unselect()
            raise

    def unselect(self) -> None:
        self.view = None
        self.watch.note_hint()
        self.services.look(self)
        if self.state is State.SELECTED:
            self.state = State.AUTHENTICATED

    async def refresh(self, *, now: bool = False) -> None:
        """Read the changes of the selected mailbox into the view: when a hint came, when the last look is older than
        limits.view_lease, or `now`. Raises Farewell when the mailbox is gone, or may not be read any more. A view
        that NOTIFY has frozen stays."""
        view = self.view
        if view is None or (self.watch.frozen and not now):
            return
        clock = self.services.clock
        if (
            not now
            and not self.listen().pending
            and clock.monotonic() - view.checked < self.limits.view_lease
        ):
            return
        await self.quiet()
        started = clock.monotonic()
        try:
            rights, changes = await view.place.call(view.look)
        except NotFound as error:
            raise Farewell(GONE) from error
        self._go_by(view, rights)
        if not self.watch.frozen:
            view.apply(changes, started, tell=self.watch.flags)

    async def recheck(self) -> None:
        """What others may do with a mailbox is read before each command, so that what was taken back is gone with the
        next one. Raises Farewell where that is reading itself."""
        view = self.view
        if view is not None and not view.place.own:
            try:
                self._go_by(view, await view.place.call(view.rights_now))
            except NotFound as error:
                raise Farewell(GONE) from error

    def _go_by(self, view: View, rights: Rights) -> None:
        if "r" not in rights:
            raise Farewell(GONE)  # RFC 4314 6: as a mailbox that is not there
        if rights != view.place.rights:
            view.place = replace(view.place, rights=rights)
            self.out(view.flags_and_permanent())  # RFC 4314 5.1.1

    async def quiet(self, owner_id: int | None = None) -> None:
        """Take note of the hint that is pending. Before the changes are read, so that a later one is not lost."""
        listener = self.listen(owner_id)
        if listener.pending:
            await listener.wait(0)

    async def write(
        self,
        request: Request,
        function: Callable[[Residence, int, UidRanges], T],
        uids: UidRanges,
        *,
        first: Callable[[T], None] | None = None,
    ) -> T:
        """A writing call on the selected mailbox, and the changes since, in one hop to a thread. `first` takes in the
        result before the view takes in the changes, which have it too."""
        view = self.selected
        await self.quiet()
        started = self.services.clock.monotonic()
        residence, shard = view.place.residence, view.place.shard

        def work() -> tuple[T, Changes]:
            result = function(residence, view.mailbox_id, uids)
            return result, shard.changes(residence, view.mailbox_id, view.modseq)

        result, changes = await view.place.change(work)
        if first is not None:
            first(result)
        if self.watch.frozen:
            changes = view.only(changes, uids)
        view.apply(changes, started, tell=self.watch.flags)
        request.fresh = True
        return result

    def enable(self, name: str) -> None:
        """From now on replies are as this extension wants. Called by ENABLE, and where CONDSTORE is used (RFC 7162
        3.1)."""
        if name in self.enabled:
            return
        if name == "QRESYNC":
            self.enable("CONDSTORE")  # RFC 7162 3.2.3
        self.enabled.add(name)
        uid_only = "UIDONLY" in self.enabled
        self.manner = Manner(self.condstore, uid_only or "QRESYNC" in self.enabled, uid_only)
        if name == "CONDSTORE" and self.view is not None:
            self.out(b"* OK [HIGHESTMODSEQ %d] Highest\r\n" % self.view.modseq)

    def observe(self, watch: Watch) -> None:
        """From now on the client is told what this asks for, and nothing that was asked for before."""
        self.watch.close()
        self.watch = watch
        if self.view is not None and len(self.view):
            self.view.pushed = self.view.uids[-1]

    def announce(self, *, expunge: bool) -> None:
        """Tell the client what the view learned."""
        if self.view is not None:
            lines = self.view.flush(expunge=expunge, manner=self.manner)
            if lines:
                self.out(lines)

    async def read(self, *, alone: bool = True) -> bytes:
        """Octets from the client; b"" at its end. While it waits the session may be woken to say BYE, where this is
        all it does: `alone`."""
        if self.ending:
            raise Farewell(self.ending)
        self.interruptible = self.interruptible or alone
        started = self.services.clock.monotonic()
        if self.state is State.NOT_AUTHENTICATED:
            self.stream.timeout = max(0.0, self._patience)
        try:
            return await self.stream.read()
        except BadDeflate as error:
            log.warning("bad compression", account=self.account_id, peer=self.peer.address, reason=str(error))
            raise Farewell("Compression went wrong") from error
        finally:
            if alone:
                self.interruptible = False
            self._patience -= self.services.clock.monotonic() - started

    async def line(self, tag: str, *, alone: bool = True) -> bytes | None:
        """One line outside a command: a SASL response, DONE. None: it was no line that can be read, and the command
        has been answered. `alone`: see read. Raises ConnectionGone."""
        self.framer.expect_line(tag)
        while True:
            event = self.framer.next()
            match event:
                case None:
                    await self.stream.flush()
                    octets = await self.read(alone=alone)
                    if not octets:
                        raise ConnectionGone
                    self.framer.feed(octets)
                case events.Line():
                    return event.octets
                case events.Refused():
                    self.out(event.reply)
                    return None
                case _:
                    raise AssertionError(f"{type(event).__name__} where a line was expected")

    def stop(self, text: str) -> None:
        """Called by the server: end with `* BYE text` as soon as the running command is done."""
        self.ending = text
        if self.interruptible and self.task is not None:
            self.task.cancel()

    def close(self) -> None:
        """Give back what the session holds, apart from the connection."""
        self.ticket.close()
        self.view = None
        self.watch.close()
        self.services.look(self)
        if self.listener is not None:
            self.listener.close()
            self.listener = None
