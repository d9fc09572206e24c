"""One login for every reader's door: who is it, may he, and where is his mail.

The route decides before the password: an account that lives on a backend is checked there and nowhere else. While
an account is fenced a login waits; it neither fails nor sees an empty mailbox.
"""

import asyncio
import contextlib
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Literal, NoReturn, TypeVar

import structlog

from mailplat.access.capture import Capture
from mailplat.access.enrolment import Enrolment
from mailplat.access.forwarding import ForwardedSessions
from mailplat.access.introspection import Introspection
from mailplat.access.rehash import Rehash
from mailplat.access.throttle import Throttle, ThrottleLimits
from mailplat.admin import metrics
from mailplat.bus import Bus
from mailplat.core.address import Address
from mailplat.core.clock import Clock
from mailplat.core.envelope import Peer
from mailplat.core.errors import MailplatError, NotFound, StaleEpoch, Unavailable
from mailplat.core.executors import Executors
from mailplat.core.quota import Quota
from mailplat.core.route import BackendHome, Door, Residence, Route, ShardHome
from mailplat.directory import Account, Backend, Directory, Login
from mailplat.directory.app_passwords import AppPasswords, digest_of
from mailplat.directory.credentials import Verifier
from mailplat.directory.quotas import CurrentQuotas
from mailplat.directory.reading_passes import ReadingPasses, is_pass
from mailplat.directory.scram_keys import ScramStore
from mailplat.store import Store
from mailplat.usage import Meter
from mailplat.wire.sasl import ScramKeys

log = structlog.get_logger("login")

Protocol = Literal["imap", "pop3"]
T = TypeVar("T")

# How long a login waits for a fence to end. A fence lasts 30 s at most; the rest is for noticing.
LOGIN_WAIT_S = 40.0
# While waiting: how often the route is read when no hint comes.
ROUTE_POLL_S = 0.5

# Whose keys are looked up where a name is nobody's; no account has this number.
_NOBODY = Account(0, Address("nobody", "invalid"), "", 0, False)

# An account that moves while its password is checked is looked up again.
_ATTEMPTS = 3

# Accounts whose shard is known to know them, some 200 octets each.
REMEMBERED = 20_000

# The answer to each failure beyond those that are free (throttle.py) comes so much later; it grows to the cap.
FAILURE_DELAY_S = 1.0
MAX_DELAY_S = 8.0


class AuthenticationFailed(MailplatError):
    """Wrong name or password; which of the two is not said. IMAP NO [AUTHENTICATIONFAILED], POP3 -ERR [AUTH]."""


class PasswordNeeded(MailplatError):
    """The account lives on a backend, which checks the password itself: only mechanisms that hand it over can be
    passed on (PLAIN, LOGIN). Raised for who has proven who he is. IMAP NO [CANNOT], POP3 -ERR [SYS/PERM]."""


class MaildropInUse(Unavailable):
    """Another POP3 session has the maildrop, here or at the backend. POP3 -ERR [IN-USE]."""


