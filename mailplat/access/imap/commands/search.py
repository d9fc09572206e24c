"""SEARCH and UID SEARCH (RFC 3501 6.4.4, 6.4.8); ESEARCH (RFC 4731); MODSEQ (RFC 7162 3.1.5)."""

from collections.abc import Sequence
from dataclasses import replace

from mailplat.access.imap.command import SELECTED, Command
from mailplat.access.imap.matching import match
from mailplat.access.imap.refusal import Tagged, ok
from mailplat.access.imap.session import Request, Session
from mailplat.access.imap.view import View
from mailplat.wire.imap import response
from mailplat.wire.imap.search import Key, SearchProgram, bind, parse_search


async def run(session: Session, request: Request) -> Tagged:
    program = parse_search(request.arguments)
    if program.modseq:
        session.enable("CONDSTORE")  # RFC 7162 3.1
    view = session.selected
    await session.refresh()
    session.announce(expunge=request.by_uid)  # so that what is found has a number
    places = await _find(session, view, program.key)
    numbers = [view.uids[place] for place in places] if request.by_uid else [place + 1 for place in places]
    modseq = _highest(view, program, places) if program.modseq else None
    if program.returns is None and session.rev2:
        program = replace(program, returns=frozenset({"ALL"}))  # RFC 9051 6.4.4: no SEARCH response any more
    if program.returns is None:
        session.out(response.search_line(numbers, modseq))
    else:
        session.out(
            response.esearch_line(request.tag, numbers, program.returns, uid=request.by_uid, modseq=modseq)
        )
    return ok(f"{request.name} completed")


async def _find(session: Session, view: View, key: Key) -> Sequence[int]:
    """Positions of the messages that match. What came in after the view was brought up to date is not among them."""
    if not len(view):
        return ()
    bound = bind(key, view.uids)
    places = match(bound, view)
    if places is not None:
        return places
    uids = await session.change(session.shard.search, session.residence, view.mailbox_id, bound)
    return [place for uid in uids if (place := view.position(uid)) is not None]


def _highest(view: View, program: SearchProgram, places: Sequence[int]) -> int | None:
    """RFC 4731 3.2: of all that was found; of the first and last only where nothing but MIN and MAX is asked for."""
    if not places:
        return None
    returns = program.returns or frozenset()
    if returns and returns <= {"MIN", "MAX"}:
        ends = [places[0]] * ("MIN" in returns) + [places[-1]] * ("MAX" in returns)
        return max(view.modseqs[place] for place in ends)
    return max(view.modseqs[place] for place in places)


COMMANDS = (
    Command("SEARCH", run, states=SELECTED, may_expunge=False),
    Command("UID SEARCH", run, states=SELECTED),
)
