"""Keys for SCRAM made of passwords that come in with PLAIN, where the account's domain asks for them; a login never
waits for it. And whether anybody asks: SCRAM is offered where somebody can use it."""

import asyncio
import collections
import hashlib

import structlog

from mailplat.core.clock import Clock
from mailplat.core.errors import InvalidInput, MailplatError
from mailplat.core.executors import Executors
from mailplat.directory import Account
from mailplat.directory.scram_keys import ScramStore
from mailplat.wire.sasl import derive_keys

log = structlog.get_logger("login")

# Passwords that wait for their keys, each in memory until then: 10 ms each in 2 threads. The rest is left for its
# owner's next login.
MAX_WAITING = 200
# Passwords that no keys can be made of, so that their owner's login in every minute does not try in every minute. 100
# octets each. Whether keys are there is asked each time: an admin may have turned them off and on again.
MAX_HOPELESS = 50_000
# Seconds that an answer to "does any domain want keys?" is good for: so long an admin waits for what he turned on.
FRESH_S = 5.0


class Enrolment:
    """One per process, in its event loop."""

    def __init__(self, store: ScramStore, executors: Executors, clock: Clock) -> None:
        self._store = store
        self._executors = executors
        self._clock = clock
        self._hopeless: collections.OrderedDict[bytes, None] = collections.OrderedDict()
        self._tasks: dict[bytes, asyncio.Task[None]] = {}
        self._wanted = False
        self._looked = -FRESH_S  # when `wanted` was asked for last
        self._looking: asyncio.Task[None] | None = None

    @property
    def wanted(self) -> bool:
        """Whether a domain asks for keys, as of the last look; looks again where that is long ago."""
        now = self._clock.monotonic()
        if now - self._looked >= FRESH_S and self._looking is None:
            self._looked = now
            self._looking = asyncio.create_task(self._look())
        return self._wanted

    async def look(self) -> None:
        """Now, for who cannot wait for the next one."""
        self._wanted = await self._executors.run("directory", self._store.wanted)

    async def _look(self) -> None:
        try:
            await self.look()
        except MailplatError as error:
            log.warning("whether SCRAM is wanted cannot be seen now", reason=str(error))
        finally:
            self._looking = None

    def offer(self, account: Account, password: str) -> None:
        """This is the account's own password. Returns at once."""
        if not account.scram:
            return
        key = hashlib.blake2b(f"{account.id} {account.password_hash}".encode(), digest_size=16).digest()
        if key in self._hopeless:
            self._hopeless.move_to_end(key)
        elif key not in self._tasks and len(self._tasks) < MAX_WAITING:
            task = asyncio.create_task(self._make(account, password, key))
            self._tasks[key] = task
            task.add_done_callback(lambda _: self._tasks.pop(key, None))

    async def settled(self) -> None:
        """Returns when nothing waits any more."""
        await asyncio.gather(*self._all())

    def _all(self) -> list[asyncio.Task[None]]:
        return [*self._tasks.values(), *([self._looking] if self._looking else [])]

    async def close(self) -> None:
        """What waits is left for its owner's next login."""
        tasks = self._all()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _make(self, account: Account, password: str, key: bytes) -> None:
        run = self._executors.run
        try:
            if await run("directory", self._store.keys, account) is None:
                keys = await run("password", derive_keys, password)
                if await run("directory", self._store.put, account, keys):
                    log.info("keys for SCRAM made", account=account.id)
        except InvalidInput as error:
            log.info("no keys for SCRAM of this password", account=account.id, reason=str(error))
            self._hopeless[key] = None
            while len(self._hopeless) > MAX_HOPELESS:
                self._hopeless.popitem(last=False)
        except MailplatError as error:  # the directory is locked or gone: again at the next login
            log.warning("keys for SCRAM not made", account=account.id, reason=str(error))
