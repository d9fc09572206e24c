"""The store's door: shards by name, and the two ways in for messages."""

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, cast

from mailplat.bus import Bus
from mailplat.core import disk
from mailplat.core.clock import Clock, SystemClock
from mailplat.core.errors import InDoubt, InvalidInput, MailplatError, NotFound, StaleEpoch, Unavailable
from mailplat.core.executors import Executors
from mailplat.core.hint import MailboxChanged
from mailplat.core.quota import NO_QUOTA, Quota
from mailplat.core.route import Residence
from mailplat.store.append import REFUSALS, Arrival, is_fresh
from mailplat.store.identity import Expected, Registry
from mailplat.store.pools import Elsewhere
from mailplat.store.quota import pool_octets
from mailplat.store.shard import Shard
from mailplat.store.site import Site, Work
from mailplat.store.staging import Berth, Staged, discard, find_berth, stage_all
from mailplat.store.types import Appended, Copy, NewMessage, StoreLimits

R = TypeVar("R")
B = TypeVar("B")

# Messages of one append from which on one syncfs is cheaper than an fsync each, by far.
_MANY = 16

# Where each message has its own fsync, one thread of executor "spool" stages so many; several wait at once.
_SLICE = 12


class Store:
    """Opens each shard when it is first asked for: one that is broken harms no other."""

    def __init__(
        self,
        shards: Mapping[str, Path],
        executors: Executors,
        bus: Bus,
        clock: Clock | None = None,
        limits: StoreLimits | None = None,
        *,
        upkeep: bool = True,
        registry: Registry | None = None,
        pinned: Callable[[int], bool] | None = None,
    ) -> None:
        """`shards` may grow while it is in use. `upkeep` False: no thread brings names of files up to date; tests
        do it when they want to. `registry`: where the platform keeps which shards it has made.
        `pinned`: accounts whose tombstones are all kept (tombstones.py)."""
        self._paths = shards
        self._executors = executors
        self._bus = bus
        self._clock = clock or SystemClock()
        self._limits = limits or StoreLimits()
        self._upkeep = upkeep
        self._registry = registry
        self._pinned = pinned
        self._shards: dict[str, Shard] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._closed = False
        self._pools = Elsewhere(
            shards, lambda name, pool: pool_octets(self.shard(name).site, pool), self._clock.monotonic
        )

    def shard(self, name: str) -> Shard:
        """Raises NotFound for a name that is not configured, Unavailable when it cannot be opened."""
        shard = self._shards.get(name)
        if shard is None:
            if name not in self._paths:
                raise NotFound(f"no shard is called {name!r}; known: {', '.join(sorted(self._paths))}")
            # One that is slow to open keeps nobody from the others.
            with self._locks.setdefault(name, threading.Lock()):
                shard = self._shards.get(name)
                if shard is None:
                    shard = self._shards[name] = self._open(name, mend=False)
                    if self._closed:  # who asked was given up meanwhile
                        shard.close()
                        raise Unavailable(f"shard {name}: the store is closed, the process is shutting down")
        return shard

    @contextlib.contextmanager
    def mending(self, name: str) -> Iterator[Shard]:
        """A shard for `repair.rebuild`, also one that `shard` refuses; nobody else may have it open. Raises NotFound,
        Unavailable."""
        if name not in self._paths:
            raise NotFound(f"no shard is called {name!r}; known: {', '.join(sorted(self._paths))}")
        shard = self._open(name, mend=True)
        try:
            yield shard
        finally:
            shard.close()

    def _open(self, name: str, *, mend: bool) -> Shard:
        expected = Expected() if self._registry is None else Expected(*self._registry.expected(name))
        shard = Shard(
            name,
            self._paths[name],
            self._bus,
            self._clock,
            self._limits,
            upkeep=self._upkeep and not mend,
            expected=expected,
            mend=mend,
            elsewhere=lambda pool: self._pools.octets(pool, name),
            pinned=self._pinned,
        )
        if self._registry is not None and not mend and not expected.identity:
            try:
                self._registry.register(name, shard.site.seal.identity)
            except BaseException:
                shard.close()
                raise
        return shard

    async def opened(self, name: str) -> Shard:
        """As `shard`, without ever keeping the event loop waiting."""
        shard = self._shards.get(name)
        return shard if shard is not None else await self._executors.ask(f"store/{name}", self.shard, name)

    async def append(
        self,
        residence: Residence,
        mailbox: str,
        messages: Sequence[NewMessage],
        *,
        quota: Quota = NO_QUOTA,
        replacing: tuple[int, int] | None = None,
    ) -> list[Appended]:
        """Store all or none, in one commit that is on disk when this returns. A residence with a higher epoch
        than the shard knows is granted on the way. Runs to its end when it is cancelled. `replacing`: (number of a
        mailbox, UID) of a message that is expunged in the same commit, and whose octets count for the quota. Raises
        NotFound, MessageGone where there is none to replace, StaleEpoch, OverQuota, DiskFull, Unavailable,
        LimitReached, InvalidInput, AlreadyExists for a UID that is taken."""
        return await _to_the_end(_again(lambda: self._append(residence, mailbox, messages, quota, replacing)))

    async def deliver(
        self, copies: Sequence[tuple[Residence, str, Quota]], message: NewMessage
    ) -> list[Appended]:
        """One message into (residence, mailbox, quota) each, all of one shard: all or none, in one commit. The
        file is written once; the others are hard links. Raises as `append` does, InvalidInput for several
        shards."""
        return await _to_the_end(_again(lambda: self._deliver(copies, message)))

    async def deliver_each(
        self, copies: Sequence[Copy], message: NewMessage
    ) -> list[Appended | MailplatError]:
        """As `deliver`, but each copy stands for itself: one that is refused (NotFound, StaleEpoch, OverQuota,
        LimitReached) has that error for an answer, all others are in the one commit and share the file. A copy
        whose key is known is there already. Raises InvalidInput for several shards or an account twice, and what
        concerns all: DiskFull, Unavailable."""
        return await _to_the_end(_again(lambda: self._deliver_each(copies, message)))

    async def _append(
        self,
        residence: Residence,
        mailbox: str,
        messages: Sequence[NewMessage],
        quota: Quota,
        replacing: tuple[int, int] | None,
    ) -> list[Appended]:
        if not messages:
            return []
        site = (await self.opened(residence.shard)).site
        lane = residence.shard
        if len(messages) < _MANY:
            berth, staged = await self._stage(
                lane, "spool", _berth_and_stage, site, residence, mailbox, quota, messages, replacing
            )
        else:
            berth = await self._executors.ask(
                f"store/{lane}", find_berth, site, residence, mailbox, quota, messages
            )
            stage_many = self._stage_batch if disk.Batch.supported else self._stage_slices
            staged = await stage_many(site, messages, berth)
        return _all_stored(await self._commit(site, [berth], staged, replacing=replacing))

    async def _deliver(
        self, copies: Sequence[tuple[Residence, str, Quota]], message: NewMessage
    ) -> list[Appended]:
        if not copies:
            return []
        lane = _one_shard(residence for residence, _, _ in copies)
        shard = await self.opened(lane)
        berths, staged = await self._stage(lane, "spool", _berths_and_stage, shard.site, copies, message)
        return _all_stored(await self._commit(shard.site, berths, staged))

    async def _deliver_each(
        self, copies: Sequence[Copy], message: NewMessage
    ) -> list[Appended | MailplatError]:
        if not copies:
            return []
        lane = _one_shard(copy.residence for copy in copies)
        if len({copy.residence.account_id for copy in copies}) != len(copies):
            raise InvalidInput("one delivery into several mailboxes of an account")
        site = (await self.opened(lane)).site
        found, staged = await self._stage(lane, "spool", _free_berths_and_stage, site, copies, message)
        berths = [berth for berth in found if isinstance(berth, Berth)]
        stored = iter(await self._commit(site, berths, staged, each=True) if berths else ())
        answers = [next(stored) if isinstance(berth, Berth) else berth for berth in found]
        # What was remembered of a mailbox may be outdated: these are looked up, once, and delivered alone.
        late = [
            (number, berth.name)
            for number, (berth, answer) in enumerate(zip(found, answers, strict=True))
            if isinstance(berth, Berth) and berth.remembered and isinstance(answer, (NotFound, StaleEpoch))
        ]
        if late:
            for number, name in late:
                site.forget_mailbox(copies[number].residence, name)
            second = await self._deliver_each([copies[number] for number, _ in late], message)
            for (number, _), answer in zip(late, second, strict=True):
                answers[number] = answer
        return answers

    async def _stage(
        self, lane: str, pool: str, function: Callable[..., tuple[B, list[Staged]]], *args: Any
    ) -> tuple[B, list[Staged]]:
        """Staging may be given up, nothing is acknowledged yet: what a stalled disk has written when it comes back is
        removed."""
        return await self._executors.ask_or_undo(
            f"{pool}/{lane}", lambda result: discard(each.path for each in result[1]), function, *args
        )

    async def _stage_batch(self, site: Site, messages: Sequence[NewMessage], berth: Berth) -> list[Staged]:
        batch = await self._executors.ask(f"spool/{site.name}", disk.Batch, site.tmp)
        try:
            _, staged = await self._stage(site.name, "bulk", _stage_unsynced, site, messages, berth.keywords)
            try:
                await self._executors.ask(f"spool/{site.name}", batch.sync, "append.syncfs")
            except BaseException:
                await self._executors.run(f"spool/{site.name}", discard, [each.path for each in staged])
                raise
        finally:
            batch.close()
        return staged

    async def _stage_slices(self, site: Site, messages: Sequence[NewMessage], berth: Berth) -> list[Staged]:
        slices = [messages[start : start + _SLICE] for start in range(0, len(messages), _SLICE)]
        calls = [
            self._executors.run(f"spool/{site.name}", stage_all, site, some, berth.keywords)
            for some in slices
        ]
        staged: list[Staged] = []
        errors: list[BaseException] = []
        for result in await asyncio.gather(*calls, return_exceptions=True):
            if isinstance(result, BaseException):
                errors.append(result)
            else:
                staged += result
        if errors:
            await self._executors.run(f"spool/{site.name}", discard, [each.path for each in staged])
            raise errors[0]
        return staged

    async def _commit(
        self,
        site: Site,
        berths: Sequence[Berth],
        staged: Sequence[Staged],
        *,
        each: bool = False,
        replacing: tuple[int, int] | None = None,
    ) -> list[Appended | MailplatError]:
        """Raises _Outdated where a mailbox that was remembered is another one now, or gone."""
        arrival = Arrival(site, berths, staged, each, replacing)
        try:
            results = await asyncio.wrap_future(site.submit(Work(arrival.apply, arrival.place)))
        except InDoubt:
            raise  # rows that speak of these files may come back after a crash; verify sweeps what has none
        except BaseException as error:
            await self._executors.run(f"spool/{site.name}", arrival.abandon)
            if isinstance(error, (NotFound, StaleEpoch)) and any(berth.remembered for berth in berths):
                for berth in berths:
                    site.forget_mailbox(berth.residence, berth.name)
                raise _Outdated(error) from error
            raise
        disk.step("append.commit")
        if not all(map(is_fresh, results)):
            await self._executors.run(f"spool/{site.name}", arrival.drop_unused, results)
        changed = [(berth.residence.account_id, berth.mailbox_id) for berth in berths]
        if replacing is not None:
            changed.append((changed[0][0], replacing[0]))
        site.publish(*(MailboxChanged(*each) for each in dict.fromkeys(changed)))
        return results

    def close(self) -> None:
        """Finish what was begun in every shard. Idempotent."""
        self._closed = True
        self._pools.close()
        for shard in list(self._shards.values()):
            shard.close()


