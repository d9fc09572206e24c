"""One login for every reader's door: who is it, may he, and where is his mail.

The route decides before the password: an account that lives on a backend is checked there and nowhere else. While
an account is fenced a login waits; it neither fails nor sees an empty mailbox.
"""

import asyncio
import contextlib
import hmac
from dataclasses import dataclass, field
from typing import Literal, NoReturn

import structlog

from mailplat.access.capture import Capture
from mailplat.access.forwarding import ForwardedSessions
from mailplat.admin import metrics
from mailplat.bus import Bus
from mailplat.core.clock import Clock
from mailplat.core.envelope import Peer
from mailplat.core.errors import MailplatError, NotFound, StaleEpoch, Unavailable
from mailplat.core.executors import Executors
from mailplat.core.quota import Quota
from mailplat.core.route import BackendHome, Door, Residence, Route
from mailplat.directory import Account, Backend, Directory, Login
from mailplat.directory.credentials import Verifier
from mailplat.directory.quotas import CurrentQuotas
from mailplat.store import Store

log = structlog.get_logger("login")

Protocol = Literal["imap", "pop3"]

# How long a login waits for a fence to end. A fence lasts 30 s at most; the rest is for noticing.
LOGIN_WAIT_S = 40.0
# While waiting: how often the route is read when no hint comes.
ROUTE_POLL_S = 0.5

# An account that moves while its password is checked is looked up again.
_ATTEMPTS = 3

# Failed logins of one name from one address within the window before each further answer is delayed; the delay
# grows to the cap. A person who mistypes never notices, a dictionary does.
FREE_FAILURES = 3
FAILURE_WINDOW_S = 60.0
FAILURE_DELAY_S = 1.0
MAX_DELAY_S = 8.0


class AuthenticationFailed(MailplatError):
    """Wrong name or password; which of the two is not said. IMAP NO [AUTHENTICATIONFAILED], POP3 -ERR [AUTH]."""


class MaildropInUse(Unavailable):
    """Another POP3 session has the maildrop, here or at the backend. POP3 -ERR [IN-USE]."""


@dataclass(frozen=True, slots=True)
class Serve:
    """The account's mail is in our shard."""

    account: Account
    residence: Residence


@dataclass(frozen=True, slots=True)
class Forward:
    """The account's mail is on a backend, which is to check the password too."""

    account: Account
    backend: Backend
    route: Route
    name: str
    password: str = field(repr=False)
    sessions: ForwardedSessions = field(repr=False)
    capture: Capture = field(repr=False)
    protocol: Protocol
    peer: Peer  # whom the backend is told of


Granted = Serve | Forward


@dataclass(frozen=True, slots=True)
class Master:
    """Who may log in as anybody, as "user*master" with his own password. For a platform that is moved from."""

    name: str
    password: str = field(repr=False)


