"""Both sides compared anew, from what each of them says now; nothing of what the copying believed is used.

Names, UIDVALIDITY, UIDNEXT, HIGHESTMODSEQ, the set of UIDs, flags, subscriptions, rights of others always. Before
READY also size and INTERNALDATE of every message, POP3's list of UIDLs, and SHA-256 of the octets: of every message
in an account below `compared.WHOLE_BELOW`, of a sample and of all that came after the first copy in a larger one.
Inside the fence those of the messages that are new since. Of a mailbox in another shard of ours that was found equal
once, only what has a higher MODSEQ since is compared inside the fence: nothing changes there without one.
"""

import contextlib
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from mailplat.store import Mailbox
from migration import flags
from migration.certificate import manifest
from migration.compared import WHOLE_BELOW
from migration.copy import fetch_ahead
from migration.crossing import Crossing, LegacyCrossing
from migration.sources.contract import Listed, SourceMailbox, Span, Status
from migration.sources.pop3 import read_uidls
from migration.sources.pop3_account import Pop3Account

# Octets re-read of the new messages inside a fence: the rest of its time is for the commit.
HASHED_MOST = 500

# What a report can be read with.
MAX_DIFFERENCES = 100


@dataclass(slots=True)
class Verification:
    mailboxes: int = 0
    messages: int = 0
    differences: list[str] = field(default_factory=list)

    def add(self, other: "Verification") -> None:
        self.mailboxes += other.mailboxes
        self.messages += other.messages
        for text in other.differences:
            self.differ(text)

    def differ(self, text: str) -> None:
        if len(self.differences) < MAX_DIFFERENCES:
            self.differences.append(text)


async def verify(
    crossing: Crossing, *, deep: bool, since: Mapping[str, int] | None = None, seed: int = 0
) -> Verification:
    """`deep`: sizes, dates, UIDLs, and the octets that `crossing.compared` does not know yet; else those only of
    messages whose UID is at least `since[mailbox]` (all of a mailbox that is not in it). `seed` chooses the sample.
    Raises Paused where it is deep, and what the source and the shard raise."""
    found = Verification()
    crossing.said = {}
    if deep:
        crossing.compared.whole = await crossing.target.octets() < WHOLE_BELOW
    survey = await crossing.source.survey()
    ours = await crossing.target.mailboxes()
    there = {each.name for each in survey.mailboxes}
    tolerated = there if crossing.twin is None else set()  # a parent is made with its child
    extra = [name for name in ours if name not in there and not _above(name, tolerated) and name != "INBOX"]
    for name in extra:
        found.differ(f"{name}: is here and not at the source")
    if survey.subscriptions != await crossing.target.subscriptions():
        found.differ("subscriptions differ")
    for mailbox in survey.mailboxes:
        if mailbox.name not in ours:
            found.differ(f"{mailbox.name}: is not here")
            continue
        here, settled = ours[mailbox.name], crossing.settled.get(mailbox.name)
        if not deep and settled is not None and settled.uidvalidity == here.uidvalidity:
            await _since(crossing, mailbox, here, settled, found)
            continue
        first = None if deep else (since or {}).get(mailbox.name, 1)
        mine = Verification()
        subscribed = mailbox.name in survey.subscriptions
        status = await _mailbox(crossing, mailbox, here, first, random.Random(seed), mine, subscribed)
        if crossing.twin is not None and not mine.differences:
            crossing.settled[mailbox.name] = status
        found.add(mine)
    if crossing.beside is not None:
        for text in await crossing.beside.differences():
            found.differ(text)
    if deep and isinstance(crossing, LegacyCrossing) and crossing.backend.pop3 and "INBOX" in ours:
        await _uidls(crossing, ours["INBOX"], found)
    crossing.compared.mailboxes, crossing.compared.messages = found.mailboxes, found.messages
    return found


def _above(name: str, others: set[str]) -> bool:
    return any(other.startswith(f"{name}/") for other in others)


