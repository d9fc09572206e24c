"""What SEARCH, SORT and THREAD share: finding messages, and saving the result for "$" (RFC 5182)."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from mailplat.access.imap.limiting import cut_search
from mailplat.access.imap.matching import match
from mailplat.access.imap.refusal import Tagged, ok
from mailplat.access.imap.request import Request
from mailplat.access.imap.session import Session
from mailplat.access.imap.view import View
from mailplat.wire.imap.errors import BadSyntax
from mailplat.wire.imap.esearch import Returns, esearch_line
from mailplat.wire.imap.search import Query, bind


async def find(session: Session, request: Request, query: Query, *, whole: bool = False) -> Sequence[int]:
    """Positions of the messages that match, ascending, after the client was told what is new, so that all of them
    have a number. What comes in after that is not among them. `whole`: a part of the messages is of no use; raises
    TooManyMessages then."""
    if query.modseq:
        session.enable("CONDSTORE")  # RFC 7162 3.1
    view = session.selected
    await session.refresh()
    session.announce(expunge=request.by_uid)
    if not len(view):
        return ()
    bound = cut_search(session, request, bind(query.key, view.uids, view.saved), refuses=whole)
    places = match(bound, view)
    if places is not None:
        return places
    home = view.place
    uids = await home.change(home.shard.search, home.residence, view.mailbox_id, bound)
    return [place for uid in uids if (place := view.position(uid)) is not None]


def answer(
    session: Session,
    request: Request,
    returns: Returns | None,
    query: Query,
    places: Sequence[int],
    plain: Callable[[list[int], int | None], bytes],
) -> Tagged:
    """Say and save the result, which is in the order of the reply; `plain` makes the reply where no RETURN was given,
    of numbers and mod-sequence."""
    view = session.selected
    found = [view.uids[place] for place in places] if request.by_uid else [place + 1 for place in places]
    kept = places if returns is None else returns.kept(places)
    modseq = max((view.modseqs[place] for place in kept), default=None) if query.modseq else None
    if returns is None:
        session.out(plain(found, modseq))
    else:
        if returns.saves:
            view.save(kept)
        if not returns.silent:
            session.out(esearch_line(request.tag, found, returns, uid=request.by_uid, modseq=modseq))
    return ok(f"{request.name} completed")


@contextmanager
def saving(view: View, returns: Returns | None) -> Iterator[None]:
    """RFC 5182 2.1: where a search that is to save its result ends with NO, "$" is empty; with BAD it stays."""
    try:
        yield
    except BadSyntax:
        raise
    except Exception:
        if returns is not None and returns.saves:
            view.save(())
        raise