def _berth_and_stage(
    site: Site,
    residence: Residence,
    mailbox: str,
    quota: Quota,
    messages: Sequence[NewMessage],
    replacing: tuple[int, int] | None,
) -> tuple[Berth, list[Staged]]:
    # What is replaced makes room: only the transaction can tell whether it is enough.
    berth = find_berth(site, residence, mailbox, quota if replacing is None else quota.counted, messages)
    if replacing is not None:
        berth = replace(berth, quota=quota, elsewhere=site.elsewhere(quota))
    return berth, stage_all(site, messages, berth.keywords)


def _berths_and_stage(
    site: Site, copies: Sequence[tuple[Residence, str, Quota]], message: NewMessage
) -> tuple[list[Berth], list[Staged]]:
    berths = [find_berth(site, residence, mailbox, quota, [message]) for residence, mailbox, quota in copies]
    return berths, stage_all(site, [message], berths[0].keywords)


def _free_berths_and_stage(
    site: Site, copies: Sequence[Copy], message: NewMessage
) -> tuple[list[Berth | MailplatError], list[Staged]]:
    found: list[Berth | MailplatError] = []
    for copy in copies:
        try:
            berth = find_berth(site, copy.residence, copy.mailbox, copy.quota, [message])
            found.append(replace(berth, dedupe=copy.dedupe))
        except REFUSALS as error:
            found.append(error)
    keywords = next((berth.keywords for berth in found if isinstance(berth, Berth)), None)
    return found, stage_all(site, [message], keywords) if keywords is not None else []