async def _mailbox(
    crossing: Crossing,
    mailbox: SourceMailbox,
    ours: Mailbox,
    first: int | None,
    choice: random.Random,
    found: Verification,
    subscribed: bool,
) -> Status:
    """Returns what the source said before the comparison. `first`: the UID from which on messages are new; None:
    compare every size and date, and octets as `crossing.compared` says."""
    status = await crossing.source.examine(mailbox)
    spans = await crossing.source.spans()
    found.mailboxes += 1
    if crossing.twin is None:
        _numbers(mailbox, status, ours, found)
    else:
        _same_numbers(mailbox.name, status, ours, found)
    seen = _Seen(mailbox.name, status.uidvalidity, first, choice)
    for span in spans:
        await _span(crossing, ours, span, seen, found)
    found.messages += seen.messages
    if first is not None:
        if crossing.twin is None:
            crossing.said[mailbox.name] = manifest.said(
                mailbox, status, seen.messages, ours, subscribed, seen.parts
            )
        await _hash(crossing, mailbox.name, ours, seen.new, found)
    elif seen.same:
        beyond = seen.beyond if seen.absent is None else seen.absent
        crossing.compared.below[mailbox.name] = (status.uidvalidity, beyond)
        await crossing.keep_compared()
    return status


@dataclass(slots=True)
class _Seen:
    """What stays of a mailbox's parts when they have been looked at."""

    name: str
    uidvalidity: int
    first: int | None
    choice: random.Random
    messages: int = 0
    beyond: int = 1  # above the last UID
    absent: int | None = None  # the first that is not here
    same: bool = True  # octets, of those that were compared
    new: list[Listed] = field(default_factory=list)  # the last HASHED_MOST
    parts: list[tuple[int, bytes]] = field(default_factory=list)  # for the manifest


async def _span(crossing: Crossing, ours: Mailbox, span: Span, seen: _Seen, found: Verification) -> None:
    """A part of the mailbox, so that one of any size takes the same room."""
    source, first = crossing.source, seen.first
    listed = await source.scan(details=first is None, span=span)
    columns = ("uid", "flags", "size", "internaldate", "internaldate_zone")
    rows = {row[0]: row[1:] for row in await crossing.target.rows(ours.id, columns, None, span)}
    seen.messages += len(listed)
    seen.beyond = listed[-1].uid + 1 if listed else seen.beyond
    if crossing.twin is not None:
        there, mine = await crossing.twin.marks(None, span), await crossing.target.marks(ours.id, None, span)
        if there != mine:
            uid, *said = min(set(there) ^ set(mine))
            found.differ(f"{seen.name} UID {uid}: MODSEQ, UIDL, saved date {said} on one side only")
    new = [] if first is None else [each.uid for each in listed if each.uid >= first]
    details = listed if first is None else await source.scan(details=True, uids=new)
    _compare(seen.name, listed, details, rows, found)
    if first is not None:
        seen.new = [*seen.new, *(each for each in details if each.uid in rows)][-HASHED_MOST:]
        if crossing.twin is None:
            seen.parts += await crossing.book(manifest.parts, listed)
        return
    absent = next((each.uid for each in listed if each.uid not in rows), None)
    seen.absent = absent if seen.absent is None else seen.absent
    here = [each.uid for each in listed if each.uid in rows]
    chosen = set(crossing.compared.choose(seen.name, seen.uidvalidity, here, seen.choice))
    crossing.checkpoint()
    wanted = [each for each in listed if each.uid in chosen]
    seen.same &= await _hash(crossing, seen.name, ours, wanted, found, crossing.checkpoint)


async def _since(
    crossing: Crossing, mailbox: SourceMailbox, ours: Mailbox, settled: Status, found: Verification
) -> None:
    """A mailbox of a twin that was found equal: only what has a higher MODSEQ since can differ, on either side. Costs
    what has changed, not what is there."""
    twin, name, since = crossing.twin, mailbox.name, settled.modseq or 0
    assert twin is not None
    status = await twin.examine(mailbox)
    found.mailboxes += 1
    found.messages += status.messages
    _same_numbers(name, status, ours, found)
    there, here = await twin.traces(since), await crossing.target.traces(ours.id, since)
    if status.messages != ours.messages:
        found.differ(f"{name}: {ours.messages} messages here, {status.messages} there")
    for what, left, right in (
        ("changed", there.changed, here.changed),
        ("expunged", sorted(there.expunged), sorted(here.expunged)),
    ):
        if [each[:2] for each in left] != [each[:2] for each in right]:
            found.differ(f"{name}: what was {what} since MODSEQ {since} is not the same")
    if not set(there.keys) <= set(here.keys):
        found.differ(f"{name}: keys of deliveries are missing here")
    changed = [uid for uid, _, _ in there.changed]
    listed = await twin.scan(details=True, uids=changed)
    columns = ("uid", "flags", "size", "internaldate", "internaldate_zone")
    rows = {row[0]: row[1:] for row in await crossing.target.rows(ours.id, columns, changed)}
    _compare(name, listed, listed, rows, found)
    new = [each for each in listed if each.uid >= (settled.uidnext or 1) and each.uid in rows]
    if await twin.marks([each.uid for each in new]) != await crossing.target.marks(
        ours.id, [each.uid for each in new]
    ):
        found.differ(f"{name}: UIDLs or saved dates of new messages differ")
    await _hash(crossing, name, ours, new[-HASHED_MOST:], found)


