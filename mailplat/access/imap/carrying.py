"""A client that stays connected while its account moves: what it believes was taken down (access/proxy/parking.py),
and is told at the next home only what is different there.

UIDs are the same on both sides, so the list of those that the client knows, in its order, is the view with which it
goes on: what is not here any more is EXPUNGE, what is new EXISTS, and flags are told where they are others. A client
between two commands hears of what is gone with its next one (RFC 3501 7.4.1). Its IDLE goes on under its tag.

    the fence's end   the next home                      the client
    commit            a shard here: `stay`               goes on with our own server, told its capabilities
    taken back        the backend: `return_to_backend`   goes on with that, over a new connection
    lasts too long, the mailbox has another UIDVALIDITY or is gone, more connections than one account may have,
    anything else     none                               hears BYE
"""

import asyncio
from collections.abc import Iterable, Sequence

from mailplat.access.imap.capability import capabilities
from mailplat.access.imap.idle import go_on
from mailplat.access.imap.limits import after_login
from mailplat.access.imap.locating import locate
from mailplat.access.imap.session import GONE, MOVED, Farewell, Session, log
from mailplat.access.imap.view import Manner, View
from mailplat.access.login import Forward, Serve
from mailplat.access.proxy import Known, Parked, Upstream, connect_imap, flags_of_all
from mailplat.access.proxy.parking import Otherwise, ascending, until
from mailplat.access.proxy.upstream import read_line
from mailplat.admin import metrics
from mailplat.core.errors import LimitReached, NotFound, Unavailable
from mailplat.core.route import Residence
from mailplat.store import Shard
from mailplat.store.names import canonical
from mailplat.store.types import Changes, Mailbox, Snapshot
from mailplat.wire.imap import response
from mailplat.wire.imap.framer import Framer
from mailplat.wire.imap.observer import Observer
from mailplat.wire.imap.spelling import Spelling

# What our own ENABLE knows (RFC 5161), but UIDONLY: without numbers nothing can be taken down.
_OURS = frozenset(("CONDSTORE", "QRESYNC", "UTF8=ACCEPT", "IMAP4REV2"))
_TAG = b"zz-carry-0"


async def stay(session: Session, granted: Serve, parked: Parked) -> None:
    """From here on the session is ours. Raises Farewell."""
    session.handed_over = False
    session.interruptible = False  # a second move waits until what the client believes is known here, too
    try:
        session.services.enter(session, granted)
    except LimitReached as error:
        raise Farewell("[LIMIT] Too many connections of this account") from error
    session.log_in(granted)
    session.framer = Framer(after_login(session.limits))
    session.framer.feed(parked.unsent)
    if not parked.enabled <= _OURS:
        raise Farewell(MOVED)
    session.out(b"* CAPABILITY %b\r\n" % capabilities(session))
    for name in sorted(parked.enabled):
        session.enable(name)
    if parked.selected is not None:
        await _select(session, parked)
    metrics.carried.labels("shard").inc()
    log.info("session carried over", account=granted.account.id, idling=bool(parked.idling))
    if not parked.idling:
        session.announce(expunge=False)
        await session.stream.flush()
        return
    session.between.idling = parked.idling
    await go_on(session)


async def _select(session: Session, parked: Parked) -> None:
    selected = parked.selected
    assert selected is not None
    name = canonical(session.spelling.read(selected.name))
    try:
        place = await locate(session, name, "SELECT")
        await session.quiet(place.residence.account_id)
        checked = session.services.clock.monotonic()
        mailbox, snapshot, before, changes = await place.call(
            _open, place.shard, place.residence, place.name, parked.known
        )
    except NotFound as error:
        raise Farewell(GONE) from error
    if snapshot.uidvalidity != selected.uidvalidity:
        raise Farewell(GONE)
    view = View(
        mailbox.id,
        mailbox.name if place.own else place.shown,
        before,
        examined=selected.examined,
        checked=checked,
        place=place,
        keywords_shown=session.limits.keywords_shown,
    )
    session.select(view)
    session.out(view.flags_and_permanent())
    view.apply(changes, checked)


def _open(
    shard: Shard, residence: Residence, name: str, known: Sequence[Known]
) -> tuple[Mailbox, Snapshot, Snapshot, Changes]:
    """The mailbox, as it is, as its client knows it, and what leads from there to what is: half a second for 200,000
    messages, which the event loop has not."""
    mailbox = shard.mailbox(residence, name)
    snapshot = shard.snapshot(residence, mailbox.id)
    return mailbox, snapshot, as_known(known, snapshot), differences(known, snapshot)


