"""One mailbox: what is new here goes there, in UID order; flags. What is gone is only told."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from mailplat.core import disk
from mailplat.core.errors import Unavailable
from mailplat.store import Mailbox
from migration import flags
from migration.back.judgement import filler, judge, settle
from migration.back.returning import Return
from migration.book import Round
from migration.origins import Origin
from migration.sources.contract import Listed, SourceMailbox, Status

# Appended before it is written down how far a mailbox is: as many may have to be recognised after a crash.
BATCH = 32
# Looks at a mailbox while strays of it are settled, or placeholders removed.
LOOKS = 5
# Seconds between two looks at a mailbox that does not show yet what was appended: Courier's times are whole seconds.
LOOK_AGAIN_S = 0.5
# STOREs at most to raise HIGHESTMODSEQ there above ours: some seconds of a fence.
RAISES = 4000

_FILLER_FLAGS = ("\\Seen", "\\Deleted")


@dataclass(slots=True)
class Left:
    """A mailbox that has all that is new; `gone` is still there and was expunged here, `waste` was never users' mail
    or is here under another UID."""

    source: SourceMailbox
    origin: Origin
    mailbox: Mailbox | None
    gone: list[int] = field(default_factory=list)
    waste: list[int] = field(default_factory=list)
    unproven: int = 0  # of `gone`: the store cannot tell any more that they were expunged


async def sync(
    returning: Return, source: SourceMailbox, origin: Origin, mailbox_id: int, done: Round
) -> Left:
    """Raises Halt, Unavailable, NotFound, Paused."""
    here, there = returning.here, returning.there
    await raise_modseq(returning, source, origin, mailbox_id)
    for _ in range(LOOKS):
        mailbox = await here.mailbox(mailbox_id)
        status = await there.select(source)
        check_uidvalidity(source.name, status, origin)
        snapshot = await here.snapshot(mailbox.id)
        have = dict(zip(snapshot.uids, (snapshot.flagsets[index] for index in snapshot.flags), strict=True))
        listed = {each.uid: each for each in await there.scan()}
        uidnext = status.uidnext or max([*listed, origin.below - 1]) + 1
        mailbox = replace(mailbox, uidnext=snapshot.uidnext)
        found = await judge(returning, origin, mailbox, listed, have, uidnext)
        if not await settle(returning, origin, mailbox, status, listed, found, done):
            break
    else:
        raise Unavailable(f"mailbox {source.name!r} changes on the backend as fast as it is looked at")
    if uidnext > snapshot.uidnext:
        await here.raise_numbers(mailbox.id, uidnext, 1)
    origin = await _append(returning, source, origin, mailbox, have, range(uidnext, snapshot.uidnext), done)
    done.changed += await _change_flags(returning, have, listed)
    waste = sorted({*found.fillers, *returning.doomed.get(origin.object_id, set()).intersection(listed)})
    gone = [uid for uid in listed if uid < origin.below and uid not in have and uid not in waste]
    left = Left(source, origin, mailbox, gone, waste, await _unproven(returning, mailbox, origin, gone))
    if not gone and not waste:
        now = await there.select(source)
        origin = replace(
            origin,
            below=max(origin.below, snapshot.uidnext),
            seen_modseq=snapshot.modseq,
            uidnext=now.uidnext,
            messages=now.messages,
            highest=now.modseq,
        )
        left.origin = origin
        await returning.put(origin)
    return left


def check_uidvalidity(name: str, status: Status, origin: Origin) -> None:
    """Raises Unavailable: the round began with another one, and the next has its word on it (names.py)."""
    if status.uidvalidity != origin.uidvalidity:
        raise Unavailable(
            f"mailbox {name!r} has another UIDVALIDITY than a moment ago; nothing was changed there"
        )


async def _append(
    returning: Return,
    source: SourceMailbox,
    origin: Origin,
    mailbox: Mailbox,
    have: Mapping[int, tuple[str, ...]],
    uids: range,
    done: Round,
) -> Origin:
    """Every UID of the range: the message that has it here, or a filler that is expunged again."""
    for start in range(uids.start, uids.stop, BATCH):
        returning.checkpoint()
        fillers: list[int] = []
        batch = range(start, min(start + BATCH, uids.stop))
        rows = {
            uid: rest
            for uid, *rest in await returning.here.rows(
                mailbox.id,
                ("uid", "flags", "internaldate", "internaldate_zone"),
                [u for u in batch if u in have],
            )
        }
        settled = batch.start
        try:
            for uid in batch:
                octets = await returning.here.content(mailbox.id, uid) if uid in rows else None
                if octets is None:  # never here, or expunged since
                    await _append_one(returning, source, origin, uid, filler(uid), _FILLER_FLAGS, 0, 0)
                    fillers.append(uid)
                else:
                    kept = returning.there.permanent.keep(rows[uid][0])
                    returning.dropped.update(set(rows[uid][0]).difference(kept))
                    await _append_one(returning, source, origin, uid, octets, kept, *rows[uid][1:])
                    done.added += 1
                    done.octets += len(octets)
                settled = fillers[0] if fillers else uid + 1
            await _drop_fillers(returning, source, origin, fillers)
            settled = batch.stop
        finally:
            if settled > origin.below:
                origin = replace(origin, below=settled, seen_modseq=0)
                await returning.put(origin)
        disk.step("back.batch")
    return origin


async def _drop_fillers(
    returning: Return, source: SourceMailbox, origin: Origin, uids: Sequence[int]
) -> None:
    """A server may know what was appended and not show it yet to the session that has the mailbox open: Courier looks
    at its folders' times. STORE and EXPUNGE then pass by what is not shown, and say OK."""
    there, wanted = returning.there, set(uids)
    for _ in range(LOOKS if uids else 0):
        await there.noop()
        if {each.uid for each in await there.scan(uids=uids)} == wanted:
            await there.expunge(uids)
            await there.noop()
            if not await there.scan(uids=uids):
                return
        await asyncio.sleep(LOOK_AGAIN_S)
        check_uidvalidity(source.name, await there.select(source), origin)
    if uids:
        raise Unavailable(
            f"mailbox {source.name!r}: the backend does not remove placeholders; looked at again"
        )