class LoginService:
    """Shared by the doors of one process."""

    def __init__(
        self,
        directory: Directory,
        verifier: Verifier,
        store: Store,
        sessions: ForwardedSessions,
        capture: Capture,
        bus: Bus,
        executors: Executors,
        clock: Clock,
        *,
        master: Master | None = None,
        wait: float = LOGIN_WAIT_S,
    ) -> None:
        self._directory = directory
        self._verifier = verifier
        self._store = store
        self._sessions = sessions
        self._capture = capture
        self._bus = bus
        self._executors = executors
        self._clock = clock
        self._master = master
        self._wait = wait
        self._quotas = CurrentQuotas(
            lambda number: directory.account_by_id(number).allowance, clock.monotonic
        )

    async def login(self, name: str, password: str, peer: Peer, protocol: Protocol) -> Granted:
        """Raises AuthenticationFailed; Unavailable when the fence lasts longer than the wait or a dependency
        cannot answer; StaleEpoch when the account moves faster than we can follow."""
        try:
            for _ in range(_ATTEMPTS - 1):
                with contextlib.suppress(StaleEpoch):  # the account moved while the password was checked
                    return await self._login(name, password, peer, protocol)
            return await self._login(name, password, peer, protocol)
        except Unavailable:
            metrics.logins.labels(protocol, "unavailable").inc()
            raise

    async def _login(self, name: str, password: str, peer: Peer, protocol: Protocol) -> Granted:
        name, as_master = self._as_master(name, password)
        found = await self._settled(name)
        if found is None:
            await self._verifier.verify(None, password)  # the time that a wrong password takes
            await self.failed(name, peer, protocol)
        account, route = found.account, found.route
        if isinstance(route.home, BackendHome):
            if as_master or not account.active:
                await self._verifier.verify(None, password)
                await self.failed(name, peer, protocol, account)
            backend = await self._executors.run("directory", self._backend, route.home.backend)
            return Forward(
                account, backend, route, name, password, self._sessions, self._capture, protocol, peer
            )
        right = as_master or await self._verifier.verify(account, password)
        if not right or not account.active:
            await self.failed(name, peer, protocol, account)
        residence = Residence(account.id, route.home.shard, route.epoch)
        await self._executors.ask(f"store/{residence.shard}", self._grant, residence, account.address.domain)
        metrics.logins.labels(protocol, "served").inc()
        log.info("logged in", account=account.id, protocol=protocol, peer=peer.address, tls=bool(peer.tls))
        return Serve(account, residence)

    async def quota(self, account: Account) -> Quota:
        """The quota of an account that logged in, as it is now."""
        return await self._executors.run("directory", self._quotas.of, account.id, account.allowance)

    def _as_master(self, name: str, password: str) -> tuple[str, bool]:
        """("user", True) for "user*master" with the master's password; anything else stays as it is."""
        master = self._master
        if master is None or not name.endswith(f"*{master.name}"):
            return name, False
        if not hmac.compare_digest(password.encode(), master.password.encode()):
            return name, False
        return name.removesuffix(f"*{master.name}"), True

    async def _settled(self, name: str) -> Login | None:
        """The account and its route, once nobody holds a fence over it."""
        deadline = self._clock.monotonic() + self._wait
        listener = None
        try:
            while True:
                found = await self._executors.run("directory", self._directory.login, name)
                if found is None or found.route.door is not Door.HOLD:
                    return found
                left = deadline - self._clock.monotonic()
                if left <= 0:
                    raise Unavailable(f"account {found.account.id} is fenced for longer than {self._wait} s")
                if listener is None:  # first subscribe, then read again, then wait: no change is missed
                    listener = self._bus.listen(f"account:{found.account.id}")
                    continue
                await listener.wait(min(ROUTE_POLL_S, left))
        finally:
            if listener is not None:
                listener.close()

    def _backend(self, name: str) -> Backend:
        try:
            return self._directory.backend(name)
        except NotFound as error:
            raise Unavailable(f"a route leads to backend {name}, which is gone: {error}") from error

    def _grant(self, residence: Residence, domain: str) -> None:
        """From now on the shard takes writes under this route's epoch only. Opens the shard where nobody has."""
        try:
            self._store.shard(residence.shard).grant(residence.account_id, residence.epoch, domain)
        except NotFound as error:
            raise Unavailable(
                f"a route leads to shard {residence.shard}, which is not here: {error}"
            ) from error

    async def failed(
        self, name: str, peer: Peer, protocol: Protocol, account: Account | None = None
    ) -> NoReturn:
        """Count a failure, delay it where there were many, and raise AuthenticationFailed. The proxy calls it too,
        when a backend said no."""
        failures = await self._bus.count(f"login:{peer.address}:{name.casefold()[:200]}", FAILURE_WINDOW_S)
        log.info(
            "login failed", account=account.id if account else None, protocol=protocol, peer=peer.address
        )
        metrics.logins.labels(protocol, "refused").inc()
        if failures > FREE_FAILURES:
            await asyncio.sleep(min(MAX_DELAY_S, FAILURE_DELAY_S * (failures - FREE_FAILURES)))
        raise AuthenticationFailed("wrong name or password")
