"""ESEARCH: a search of several mailboxes (RFC 7377). Results are UIDs, a reply for each mailbox that has some."""

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator

from mailplat.access.imap.command import Command
from mailplat.access.imap.finding import find, saving
from mailplat.access.imap.refusal import Tagged, bad, ok
from mailplat.access.imap.session import Request, Session
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
                request.tag, uids, returns, uid=True, modseq=modseq, source=source, utf8=session.utf8
            )
        )


async def _several(
    session: Session, request: Request, sources: Iterable[Source], returns: Returns, query: Query
) -> None:
    if query.modseq:
        session.enable("CONDSTORE")  # RFC 7162 3.1
    shard, residence = session.shard, session.residence
    selected = session.view.mailbox_id if session.view is not None else None
    mailboxes = await session.call(_chosen, shard, residence, tuple(sources), selected)
    deadline = shard.search_deadline()  # for all of them together
    for mailbox in mailboxes:
        try:
            found = await session.change(_search, shard, residence, mailbox, query.key, deadline)
        except NotFound:
            continue  # deleted meanwhile: as one that is not there (RFC 7377 2.1)
        if not found:
            continue  # RFC 7377 2.1: no reply, COUNT or not
        modseq = max(modseq for _, modseq in returns.kept(found)) if query.modseq else None
        uids = [uid for uid, _ in found]
        source = (mailbox.name, mailbox.uidvalidity)
        session.out(
            esearch_line(
                request.tag, uids, returns, uid=True, modseq=modseq, source=source, utf8=session.utf8
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


def _chosen(
    shard: Shard, residence: Residence, sources: Collection[Source], selected: int | None
) -> list[Mailbox]:
    """Each mailbox once, in the order of LIST. Names that are none are passed over (RFC 7377 2.1)."""
    mailboxes = shard.mailboxes(residence)
    ids = {mailbox.id for source in sources for mailbox in _of(source, mailboxes, selected)}
    return [mailbox for mailbox in mailboxes if mailbox.id in ids]


def _of(source: Source, mailboxes: Collection[Mailbox], selected: int | None) -> Iterator[Mailbox]:
    for mailbox in mailboxes:
        if source.filter == "SELECTED":
            chosen = mailbox.id == selected
        else:
            chosen = source.covers(mailbox.name, mailbox.subscribed)
        if chosen:
            yield mailbox


COMMANDS = (Command("ESEARCH", run, may_expunge=False),)
