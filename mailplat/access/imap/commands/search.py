"""SEARCH and UID SEARCH (RFC 3501 6.4.4, 6.4.8); ESEARCH (RFC 4731); SAVE (RFC 5182); PARTIAL (RFC 9394);
MODSEQ (RFC 7162 3.1.5)."""

from mailplat.access.imap.command import SELECTED, Command
from mailplat.access.imap.finding import find, numbers, saving
from mailplat.access.imap.refusal import Tagged, ok
from mailplat.access.imap.session import Request, Session
from mailplat.wire.imap import response
from mailplat.wire.imap.esearch import esearch_line, parse_returns
from mailplat.wire.imap.search import parse_query


async def run(session: Session, request: Request) -> Tagged:
    arguments, view = request.arguments, session.selected
    arguments.space()
    returns = parse_returns(arguments)
    with saving(view, returns):
        query = parse_query(arguments)
        places = await find(session, request, query)
    found = numbers(request, view, places)
    kept = places if returns is None else returns.kept(places)
    modseq = max((view.modseqs[place] for place in kept), default=None) if query.modseq else None
    if returns is None:
        session.out(response.search_line(found, modseq))
        return ok(f"{request.name} completed")
    if returns.saves:
        view.save(kept)
    if not returns.silent:
        session.out(esearch_line(request.tag, found, returns, uid=request.by_uid, modseq=modseq))
    return ok(f"{request.name} completed")


COMMANDS = (
    Command("SEARCH", run, states=SELECTED, may_expunge=False),
    Command("UID SEARCH", run, states=SELECTED),
)