@dataclass(frozen=True, slots=True)
class Serve:
    """The account's mail is in our shard."""

    account: Account
    residence: Residence
    reading: bool = False  # by a pass of the platform's own: the session may only read


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
    meter: Meter = field(repr=False)

    @property
    def found(self) -> Login:
        return Login(self.account, self.route)


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
        throttle: ThrottleLimits | None = None,
        tokens: Introspection | None = None,
        rehash: bool = False,
        meter: Meter | None = None,
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
        self.meter = meter or Meter(clock)
        self._tokens = tokens
        self._app_passwords = AppPasswords(directory.database, clock)
        self._passes = ReadingPasses(directory.database, clock)
        self._scram = ScramStore(directory.database)
        self.enrolment = Enrolment(self._scram, executors, clock)
        self.rehash = Rehash(self._scram, self.enrolment, executors, wanted=rehash)
        self.throttle = Throttle(bus, throttle or ThrottleLimits())
        # What the shards were told. It stays true while this process has them open: an epoch there only grows, and
        # who comes with one that is too old is refused by each write, and ended when the route's change is heard of.
        self._served: dict[int, Residence] = {}
        self._quotas = CurrentQuotas(
            lambda number: directory.account_by_id(number).allowance, clock.monotonic
        )

    async def login(self, name: str, password: str, peer: Peer, protocol: Protocol) -> Granted:
        """Raises AuthenticationFailed; Unavailable when the fence lasts longer than the wait or a dependency
        cannot answer; StaleEpoch when the account moves faster than we can follow."""
        return await self._followed(lambda: self._login(name, password, peer, protocol), protocol)

    async def admit(self, name: str, peer: Peer, protocol: Protocol) -> Serve:
        """Who has proven to be `name` without a password. Raises as `login`, and PasswordNeeded."""
        return await self._followed(lambda: self._admit(name, peer, protocol), protocol)

    async def resume(self, granted: Forward) -> Granted:
        """The next home of a session that its backend had let in. Raises as `login`."""
        return await self._followed(lambda: self._resume(granted), granted.protocol)

    async def follow(self, served: Serve, peer: Peer) -> Serve:
        """The next home of an IMAP session that is served here, once its account is settled. Raises as `admit`."""
        admitted = await self.admit(str(served.account.address), peer, "imap")
        if admitted.account.id != served.account.id:
            raise AuthenticationFailed("the address is another account's by now")
        return admitted

    async def _resume(self, granted: Forward) -> Granted:
        found = await self._settled(str(granted.account.address))
        if found is None or found.account.id != granted.account.id or not found.account.active:
            raise AuthenticationFailed("the account is not there any more")
        if not isinstance(found.route.home, BackendHome):
            return self._counted(
                await self._serve(found.account, found.route, granted.peer, granted.protocol)
            )
        backend = await self._executors.run("directory", self._backend, found.route.home.backend)
        return replace(granted, account=found.account, backend=backend, route=found.route)

    async def keys(self, name: str) -> ScramKeys:
        """For SCRAM (RFC 5802). Who has none, of whatever reason, gets some that no password opens and that look like
        anybody's (RFC 5802 9). Raises Unavailable."""
        return await self._executors.run("directory", self._find_keys, name)

    async def close(self) -> None:
        """What waits to be made of passwords is left for their owners' next logins."""
        await asyncio.gather(self.enrolment.close(), self.rehash.close())

    async def owner(self, token: str) -> str | None:
        """Whose access token this is; None for one that opens nothing. Raises Unavailable."""
        return None if self._tokens is None else await self._tokens.owner(token)

    @property
    def offers_scram(self) -> bool:
        return self.enrolment.wanted

    @property
    def offers_tokens(self) -> bool:
        return self._tokens is not None

    async def _followed(self, attempt: Callable[[], Awaitable[T]], protocol: Protocol) -> T:
        """Again, where the account moved meanwhile."""
        try:
            for _ in range(_ATTEMPTS - 1):
                with contextlib.suppress(StaleEpoch):
                    return await attempt()
            return await attempt()
        except Unavailable:
            metrics.logins.labels(protocol, "unavailable").inc()
            raise

    async def _login(self, name: str, password: str, peer: Peer, protocol: Protocol) -> Granted:
        if is_pass(password):
            return await self._read(name, password, peer, protocol)
        name, as_master = self._as_master(name, password)
        found = await self._settled(name)
        if found is None:
            await self._verifier.verify(None, password)  # the time that a wrong password takes
            await self.failed(name, peer, protocol)
        account, route = found.account, found.route
        if isinstance(route.home, BackendHome):
            if as_master or not account.active:
                await self._verifier.verify(None, password)
                await self.failed(name, peer, protocol, found)
            backend = await self._executors.run("directory", self._backend, route.home.backend)
            tools = (self._sessions, self._capture, protocol, peer, self.meter)
            return Forward(account, backend, route, name, password, *tools)
        right = as_master or await self._verify(account, password, protocol)
        if not right or not account.active:
            await self.failed(name, peer, protocol, found)
        return self._counted(await self._serve(account, route, peer, protocol))

    async def _read(self, name: str, secret: str, peer: Peer, protocol: Protocol) -> Serve:
        """By a pass, over IMAP, to an account that lives here; one that is turned off can be read too."""
        found = await self._settled(name)
        if found is None or protocol != "imap" or isinstance(found.route.home, BackendHome):
            await self.failed(name, peer, protocol)
        redeem = self._passes.redeem
        account = found.account
        if not await self._executors.run("directory", redeem, account.id, secret, peer.address, peer.port):
            await self.failed(name, peer, protocol)
        served = await self._serve(account, found.route, peer, protocol)
        return replace(served, reading=True)

    async def _admit(self, name: str, peer: Peer, protocol: Protocol) -> Serve:
        found = await self._settled(name)
        if found is None or not found.account.active:
            await self.failed(name, peer, protocol, found)
        if isinstance(found.route.home, BackendHome):
            raise PasswordNeeded(f"account {found.account.id} lives on {found.route.home}")
        return self._counted(await self._serve(found.account, found.route, peer, protocol))

    def _counted(self, served: Serve) -> Serve:
        """Not for a pass: what the platform reads is no use that somebody makes of it."""
        account = served.account
        self.meter.login(account.id, account.address.domain, ShardHome(served.residence.shard))
        return served

    async def _serve(self, account: Account, route: Route, peer: Peer, protocol: Protocol) -> Serve:
        assert isinstance(route.home, ShardHome)
        residence = Residence(account.id, route.home.shard, route.epoch)
        if self._served.get(account.id) != residence:
            await self._executors.ask(
                f"store/{residence.shard}", self._grant, residence, account.address.domain
            )
            if len(self._served) >= REMEMBERED:
                self._served.clear()
            self._served[account.id] = residence
        metrics.logins.labels(protocol, "served").inc()
        log.info("logged in", account=account.id, protocol=protocol, peer=peer.address, tls=bool(peer.tls))
        return Serve(account, residence)

    async def _verify(self, account: Account, password: str, protocol: Protocol) -> bool:
        """An app password of the account that opens this protocol, or its own password where that is taken."""
        app_password = None
        if digest_of(password) is not None:
            find = self._app_passwords.find
            app_password = await self._executors.run("directory", find, account.id, password)
            if app_password is not None and app_password.opens(protocol, self._clock.now()):
                log.info("app password used", account=account.id, label=app_password.label)
                return True
        right = await self._verifier.verify(account, password)
        if app_password is not None:
            log.info("app password does not open this", account=account.id, label=app_password.label)
        if right and account.app_passwords_only:
            # Not said to the client: it would tell who guesses that he has found the password.
            log.info("refused: the domain takes app passwords only", account=account.id)
            return False
        if right and app_password is None:
            self.enrolment.offer(account, password)
            self.rehash.offer(account, password)
        return right

    def _find_keys(self, name: str) -> ScramKeys:
        """The same look-ups for all, whatever comes of them."""
        decoy = self._scram.decoy(self._directory.login_key(name) or name)
        found = self._directory.login(name)
        keys = self._scram.keys(found.account if found else _NOBODY)
        usable = (
            found is not None
            and found.account.active
            and found.account.scram
            and not found.account.app_passwords_only
            and isinstance(found.route.home, ShardHome)
        )
        return keys if usable and keys is not None else decoy

    async def quota(self, account: Account) -> Quota:
        """The quota of an account that logged in, as it is now."""
        known = self._quotas.remembered(account.id)
        if known is not None:
            return known
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

    async def reject(self, name: str, peer: Peer, protocol: Protocol) -> NoReturn:
        """A wrong proof or token counts as a wrong password does. Raises AuthenticationFailed, Unavailable."""
        found = await self._executors.run("directory", self._directory.login, name) if name else None
        await self.failed(name, peer, protocol, found)

    async def count_failure(
        self, name: str, peer: Peer, protocol: Protocol, found: Login | None = None
    ) -> int:
        """For who gets no answer that could be delayed. By how many the throttle's limits are passed."""
        excess = await self.throttle.excess(name, peer.address)
        account = found.account if found else None
        log.info(
            "login failed", account=account.id if account else None, protocol=protocol, peer=peer.address
        )
        if found is not None:
            self.meter.refusal(found.account.id, found.account.address.domain, found.route.home)
        metrics.logins.labels(protocol, "refused").inc()
        return excess

    async def failed(self, name: str, peer: Peer, protocol: Protocol, found: Login | None = None) -> NoReturn:
        """Count a failure, delay it where there were many, and raise AuthenticationFailed. The proxy calls it too,
        when a backend said no. `found`: whose account that is."""
        excess = await self.count_failure(name, peer, protocol, found)
        if excess:
            await asyncio.sleep(min(MAX_DELAY_S, FAILURE_DELAY_S * excess))
        raise AuthenticationFailed("wrong name or password")
