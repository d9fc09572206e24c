"""Messages over: newest first, in bounded batches; while one batch is being stored the next are on their way.

What is here already is known from the store's UIDs, so that after a crash at most the batches in flight are
fetched again, and none is stored twice: the store takes a UID once.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence

from mailplat.core import disk
from mailplat.store import NewMessage
from migration import flags
from migration.errors import Halt
from migration.sources.contract import BATCH_MESSAGES, BATCH_OCTETS, Fetched, Listed, Source
from migration.target import Target

# Batches asked for ahead of the one that is being stored: hides the round trip, costs AHEAD * BATCH_OCTETS.
AHEAD = 2

Told = Callable[[int, int], None]  # messages, octets
# What is done with a batch before it is stored: its digests are kept (certificate/digests.py).
Keep = Callable[[Sequence[Fetched]], Awaitable[None]]


def batches(
    listed: Sequence[Listed], *, messages: int = BATCH_MESSAGES, octets: int = BATCH_OCTETS
) -> Iterator[list[Listed]]:
    """Newest first; a message larger than `octets` goes alone. A size that is not known counts as nothing."""
    batch: list[Listed] = []
    size = 0
    for each in sorted(listed, key=lambda one: -one.uid):
        if batch and (len(batch) >= messages or size + (each.size or 0) > octets):
            yield batch
            batch, size = [], 0
        batch.append(each)
        size += each.size or 0
    if batch:
        yield batch


async def fetch_ahead(
    source: Source, listed: Sequence[Listed]
) -> AsyncGenerator[tuple[list[Listed], list[Fetched]], None]:
    """Batches of these messages of the examined mailbox, and what came of them; while one is worked on the next are
    on their way. Who gets a batch closes its bodies; close the generator (contextlib.aclosing)."""
    waiting = batches(listed)
    flying: deque[tuple[list[Listed], asyncio.Task[list[Fetched]]]] = deque()
    try:
        while True:
            while len(flying) < 1 + AHEAD and (batch := next(waiting, None)) is not None:
                flying.append((batch, asyncio.ensure_future(source.fetch([each.uid for each in batch]))))
            if not flying:
                return
            batch, task = flying[0]
            fetched = await task
            flying.popleft()
            yield batch, fetched
    finally:
        await _drop(flying)


async def copy(
    source: Source,
    target: Target,
    mailbox: str,
    listed: Sequence[Listed],
    *,
    uidls: Mapping[int, str],
    checkpoint: Callable[[], None],
    told: Told,
    after_batch: Callable[[], Awaitable[None]],
    keep: Keep,
) -> int:
    """Copy these messages of the examined mailbox; how many came. One that has gone meanwhile is left out.
    `checkpoint` is called between batches and may raise to stop; `told` is told of each batch that is stored."""
    copied = 0
    missing: list[int] = []
    checkpoint()
    async with contextlib.aclosing(fetch_ahead(source, listed)) as stream:
        async for batch, fetched in stream:
            came = {each.uid for each in fetched}
            missing += [each.uid for each in batch if each.uid not in came]
            octets = await store(target, mailbox, fetched, uidls, keep)
            disk.step("move.batch")
            copied += len(fetched)
            told(len(fetched), octets)
            await after_batch()
            checkpoint()
    return copied + await _insist(source, target, mailbox, missing, uidls, told, keep)


async def store(
    target: Target, mailbox: str, fetched: Sequence[Fetched], uidls: Mapping[int, str], keep: Keep
) -> int:
    """Append one batch in one commit; its octets. Closes the bodies."""
    octets = sum(each.body.size for each in fetched)
    messages = [
        NewMessage(
            body=each.body,
            flags=flags.keep(each.flags)[0],
            internaldate=each.internaldate,
            internaldate_zone=each.zone,
            uid=each.uid,
            modseq=each.modseq,
            saved_at=each.saved_at,
            uidl=uidls.get(each.uid, ""),
            render_later=each.saved_at is None,  # what comes from another shard of ours was rendered there
        )
        for each in sorted(fetched, key=lambda one: one.uid)
    ]
    try:
        await keep(fetched)
        await target.append(mailbox, messages)
    finally:
        for each in fetched:
            each.body.close()
    return octets


async def _insist(
    source: Source,
    target: Target,
    mailbox: str,
    missing: list[int],
    uidls: Mapping[int, str],
    told: Told,
    keep: Keep,
) -> int:
    """Messages that were listed and did not come: gone, or not readable. The latter are asked for once more,
    each alone; a message that cannot be had is never passed over in silence."""
    copied = 0
    for each in await source.scan(uids=missing):
        fetched = await source.fetch([each.uid])
        if not fetched:
            if not await source.scan(uids=[each.uid]):
                continue
            raise Halt(
                f"the source lists UID {each.uid} of {mailbox!r} but does not give its content; repair or remove it"
                " there"
            )
        told(1, await store(target, mailbox, fetched, uidls, keep))
        copied += 1
    return copied


async def _drop(flying: "deque[tuple[list[Listed], asyncio.Task[list[Fetched]]]]") -> None:
    """After a failure: what still comes is closed unread."""
    tasks = [task for _, task in flying]
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if not isinstance(result, BaseException):
            for each in result:
                each.body.close()