def as_known(known: Sequence[Known], now: Snapshot) -> Snapshot:
    """The mailbox as the client knows it; a message whose flags are the same has the MODSEQ that it has now."""
    there = dict(zip(now.uids, zip(now.modseqs, now.flags, strict=True), strict=True))
    flagsets: dict[tuple[str, ...], int] = {}
    flags, modseqs = [], []
    for each in known:
        modseq, number = there.get(each.uid, (0, 0))
        same = each.uid in there and _same(each.flags, now.flagsets[number])
        kept = tuple(now.flagsets[number]) if same else each.flags
        flags.append(flagsets.setdefault(kept, len(flagsets)))
        modseqs.append(modseq if same else 0)
    uids = [each.uid for each in known]
    # One below: `differences` leads from here to there.
    return Snapshot(now.uidvalidity, now.uidnext, now.modseq - 1, uids, flags, modseqs, list(flagsets))


def differences(known: Sequence[Known], now: Snapshot) -> Changes:
    """From there to what is there now."""
    before = {each.uid: each.flags for each in known}
    changed = [
        (uid, modseq, tuple(now.flagsets[number]))
        for uid, modseq, number in zip(now.uids, now.modseqs, now.flags, strict=True)
        if uid not in before or not _same(before[uid], now.flagsets[number])
    ]
    return Changes(now.modseq, now.uidnext, changed=changed, present=list(now.uids))


def _same(one: Iterable[str], other: Iterable[str]) -> bool:
    return {flag.casefold() for flag in one} == {flag.casefold() for flag in other}


async def return_to_backend(session: Session, granted: Forward, parked: Parked) -> tuple[Upstream, Observer]:
    """The fence was taken back. Raises Unavailable where the client cannot go on, and what connect_imap raises."""
    upstream = await connect_imap(granted)
    observer = Observer()
    try:
        async with asyncio.timeout(session.limits.carry_wait):
            await _bring_up_to_date(session, upstream, observer, parked)
    except (Otherwise, TimeoutError, OSError, EOFError, ValueError) as error:
        upstream.close()
        raise Unavailable(f"the session cannot go on at {granted.backend.name}: {error}") from error
    except BaseException:
        upstream.close()
        raise
    metrics.carried.labels("backend").inc()
    return upstream, observer


async def _bring_up_to_date(session: Session, upstream: Upstream, observer: Observer, parked: Parked) -> None:
    reader, writer, selected = upstream.reader, upstream.writer, parked.selected
    enabling = sorted(parked.enabled)
    if enabling:
        writer.write(b"%b ENABLE %b\r\n" % (_TAG, " ".join(enabling).encode("ascii")))
        await until(_TAG, reader, None, observer)
    if selected is not None:
        word = b"EXAMINE" if selected.examined else b"SELECT"
        name = response.mailbox(selected.name, Spelling(utf8=observer.utf8))
        if b"\n" in name:
            raise Otherwise
        command = b"%b %b %b\r\n" % (_TAG, word, name)
        writer.write(command)
        observer.client(command)
        await until(_TAG, reader, None, observer, tagged=True)
        if observer.selected is None or observer.selected.uidvalidity != selected.uidvalidity:
            raise Otherwise
        found: dict[int, Known] = {}
        while set(found) != set(range(1, observer.selected.exists + 1)):
            found = await flags_of_all(reader, writer, None, observer)
        await _tell(session, parked, [found[number] for number in sorted(found)], observer)
    if parked.idling:
        command = b"%b IDLE\r\n" % parked.idling.encode("ascii")
        writer.write(command)
        observer.client(command)
        while not observer.idling:
            line = await read_line(reader)
            if not line.startswith((b"* ", b"+")):
                raise Otherwise
            observer.feed(line)
            if not line.startswith(b"+"):
                session.out(line)
    await session.stream.flush()


async def _tell(session: Session, parked: Parked, found: Sequence[Known], observer: Observer) -> None:
    flagsets: dict[tuple[str, ...], int] = {}
    flags = [flagsets.setdefault(each.flags, len(flagsets)) for each in found]
    uids, modseqs = [each.uid for each in found], [each.modseq for each in found]
    if not ascending(found) or (not parked.idling and not {each.uid for each in parked.known} <= set(uids)):
        raise Otherwise  # nobody may be told of EXPUNGE between two commands
    now = Snapshot(0, 0, 0, uids, flags, modseqs, list(flagsets))
    view = View(0, "", as_known(parked.known, now), examined=True, checked=0.0)
    view.apply(differences(parked.known, now), 0.0)
    modseq = bool(observer.enabled & {"CONDSTORE", "QRESYNC"})
    session.out(view.flush(expunge=bool(parked.idling), manner=Manner(modseq, "QRESYNC" in observer.enabled)))