def _numbers(mailbox: SourceMailbox, status: Status, ours: Mailbox, found: Verification) -> None:
    name, modseq = mailbox.name, max(status.modseq or 0, mailbox.highest or 0)
    if ours.uidvalidity != status.uidvalidity:
        found.differ(f"{name}: UIDVALIDITY {ours.uidvalidity} here, {status.uidvalidity} there")
    if status.uidnext is not None and ours.uidnext < status.uidnext:
        found.differ(f"{name}: UIDNEXT {ours.uidnext} here, {status.uidnext} there")
    if ours.modseq <= modseq:
        found.differ(f"{name}: HIGHESTMODSEQ {ours.modseq} here is not above {modseq} there")


def _same_numbers(name: str, status: Status, ours: Mailbox, found: Verification) -> None:
    """From a shard: not even a HIGHESTMODSEQ is another one."""
    here = (ours.uidvalidity, ours.uidnext, ours.modseq)
    there = (status.uidvalidity, status.uidnext, status.modseq)
    if here != there:
        found.differ(f"{name}: UIDVALIDITY, UIDNEXT, HIGHESTMODSEQ {here} here, {there} there")


def _compare(
    name: str,
    listed: Sequence[Listed],
    details: Sequence[Listed],
    rows: Mapping[int, tuple[tuple[str, ...], int, int, int]],
    found: Verification,
) -> None:
    there = {each.uid for each in listed}
    for uid in sorted(there - rows.keys()):
        found.differ(f"{name} UID {uid}: is not here")
    for uid in sorted(rows.keys() - there):
        found.differ(f"{name} UID {uid}: is not at the source")
    for each in listed:
        row = rows.get(each.uid)
        if row is not None and not each.bare and flags.fold(each.flags) != flags.fold(row[0]):
            when = f" since MODSEQ {each.modseq}" if each.modseq else ""
            found.differ(f"{name} UID {each.uid}: flags {row[0]} here, {each.flags} there{when}")
    for each in details:
        row = rows.get(each.uid)
        if row is not None and not each.bare and (each.size, each.internaldate, each.zone) != row[1:]:
            found.differ(
                f"{name} UID {each.uid}: size, date, zone {row[1:]} here,"
                f" {(each.size, each.internaldate, each.zone)} there"
            )


async def _hash(
    crossing: Crossing,
    name: str,
    ours: Mailbox,
    listed: Sequence[Listed],
    found: Verification,
    checkpoint: Callable[[], None] = lambda: None,
) -> bool:
    """Whether the octets of all these messages, as far as they still are there, are the same."""
    same = True
    async with contextlib.aclosing(fetch_ahead(crossing.source, listed)) as stream:
        async for _, fetched in stream:
            crossing.compared.hashed += len(fetched)
            crossing.compared.octets += sum(each.body.size for each in fetched)
            try:
                different = await crossing.target.compare(ours.id, fetched)
            finally:
                for each in fetched:
                    each.body.close()
            for uid in different:
                found.differ(f"{name} UID {uid}: its octets differ")
                same = False
            await crossing.rest()
            checkpoint()
    return same


async def _uidls(crossing: LegacyCrossing, inbox: Mailbox, found: Verification) -> None:
    if isinstance(crossing.source, Pop3Account):  # a second session would lock itself out
        there = list(crossing.source.uidls().values())
    else:
        there = [uidl for uidl, _ in await read_uidls(crossing.backend, crossing.move.address)]
    here = [uidl for _, uidl in await crossing.target.maildrop(inbox.id)]
    if there != here:
        at = next((n for n, pair in enumerate(zip(there, here, strict=False)) if pair[0] != pair[1]), None)
        what = (
            f"{len(here)} here, {len(there)} there" if at is None else f"{here[at]} here, {there[at]} there"
        )
        found.differ(f"POP3 UIDLs: {what}")