def _one_shard(residences: Iterable[Residence]) -> str:
    names = {residence.shard for residence in residences}
    if len(names) != 1:
        raise InvalidInput(f"one delivery into several shards: {', '.join(sorted(names))}")
    return names.pop()


def _all_stored(results: Sequence[Appended | MailplatError]) -> list[Appended]:
    """Of an arrival that is all or none."""
    return cast(list[Appended], results)


def _stage_unsynced(
    site: Site, messages: Sequence[NewMessage], keywords: Mapping[str, int]
) -> tuple[None, list[Staged]]:
    return None, stage_all(site, messages, keywords, sync=False)


class _Outdated(Exception):
    """What was remembered of a mailbox is not true any more."""

    def __init__(self, reason: MailplatError) -> None:
        super().__init__(str(reason))
        self.reason = reason


async def _again(attempt: Callable[[], Awaitable[R]]) -> R:
    """Once more with everything looked up, where what was remembered was outdated."""
    try:
        return await attempt()
    except _Outdated:
        try:
            return await attempt()
        except _Outdated as error:  # changed once more meanwhile
            raise error.reason from None


async def _to_the_end(work: Coroutine[Any, Any, R]) -> R:
    """A cancelled caller still waits: it owns the bodies that are being written."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # looked at: nobody else will
        raise