async def _append_one(
    returning: Return,
    source: SourceMailbox,
    origin: Origin,
    uid: int,
    octets: bytes,
    kept: Sequence[str],
    date: int,
    zone: int,
) -> None:
    there = returning.there
    got = await there.append(source.wire, octets, kept, date, zone)
    disk.step("back.appended")
    if got is None:  # no UIDPLUS: look
        await there.noop()
        if not await there.scan(uids=[uid]):
            raise Unavailable(
                f"mailbox {source.name!r}: the next message there did not get UID {uid}; looked at again"
            )
        return
    if got != (origin.uidvalidity, uid):
        if got[0] == origin.uidvalidity:
            await there.expunge([got[1]])  # ours; nobody has seen it
        raise Unavailable(
            f"mailbox {source.name!r}: a message got UID {got[1]} under UIDVALIDITY {got[0]} and not {uid};"
            " looked at again"
        )


async def _change_flags(
    returning: Return, have: Mapping[int, tuple[str, ...]], listed: Mapping[int, Listed]
) -> int:
    """As they are here: users have worked here. How many messages."""
    permanent = returning.there.permanent
    wanted: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    for uid, mine in have.items():
        there = listed.get(uid)
        if there is None:
            continue
        kept = permanent.keep(mine)
        returning.dropped.update(set(mine).difference(kept))
        if flags.fold(tuple(kept)) != flags.fold(there.flags):
            wanted[kept].append(uid)
    for kept, uids in wanted.items():
        await returning.there.set_flags(uids, kept)
    return sum(map(len, wanted.values()))


async def _unproven(returning: Return, mailbox: Mailbox, origin: Origin, gone: Sequence[int]) -> int:
    """How many of them the store does not remember as expunged: after a rebuild, or from an older backup."""
    if not gone:
        return 0
    said = await returning.here.traces(mailbox.id, origin.modseq)
    return len(set(gone).difference(uid for uid, _ in said.expunged))


async def raise_modseq(
    returning: Return, source: SourceMailbox, origin: Origin, mailbox_id: int, *, fill: bool = False
) -> None:
    """HIGHESTMODSEQ there above ours, so that a client that knows ours hears of every change (RFC 7162 3.1.2.1): a
    flag of the last message is taken and given. Before anything is changed or removed there: what happens under a
    number that a client has is never told to it. Nobody else is in the mailbox.

    `fill`: also of one that is empty, by a filler that takes a UID; only when all that is here is there.
    """
    here, there = returning.here, returning.there
    mailbox, status = await here.mailbox(mailbox_id), await there.select(source)
    check_uidvalidity(source.name, status, origin)
    if status.modseq is None or status.modseq > mailbox.modseq:
        return
    times = min((mailbox.modseq - status.modseq) // 2 + 1, RAISES // 2)
    if status.messages:
        last = (await there.scan())[-1]
        flagged = any(each.casefold() == "\\flagged" for each in last.flags)
        await there.toggle(last.uid, "\\Flagged", flagged, times)
    elif fill:
        uid = status.uidnext or origin.below
        await here.raise_numbers(
            mailbox_id, uid + 1, 1
        )  # nothing gets that UID here, should the fence be taken back
        await _append_one(returning, source, origin, uid, filler(uid), _FILLER_FLAGS, 0, 0)
        await there.noop()
        await there.toggle(uid, "\\Flagged", False, times)
        await _drop_fillers(returning, source, origin, [uid])
