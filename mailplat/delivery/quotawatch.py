"""Sends the warnings that appends have made due: one message into the INBOX of the account, or of the postmaster of a
domain. Behind the appends, by every worker; a dedupe key makes it one message whoever comes first.

What is true after a crash
    in the append's transaction      neither the message nor its warning
    behind it                        the warning is due: the next round of any worker sends it
    warning.told                     the message is there and its warning is due: it is sent again, to no effect
    warning.settled                  all of it

A warning is counted like any message and refused for no quota. One that is no longer true when its turn comes (mail
was removed, the quota raised, the account moved away) is dropped, and the level may be crossed again.

It also tells shards the domains of accounts that they do not know: an index that an older release made.
"""

import asyncio
import contextlib
from collections.abc import Iterable

import structlog

from mailplat.admin import metrics
from mailplat.core import disk
from mailplat.core.address import NULL_SENDER, Address
from mailplat.core.clock import Clock
from mailplat.core.errors import MailplatError, NotFound, Unavailable
from mailplat.core.executors import Executors
from mailplat.core.quota import Quota
from mailplat.core.route import Door, Residence, Route, ShardHome
from mailplat.core.spool import Body
from mailplat.core.wording import Wording
from mailplat.delivery.local import INBOX, residence_of
from mailplat.delivery.trace import return_path
from mailplat.delivery.warning import account_warning, pool_warning
from mailplat.directory import Account, Directory
from mailplat.store import NewMessage, Shard, Store
from mailplat.store.quota import Crossing

log = structlog.get_logger("quota")

# Seconds between two looks at a shard: one SELECT on an index that is empty nearly always. So late a warning may be.
POLL_S = 5.0

# Warnings of one look; more wait for the next.
BATCH = 100

# Accounts asked about in one go, and seconds until a shard is asked again for those whose domain it does not know.
ACCOUNTS = 500
ADOPT_S = 600.0


