"""COPY and MOVE between mailboxes, also where each belongs to another account, in another shard perhaps.

Within one account the store does it whole: links, one commit (store/copy.py). From one account to another octets
are copied, in commits of limits.foreign_copy messages, under the epoch and the quota of the target's owner. So it is,
too, where flags must be left out on the way.

What is true when it breaks off (RFC 3501 6.4.7, RFC 6851 3.3):
    COPY, a refusal half-way    what was copied is taken out again, into the vault of the target's owner
    COPY, a crash half-way      a part of the copies is there, no tagged reply came
    MOVE, a refusal half-way    what was moved stays moved and was told with COPYUID; the rest is where it was, and
                                only there: copies whose originals could not be expunged are taken out again
    MOVE, a crash, or a commit  at most limits.foreign_copy messages are in both mailboxes; none is in neither
         that is in doubt
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

from mailplat.access.imap.place import Place
from mailplat.access.imap.session import Session
from mailplat.access.imap.view import View
from mailplat.core.errors import InDoubt, MailplatError
from mailplat.core.spool import Body
from mailplat.store.fetch import merge_ranges
from mailplat.store.types import CopyResult, NewMessage

_COLUMNS = ("uid", "flags", "internaldate", "internaldate_zone")

Row = tuple[Any, ...]

# (Low, high) UIDs.
Ranges = Sequence[tuple[int, int]]


def stays_whole(source: Place, target: Place) -> bool:
    """Whether the store can do it in one commit."""
    return source.is_of(target) and target.keeps_flags


async def copy(session: Session, uids: Ranges, target: Place) -> CopyResult:
    """From the selected mailbox. Raises as store.copy does, and for either of both accounts."""
    view = session.selected
    place = view.place
    if stays_whole(place, target):
        quota = await session.quota(target.owner)
        return await place.change(
            place.shard.copy, place.residence, view.mailbox_id, uids, target.name, quota=quota
        )
    done = _Done(await _number(target))
    try:
        for some in _batches(view, uids, session.limits.foreign_copy):
            await _bring(session, some, target, done)
    except BaseException:
        await _take_out(target, done.mailbox_id, done.targets)
        raise
    return done.result


async def move_across(
    session: Session, uids: Ranges, target: Place, tell: Callable[[CopyResult], None]
) -> CopyResult:
    """Where the store cannot do it in one commit. `tell` hears what was moved, also where the rest was not."""
    view = session.selected
    place, done = view.place, _Done(await _number(target))
    moved = 0
    try:
        for some in _batches(view, uids, session.limits.foreign_copy):
            there = _each(await _bring(session, some, target, done))
            await place.change(place.shard.expunge_uids, place.residence, view.mailbox_id, there)
            moved = len(done.sources)
    except InDoubt:
        raise  # they may be gone from where they were
    except MailplatError:
        await _take_out(target, done.mailbox_id, done.targets[moved:])
        raise
    finally:
        tell(CopyResult(done.uidvalidity, done.sources[:moved], done.targets[:moved]))
    return done.result


class _Done:
    def __init__(self, mailbox_id: int) -> None:
        self.mailbox_id = mailbox_id
        self.uidvalidity = 0
        self.sources: list[int] = []
        self.targets: list[int] = []

    @property
    def result(self) -> CopyResult:
        return CopyResult(self.uidvalidity, self.sources, self.targets)


async def _number(target: Place) -> int:
    """Also where nothing is to be copied: a mailbox that is not there is refused (RFC 3501 6.4.7)."""
    return (await target.call(target.shard.mailbox, target.residence, target.name)).id


async def _take_out(target: Place, mailbox_id: int, uids: Sequence[int]) -> None:
    """Copies that are not wanted after all."""
    if uids:
        await target.change(target.shard.expunge_uids, target.residence, mailbox_id, _each(uids))


def _each(uids: Iterable[int]) -> list[tuple[int, int]]:
    return [(uid, uid) for uid in uids]


def _batches(view: View, uids: Ranges, size: int) -> Iterator[Ranges]:
    """The same messages, `size` at a time: rows of a large mailbox are many."""
    some: list[tuple[int, int]] = []
    room = size
    for low, high in merge_ranges(uids):
        place, end = bisect_left(view.uids, low), bisect_right(view.uids, high)
        while place < end:
            last = min(place + room, end)
            some.append((view.uids[place], view.uids[last - 1]))
            room -= last - place
            place = last
            if not room:
                yield some
                some, room = [], size
    if some:
        yield some


async def _bring(session: Session, uids: Ranges, target: Place, done: _Done) -> list[int]:
    """One commit in the target. The UIDs, in the source, of those that were there still."""
    view = session.selected
    place = view.place
    rows = await place.call(place.shard.rows, place.residence, view.mailbox_id, uids, _COLUMNS)
    with ExitStack() as opened:
        bodies = await place.change(_open, place, view.mailbox_id, rows, opened)
        messages = [
            NewMessage(
                bodies[uid],
                flags=target.allowed(flags),
                internaldate=internaldate,
                internaldate_zone=zone,
            )
            for uid, flags, internaldate, zone in rows
            if uid in bodies
        ]
        if not messages:
            return []
        appended = await session.services.store.append(
            target.residence, target.name, messages, quota=await session.quota(target.owner)
        )
    brought = [row[0] for row in rows if row[0] in bodies]
    done.uidvalidity = appended[0].uidvalidity
    done.sources += brought
    done.targets += [each.uid for each in appended]
    return brought


def _open(place: Place, mailbox_id: int, rows: Sequence[Row], opened: ExitStack) -> dict[int, Body]:
    """By UID, but for those that were expunged meanwhile."""
    bodies: dict[int, Body] = {}
    for row in rows:
        file = place.shard.open(place.residence, mailbox_id, row[0])
        if file is not None:
            with file:
                bodies[row[0]] = Body.of_open(file)
            opened.callback(bodies[row[0]].close)
    return bodies
