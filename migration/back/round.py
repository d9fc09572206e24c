"""One round of the way back. Everything new goes first; what is gone here is counted over all mailboxes, and goes
there last, only by UID under the UIDVALIDITY that was looked at."""

from collections.abc import Sequence

from mailplat.core import disk
from mailplat.core.errors import NotFound
from migration.back.mail import Left, check_uidvalidity, raise_modseq, sync
from migration.back.names import Names, follow
from migration.back.returning import Return
from migration.book import Round
from migration.errors import Halt


async def run_round(returning: Return, kind: str, *, last: bool = False) -> Round:
    """`last`: nobody works here any more. Raises Halt, Unavailable, Paused."""
    clock = returning.clock
    began, done = clock.monotonic(), Round(kind, clock.now())
    names = await follow(returning, done)
    left: list[Left] = []
    for source, origin, mailbox in names.pairs:
        returning.checkpoint()
        status = names.survey.statuses.get(source.name)
        same = status is not None and status.modseq is not None and status == origin.seen
        if same and origin.seen_modseq == mailbox.modseq and not last:
            continue
        try:
            left.append(await sync(returning, source, origin, mailbox.id, done))
        except NotFound:
            continue  # deleted here or there meanwhile: the next round sees
    leaving = await _leaving(returning, names, done)
    total = sum(each.messages for each in (await returning.here.mailboxes()).values())
    _check_brake(returning, [*left, *leaving], total)
    await _remove(returning, left, leaving, done)
    done.mailboxes += await _subscribe(returning, names)
    if last:
        for each in left:
            if each.mailbox is not None:
                await raise_modseq(returning, each.source, each.origin, each.mailbox.id, fill=True)
    done.seconds = clock.monotonic() - began
    return done


async def _leaving(returning: Return, names: Names, done: Round) -> list[Left]:
    """Mailboxes that were deleted here. What somebody else has put there since keeps its mailbox."""
    found = []
    for source, origin in sorted(names.leaving, key=lambda pair: pair[0].name, reverse=True):
        status = await returning.there.examine(source)
        check_uidvalidity(source.name, status, origin)
        uids = [each.uid for each in await returning.there.scan()]
        found.append(Left(source, origin, None, [uid for uid in uids if uid < origin.below]))
    return found


def _check_brake(returning: Return, left: Sequence[Left], total: int) -> None:
    """Nothing is explained away here (brake.py). What is not shown proves nothing to the way back: it asks the
    store's own word on each message, and what the store does not know is never removed unasked. Counted is what was
    expunged here by that word: removing it there cannot be undone, and whoever began the way back is at hand."""
    gone, allowed = sum(len(each.gone) for each in left), returning.move.deletions_allowed
    unproven = sum(each.unproven for each in left)
    too_many = returning.brake.held(gone, total + gone)
    if (too_many or unproven) and gone > allowed:
        where = ", ".join(f"{each.source.name} ({len(each.gone)})" for each in left if each.gone)
        doubt = (
            f"; of {unproven} the shard does not know any more that they were expunged (rebuilt, or from a backup)"
            if unproven
            else ""
        )
        raise Halt(
            f"{gone} messages are on the backend and gone here: {where[:300]}{doubt}. Nothing was removed there. If"
            f" that is right: mailplat migrate rollback {returning.move.domain} --allow-deletions {gone}"
        )


async def _remove(returning: Return, left: Sequence[Left], leaving: Sequence[Left], done: Round) -> None:
    there = returning.there
    for each in left:
        if each.gone or each.waste:
            check_uidvalidity(each.source.name, await there.select(each.source), each.origin)
            await there.expunge([*each.gone, *each.waste])
            disk.step("back.expunged")
            done.gone += len(each.gone)
    for each in leaving:  # children before parents
        status = await there.select(each.source)
        check_uidvalidity(each.source.name, status, each.origin)
        if status.messages > len(each.gone):
            await there.expunge(each.gone)
        else:
            await there.delete(each.source.wire)
        disk.step("back.deleted")
        await returning.drop(each.origin.object_id)
        done.gone += len(each.gone)
        done.mailboxes += 1
    if returning.move.deletions_allowed and done.gone:
        await returning.book(returning.ledger.set, returning.account_id, deletions_allowed=0)


async def _subscribe(returning: Return, names: Names) -> int:
    ours, there = await returning.here.subscriptions(), names.survey.subscriptions
    wires = {each.name: each.wire for each in names.survey.mailboxes}
    changes = [(name, True) for name in sorted(ours - there) if name in wires]
    changes += [(name, False) for name in sorted(there - ours) if name in wires]
    for name, on in changes:
        await returning.there.subscribe(wires[name], on)
    return len(changes)
