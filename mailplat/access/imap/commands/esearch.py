"""ESEARCH: a search of several mailboxes (RFC 7377). Results are UIDs, a reply for each mailbox that has some."""

from bisect import bisect_left
from collections.abc import Collection
from dataclasses import replace

from mailplat.access.imap.command import Command
from mailplat.access.imap.finding import find, saving
from mailplat.access.imap.locating import spelled
from mailplat.access.imap.lookaround import Seen, look_around
from mailplat.access.imap.place import NoRight, Place
from mailplat.access.imap.refusal import Tagged, bad, ok
from mailplat.access.imap.request import Request
from mailplat.access.imap.session import Session
from mailplat.core.errors import NotFound
from mailplat.core.route import Residence
from mailplat.store import Shard
from mailplat.store.types import Mailbox
from mailplat.wire.imap.esearch import ALL, Returns, esearch_line, parse_returns
from mailplat.wire.imap.multisearch import SELECTED, Source, check, parse_sources
from mailplat.wire.imap.search import Key, Query, bind, parse_query

_DONE = ok("ESEARCH completed")


async def run(session: Session, request: Request) -> Tagged:
    arguments = request.arguments
    arguments.space()
    sources = parse_sources(arguments)
    returns = parse_returns(arguments) or ALL
    if session.view is None and any(source in SELECTED for source in sources):
        return bad("Select a mailbox first")
    if set(sources) != set(SELECTED):
        query = parse_query(arguments)
        check(sources, returns, query.key)
        await _several(session, request, sources, returns, query)
        return _DONE
    with saving(session.selected, returns):
        query = parse_query(arguments)
        await _selected(session, request, returns, query)
    return _DONE


async def _selected(session: Session, request: Request, returns: Returns, query: Query) -> None:
    await session.recheck()  # as for every command on what is selected
    view = session.selected
    places = await find(session, request, query)
    kept = returns.kept(places)
    if returns.saves:
        view.save(kept)
    if places and not returns.silent:
        modseq = max(view.modseqs[place] for place in kept) if query.modseq else None
        uids = [view.uids[place] for place in places]
        source = (view.name, view.uidvalidity)
        session.out(
            esearch_line(
                request.tag, uids, returns, uid=True, modseq=modseq, source=source, spelling=session.spelling
            )
        )


async def _several(
    session: Session, request: Request, sources: Collection[Source], returns: Returns, query: Query
) -> None:
    if query.modseq:
        session.enable("CONDSTORE")  # RFC 7162 3.1
    home = session.own("")
    mailboxes = await _chosen(session, sources)
    deadline = home.shard.search_deadline()  # for all of them together
    for place, mailbox in mailboxes:
        try:
            found = await place.change(_search, place.shard, place.residence, mailbox, query.key, deadline)
        except NotFound:
            continue  # deleted meanwhile: as one that is not there (RFC 7377 2.1)
        if not found:
            continue  # RFC 7377 2.1: no reply, COUNT or not
        modseq = max(modseq for _, modseq in returns.kept(found)) if query.modseq else None
        uids = [uid for uid, _ in found]
        source = (mailbox.name, mailbox.uidvalidity)
        session.out(
            esearch_line(
                request.tag, uids, returns, uid=True, modseq=modseq, source=source, spelling=session.spelling
            )
        )
        if session.stream.full:
            await session.stream.flush()


def _search(
    shard: Shard, residence: Residence, mailbox: Mailbox, key: Key, deadline: float
) -> list[tuple[int, int]]:
    """UID and mod-sequence of what matches."""
    snapshot = shard.snapshot(residence, mailbox.id)
    uids = snapshot.uids
    if not uids:
        return []
    found = shard.search(residence, mailbox.id, bind(key, uids), deadline=deadline)
    places = ((uid, bisect_left(uids, uid)) for uid in found)
    # What came in between the two reads is left for the next search.
    return [
        (uid, snapshot.modseqs[place]) for uid, place in places if place < len(uids) and uids[place] == uid
    ]


async def _chosen(session: Session, sources: Collection[Source]) -> list[tuple[Place, Mailbox]]:
    """Each mailbox once, in the order of LIST; of others those that may be listed and read. Names that are none are
    passed over (RFC 7377 2.1)."""
    sources = [replace(each, names=tuple(spelled(session, name) for name in each.names)) for each in sources]
    seen = await look_around(session)
    selected = session.view
    chosen: list[tuple[Place, Mailbox]] = []
    for mailbox in seen.mailboxes:
        place = seen.place(mailbox.name)
        is_selected = (
            selected is not None and place.is_of(selected.place) and selected.mailbox_id == mailbox.id
        )
        if not _may(place):
            continue
        if any(_wants(source, mailbox.name, place, seen, is_selected) for source in sources):
            chosen.append((place, mailbox))
    return chosen


def _may(place: Place) -> bool:
    try:
        place.check("ESEARCH")
    except (NoRight, NotFound):
        return False
    return True


def _wants(source: Source, name: str, place: Place, seen: Seen, is_selected: bool) -> bool:
    match source.filter:
        case "SELECTED":
            return is_selected
        case "PERSONAL":
            return place.own
        case "INBOXES":
            return place.own and source.covers(name, False)  # where mail is delivered (RFC 5465 6.3)
        case _:
            return source.covers(name, name in seen.subscriptions)


COMMANDS = (Command("ESEARCH", run, may_expunge=False),)
