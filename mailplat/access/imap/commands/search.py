"""SEARCH and UID SEARCH (RFC 3501 6.4.4, 6.4.8); ESEARCH (RFC 4731); SAVE (RFC 5182); PARTIAL (RFC 9394);
MODSEQ (RFC 7162 3.1.5)."""

from mailplat.access.imap.command import SELECTED, Command
from mailplat.access.imap.finding import answer, find, saving
from mailplat.access.imap.refusal import Tagged
from mailplat.access.imap.request import Request
from mailplat.access.imap.session import Session
from mailplat.wire.imap import response
from mailplat.wire.imap.esearch import ALL, parse_returns
from mailplat.wire.imap.search import parse_query


async def run(session: Session, request: Request) -> Tagged:
    arguments, view = request.arguments, session.selected
    arguments.space()
    returns = parse_returns(arguments)
    if returns is None and session.rev2:
        returns = ALL  # RFC 9051 6.4.4: no SEARCH response any more
    with saving(view, returns):
        query = parse_query(arguments)
        places = await find(session, request, query)
    return answer(session, request, returns, query, places, response.search_line)


COMMANDS = (
    Command("SEARCH", run, states=SELECTED, may_expunge=False),
    Command("UID SEARCH", run, states=SELECTED),
)