class QuotaWatch:
    """One for a process. `shards` are the names that there are, and may grow."""

    def __init__(
        self,
        directory: Directory,
        store: Store,
        shards: Iterable[str],
        executors: Executors,
        clock: Clock,
        *,
        hostname: str,
        wording: Wording | None = None,
        poll: float = POLL_S,
    ) -> None:
        self._directory = directory
        self._store = store
        self._shards = shards
        self._executors = executors
        self._clock = clock
        self._hostname = hostname
        self._wording = wording or Wording()
        self._poll = poll
        self._adopted: dict[str, float] = {}
        self._failing: set[str] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`. Each shard has a task: one that stalls keeps no other waiting."""
        looking: dict[str, asyncio.Task[None]] = {}
        try:
            while not stop.is_set():
                for name in self._shards:
                    if name not in looking or looking[name].done():
                        looking[name] = asyncio.create_task(self._look_safely(name))
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), self._poll)
        finally:
            for task in looking.values():
                task.cancel()
            await asyncio.gather(*looking.values(), return_exceptions=True)

    async def _look_safely(self, name: str) -> None:
        try:
            await self.look(name)
            self._failing.discard(name)
        except MailplatError as error:
            if name not in self._failing:  # said once
                self._failing.add(name)
                log.warning("quotas of a shard are not watched", shard=name, reason=str(error))
        except Exception:
            log.exception("quota watch failed: this is a bug", shard=name)

    async def look(self, name: str) -> None:
        """Send what is due in one shard. Raises Unavailable."""
        shard = await self._open(name)
        await self._adopt(shard)
        for crossing in await self._executors.ask(f"quota/{name}", shard.due_warnings, BATCH):
            try:
                told = await (self._tell_pool if crossing.pool else self._tell_account)(shard, crossing)
            except MailplatError as error:
                log.warning("warning not sent yet", shard=name, crossing=crossing, reason=str(error))
                continue
            disk.step("warning.told")
            await self._executors.run(f"quota/{name}", shard.settle_warning, crossing, told)
            disk.step("warning.settled")

    async def _tell_account(self, shard: Shard, crossing: Crossing) -> bool:
        """False where it is not true any more. Raises Unavailable where nobody can say now."""
        try:
            account, route = await self._executors.run("directory", self._resident, crossing.account_id)
        except NotFound:
            return False
        residence = _residence_in(shard, route)
        if residence is None:
            return False
        octets, _ = await self._executors.ask(f"quota/{shard.name}", shard.usage, residence)
        if not account.quota or octets * 100 < crossing.level * account.quota:
            return False
        key = f"quota/{crossing.level}/{crossing.at}"
        letter = account_warning(
            self._wording,
            account.address,
            used=octets,
            quota=account.quota,
            message_id=f"{key.replace('/', '.')}.{account.id}@{self._hostname}",
            now=self._clock.now(),
        )
        if await self._put(residence, account.allowance, letter, key):
            metrics.quota_warnings.labels("account", str(crossing.level)).inc()
            log.info("account warned", account=account.id, percent=crossing.level, octets=octets)
        return True

    async def _tell_pool(self, shard: Shard, crossing: Crossing) -> bool:
        """As `_tell_account`, for everybody who has the mail of the domain's postmaster, as far as he lives here."""
        domain = crossing.pool
        try:
            limit = (await self._executors.run("directory", self._directory.domain, domain)).quota
        except NotFound:
            return False
        octets = await self._executors.ask(f"quota/{shard.name}", shard.pool_octets, Quota(0, domain, limit))
        if not limit or octets * 100 < crossing.level * limit:
            return False
        resolution = await self._executors.run(
            "directory", self._directory.resolve, Address("postmaster", domain)
        )
        if any(target.route.door is Door.HOLD for target in resolution.targets):
            raise Unavailable(f"the postmaster of {domain} is being moved")
        homes = [
            (target, home)
            for target in resolution.targets
            if (home := residence_of(target.route)) is not None
        ]
        key = f"quota/{domain}/{crossing.level}/{await self._first(shard, crossing)}"
        fresh = not homes
        for target, home in homes:
            letter = pool_warning(
                target.address,
                domain,
                used=octets,
                quota=limit,
                message_id=f"{key.replace('/', '.')}.{target.account_id}@{self._hostname}",
                now=self._clock.now(),
            )
            fresh = await self._put(home, target.quota, letter, key) or fresh
        if fresh:
            metrics.quota_warnings.labels("domain", str(crossing.level)).inc()
            log.warning(
                "domain reaches its quota", domain=domain, percent=crossing.level, octets=octets, quota=limit
            )
        return True

    async def _put(self, residence: Residence, quota: Quota, letter: bytes, key: str) -> bool:
        """False where it was there already."""
        body = Body.of(letter)
        try:
            message = NewMessage(body, return_path(NULL_SENDER), dedupe=key)
            [done] = await self._store.deliver([(residence, INBOX, quota.counted)], message)
        finally:
            body.close()
        return not done.duplicate

    async def _first(self, here: Shard, crossing: Crossing) -> int:
        """Each shard with accounts of the pool sees its level reached, a moment after the first; all go by that one's
        time. A shard that cannot be asked may mean a second message, and no more."""
        first = crossing.at
        for name in self._shards:
            try:
                shard = await self._open(name)
                first = min(first, await self._executors.ask(f"quota/{name}", shard.first_crossing, crossing))
            except Unavailable as error:
                log.warning(
                    "shard not asked for its warnings", shard=name, asked_by=here.name, reason=str(error)
                )
        return first

    async def _open(self, name: str) -> Shard:
        """Not in the threads that clients wait for."""
        return await self._executors.ask(f"quota/{name}", self._store.shard, name)

    def _resident(self, account_id: int) -> tuple[Account, Route]:
        return self._directory.account_by_id(account_id), self._directory.route(account_id)

    async def _adopt(self, shard: Shard) -> None:
        now = self._clock.monotonic()
        if now - self._adopted.get(shard.name, float("-inf")) < ADOPT_S:
            return
        beyond = 0
        lane = f"quota/{shard.name}"
        while found := await self._executors.ask(lane, shard.poolless, beyond, ACCOUNTS):
            domains = await self._executors.run("directory", self._directory.domains_of, found)
            if domains:
                await self._executors.run(lane, shard.assign_pools, domains)
            beyond = found[-1]
        self._adopted[shard.name] = now


def _residence_in(shard: Shard, route: Route) -> Residence | None:
    """None where the account lives in another place by now. Raises Unavailable while it is moved."""
    if route.door is Door.HOLD:
        raise Unavailable(f"account {route.account_id} is being moved")
    residence = residence_of(route)
    return residence if route.home == ShardHome(shard.name) else None
