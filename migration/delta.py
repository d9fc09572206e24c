"""One round over an account: what is new, changed or gone at the source becomes so here.

The first round is the copy; every later one costs what has changed since (CONDSTORE), or a list of UIDs and flags
of each mailbox where the source does not know MODSEQ. Nothing is deleted before the whole account was looked at:
what is gone is counted over all mailboxes first, and too much of it stops the move (brake.py).
"""

import bisect
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence

from mailplat.store import Mailbox, Snapshot
from migration import brake, flags, renames
from migration.book import Round, Watermark
from migration.brake import Pending
from migration.copy import copy
from migration.crossing import Crossing
from migration.errors import Halt
from migration.sources.contract import Listed, SourceMailbox, Span, Status, Survey

# How far our MODSEQs of a round's changes are above the HIGHESTMODSEQ that began it: what the source may count on
# while the round lasts. A client that looks there meanwhile keeps its number, and asks us for what came after that.
MODSEQ_AHEAD = 1000


class Here:
    """Which messages with which flags are here, as the store's snapshot has them: no copy of it for each message."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def __len__(self) -> int:
        return len(self._snapshot.uids)

    def __contains__(self, uid: int) -> bool:
        return self._place(uid) is not None

    def _place(self, uid: int) -> int | None:
        uids = self._snapshot.uids
        place = bisect.bisect_left(uids, uid)
        return place if place < len(uids) and uids[place] == uid else None

    def flags(self, uid: int) -> tuple[str, ...] | None:
        """None: it is not here."""
        place = self._place(uid)
        return None if place is None else self._snapshot.flagsets[self._snapshot.flags[place]]

    def uids(self, span: Span) -> Sequence[int]:
        uids, (low, high) = self._snapshot.uids, span
        end = len(uids) if high is None else bisect.bisect_right(uids, high)
        return uids[bisect.bisect_left(uids, low) : end]


async def run_round(crossing: Crossing, kind: str) -> Round:
    """Raises Halt where a person has to look, Unavailable where the source or the shard cannot answer, Paused."""
    clock = crossing.clock
    began, done = clock.monotonic(), Round(kind, clock.now())
    survey = await crossing.source.survey()
    if kind == "copy":
        await crossing.keep_naming()
    marks = await crossing.book(crossing.ledger.watermarks, crossing.account_id)
    if not marks:  # afresh: this is the copy, whatever its state is called
        done.kind = "copy"
    done.mailboxes += await renames.follow(crossing, survey, marks)
    ours = await crossing.target.mailboxes()
    total = sum(status.messages for status in survey.statuses.values())
    crossing.copied = sum(each.messages for each in ours.values())
    await crossing.tell(total)
    pending, doubtful = list[Pending](), renames.doubtful(survey)
    for each in survey.mailboxes:
        crossing.checkpoint()
        status, mark = survey.statuses.get(each.name), marks.get(each.name)
        unchanged = status is not None and mark and each.name in ours and _unchanged(mark.status, status)
        if each.name in doubtful and each.name in ours and (kind == "fence" or not unchanged):
            await renames.check(crossing, ours[each.name], each)
        if status is None or unchanged:
            continue
        left = await _sync(crossing, each, mark, ours.get(each.name), done)
        if left.gone:
            pending.append(left)
        else:
            await crossing.book(crossing.ledger.put_watermarks, crossing.account_id, [left.mark])
    leaving = await _leaving(crossing, survey, ours)
    await brake.check(crossing, done.kind, survey, ours, [*pending, *leaving])
    await _remove(crossing, pending, leaving, done)
    crossing.copied -= done.gone
    done.mailboxes += await _subscribe(crossing, survey)
    done.seconds = clock.monotonic() - began
    return done


def _unchanged(mark: Status, status: Status) -> bool:
    """Every change but none raises HIGHESTMODSEQ (RFC 7162 3.1.2.1); without it flags may have changed."""
    return status.modseq is not None and mark == status


async def _sync(
    crossing: Crossing, mailbox: SourceMailbox, mark: Watermark | None, ours: Mailbox | None, done: Round
) -> Pending:
    status = await crossing.source.examine(mailbox)
    twin = crossing.twin
    if twin is None or mailbox.name == "INBOX":
        _check_uidvalidity(crossing, mailbox.name, status, mark, ours)
    if ours is None or ours.uidvalidity != status.uidvalidity or _is_another(mailbox, ours):
        if ours is not None and mailbox.name != "INBOX":
            # Made for its children's sake, nothing was ever in it; in a shard the old one may be deleted by now.
            await crossing.target.delete(mailbox.name, moved=twin is not None)
            mark = None
        ours = await crossing.target.create(
            mailbox.name,
            special_use=mailbox.special_use,
            uidvalidity=status.uidvalidity,
            # A client's cache must never hold a higher one than ours; a shard's numbers we take as they are.
            modseq=_highest(mailbox, status) + (twin is None),
            object_id=mailbox.object_id,
        )
        done.mailboxes += 1
    snapshot = await crossing.target.snapshot(ours.id)
    here = Here(snapshot)
    if twin is None:
        # Before anything changes here: each change is one that no client's cache has seen. What came and went at the
        # source since the last round was never here; below this number the store does not claim to know.
        await _raise_numbers(crossing, ours.id, 1, _highest(mailbox, status) + MODSEQ_AHEAD)
    gone: list[int] = []
    async for listed, went in _parts(crossing, status, mark, here):
        for each in listed:
            crossing.dropped.update(flags.keep(each.flags)[1])
        new = [each for each in listed if each.uid not in here]
        done.added += await _copy_new(crossing, mailbox.name, status, new, done)
        if twin is None:
            done.changed += await _change_flags(crossing, ours.id, listed, here)
        gone += went
    gone.sort()
    if twin is not None:
        since = mark.status.modseq or 0 if mark else 0
        changed, left = await crossing.target.take_over(ours.id, await twin.traces(since))
        done.changed, done.gone, gone = done.changed + changed, done.gone + left, []
    else:
        await _raise_numbers(crossing, ours.id, status.uidnext or 1, 1)
    done.gone += len(gone)
    await crossing.show_progress()
    marked = [uid for uid in gone if "\\deleted" in flags.fold(here.flags(uid) or ())]
    return Pending(ours, Watermark(mailbox.name, mailbox.wire, status), gone, marked)


def _is_another(mailbox: SourceMailbox, ours: Mailbox) -> bool:
    """Made here at the same second, by chance under the same UIDVALIDITY; as long as nothing was in it."""
    untouched = ours.uidnext == 1 and ours.modseq == 1
    return mailbox.object_id is not None and mailbox.object_id != ours.object_id and untouched


def _check_uidvalidity(
    crossing: Crossing, name: str, status: Status, mark: Watermark | None, ours: Mailbox | None
) -> None:
    """INBOX is made with the account and takes its number as long as nothing was in it."""
    known = mark.status.uidvalidity if mark else None
    if known is None and ours is not None and (ours.messages or ours.uidnext > 1):
        known = ours.uidvalidity
    if known is not None and known != status.uidvalidity:
        raise Halt(
            f"mailbox {name!r} had UIDVALIDITY {known} and has {status.uidvalidity} now: its UIDs mean other"
            " messages (deleted and made again, or its index rebuilt). Nothing was deleted here. To copy the account"
            f" afresh: mailplat migrate resume {crossing.move.domain} --afresh {crossing.move.address}"
        )


async def _parts(
    crossing: Crossing, status: Status, mark: Watermark | None, here: Here
) -> AsyncIterator[tuple[list[Listed], list[int]]]:
    """(new and changed messages, new ones with size; UIDs that are gone), the newest first, so many at a time that a
    mailbox of any size takes the same room. What is gone is for the caller to count over all parts."""
    source = crossing.source
    spans = await source.spans()  # first: behind EXAMINE nothing has been renumbered
    if mark is None or mark.status.modseq is None or status.modseq is None:
        for span in reversed(spans):
            mine = here.uids(span)
            listed = await source.scan(details=not mine, span=span)
            present = {each.uid for each in listed}
            yield (
                await _with_sizes(crossing, listed, here) if mine else listed,
                [uid for uid in mine if uid not in present],
            )
        return
    changed = await source.scan(since=mark.status.modseq)
    listed = await _with_sizes(crossing, changed, here)
    new = sum(each.uid not in here for each in listed)
    yield listed, []
    if len(here) + new == status.messages:
        return
    # Something is gone, or came while we asked: only the whole list can tell.
    for span in spans:
        present = {each.uid for each in await source.scan(span=span)}
        yield [], [uid for uid in here.uids(span) if uid not in present]


async def _with_sizes(crossing: Crossing, listed: Sequence[Listed], here: Here) -> list[Listed]:
    """Batches are made by size: ask for those of the new messages."""
    new = [each.uid for each in listed if each.uid not in here]
    sized = await crossing.source.scan(details=True, uids=new)
    return [each for each in listed if each.uid in here] + sized


async def _copy_new(crossing: Crossing, name: str, status: Status, new: Sequence[Listed], done: Round) -> int:
    if not new:
        return 0
    uidls = await crossing.uidls(name, status, new)

    def told(messages: int, octets: int) -> None:
        crossing.copied += messages
        done.octets += octets

    return await copy(
        crossing.source,
        crossing.target,
        name,
        new,
        uidls=uidls,
        checkpoint=crossing.checkpoint,
        told=told,
        after_batch=crossing.after_batch,
        keep=lambda fetched: crossing.keep_digests(name, status, fetched),
    )


async def _change_flags(crossing: Crossing, mailbox_id: int, listed: Sequence[Listed], here: Here) -> int:
    wanted: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    for each in listed:
        mine = here.flags(each.uid)
        if each.bare:  # the source has none: what is here stays
            continue
        if mine is not None and flags.fold(each.flags) != flags.fold(mine):
            wanted[flags.keep(each.flags)[0]].append(each.uid)
    return sum([await crossing.target.store_flags(mailbox_id, uids, kept) for kept, uids in wanted.items()])


def _highest(mailbox: SourceMailbox, status: Status) -> int:
    """HIGHESTMODSEQ that a client may know."""
    return max(status.modseq or 0, mailbox.highest or 0)


async def _raise_numbers(crossing: Crossing, mailbox_id: int, uidnext: int, modseq: int) -> None:
    """UIDNEXT at least the source's, HIGHESTMODSEQ above the source's (research/migration.md §2)."""
    now = await crossing.target.mailbox(mailbox_id)
    if now.uidnext < uidnext or now.modseq < modseq:
        await crossing.target.raise_numbers(mailbox_id, uidnext, modseq)


async def _leaving(crossing: Crossing, survey: Survey, ours: dict[str, Mailbox]) -> list[Pending]:
    """Mailboxes here that the source does not have (any more). One above others that it has stays, empty."""
    there = {each.name for each in survey.mailboxes}
    if crossing.twin is not None:  # creating made parents that the source does not have
        ours = await crossing.target.mailboxes()
    left: list[Pending] = []
    for name, mailbox in ours.items():
        above = any(other.startswith(f"{name}/") for other in there)
        if name in there or name == "INBOX" or (above and not mailbox.messages and crossing.twin is None):
            continue
        uids = list((await crossing.target.snapshot(mailbox.id)).uids)
        left.append(Pending(mailbox, Watermark(name, b"", Status(mailbox.uidvalidity, None, 0, None)), uids))
    return left


async def _remove(
    crossing: Crossing, pending: Sequence[Pending], leaving: Sequence[Pending], done: Round
) -> None:
    ledger, account_id = crossing.ledger, crossing.account_id
    for each in pending:
        await crossing.before_expunge(each.gone)
        await crossing.target.expunge(each.mailbox.id, each.gone)
        await crossing.book(ledger.put_watermarks, account_id, [each.mark])
    for each in sorted(leaving, key=lambda one: one.mailbox.name, reverse=True):  # children before parents
        await crossing.target.delete(each.mailbox.name, moved=crossing.twin is not None)
        await crossing.book(ledger.drop_watermark, account_id, each.mailbox.name)
        done.gone += len(each.gone)
        done.mailboxes += 1
    if crossing.move.deletions_allowed and (pending or leaving):
        await crossing.book(ledger.set, account_id, deletions_allowed=0)


async def _subscribe(crossing: Crossing, survey: Survey) -> int:
    ours = await crossing.target.subscriptions()
    changes = [(name, True) for name in sorted(survey.subscriptions - ours)]
    changes += [(name, False) for name in sorted(ours - survey.subscriptions)]
    for name, on in changes:
        await crossing.target.subscribe(name, on)
    return len(changes)
