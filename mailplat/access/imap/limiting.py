"""MESSAGELIMIT and SAVELIMIT (RFC 9738): how many messages one command works on, where an admin has said so.

Commands that can be done in parts work on the messages with the highest UIDs, and their end names the lowest of them,
from which the client goes on. What is all or nothing (COPY, APPEND of several), or has no meaning in parts (SORT,
THREAD), is refused. EXPUNGE, CLOSE and STATUS are never limited (RFC 9738 3.1).
"""

from collections.abc import Sequence

from mailplat.access.imap.matching import match
from mailplat.access.imap.refusal import Tagged, TooManyMessages
from mailplat.access.imap.request import Request
from mailplat.access.imap.session import Session
from mailplat.access.imap.view import Spans, View, joined
from mailplat.wire.imap import response
from mailplat.wire.imap.search import And, Key, Not, Uids
from mailplat.wire.imap.sequence import ranges


def size(spans: Spans) -> int:
    """How many messages these are."""
    return sum(high - low for low, high in spans)


def cut(session: Session, request: Request, spans: Spans) -> Spans:
    """Of these messages those that one command works on; `finish` tells the client where they end."""
    limit = session.limits.message_limit
    if not limit or size(spans) <= limit:
        return spans
    kept = _last(spans, limit)
    request.lowest = session.selected.uids[kept[0][0]]
    return kept


def check_saved(session: Session, spans: Spans) -> None:
    """Before a copy, which is made of all of them or of none. Raises TooManyMessages."""
    limit = session.limits.message_limit or session.limits.save_limit
    if limit and size(spans) > limit:
        raise TooManyMessages(limit, session.selected.uids[_last(spans, limit)[0][0]])


def _last(spans: Spans, count: int) -> Spans:
    """The last messages of these, so many."""
    kept: Spans = []
    for low, high in reversed(spans):
        kept.append((max(low, high - count), high))
        count -= high - kept[-1][0]
        if not count:
            break
    return kept[::-1]


def check_page(session: Session, partial: tuple[int, int]) -> None:
    """A page that is larger than what one command works on is refused before anything is done (RFC 9738 3.1). Raises
    TooManyMessages."""
    limit = session.limits.message_limit
    if limit and abs(partial[1] - partial[0]) + 1 > limit:
        raise TooManyMessages(limit)


def cut_search(session: Session, request: Request, key: Key, *, refuses: bool) -> Key:
    """A bound key that looks at no more messages than one command may, whatever it finds among them. `refuses`: where
    a part of them is of no use; raises TooManyMessages then."""
    limit, view = session.limits.message_limit, session.selected
    if not limit or len(view) <= limit:
        return key
    places = _candidates(key, view)
    if len(places) <= limit:
        return key
    if refuses:
        raise TooManyMessages(limit)  # RFC 9738 3.3
    uids = [view.uids[place] for place in places[-limit:]]
    request.lowest = uids[0]
    return And((Uids(tuple(ranges(uids))), key))


def _candidates(key: Key, view: View) -> Sequence[int]:
    """Positions of the messages that a search has to look at: those that its sets of numbers leave."""
    keys = key.keys if isinstance(key, And) else (key,)
    sets = tuple(
        each
        for each in keys
        if isinstance(each, Uids) or (isinstance(each, Not) and isinstance(each.key, Uids))
    )
    return match(And(sets), view) or [] if sets else range(len(view))


def expungeable(view: View, spans: Spans) -> Spans:
    r"""Those with \Deleted: UID EXPUNGE works on no others."""
    deleted = {number for number, flags in enumerate(view.flagsets) if "\\Deleted" in flags}
    return joined(place for low, high in spans for place in range(low, high) if view.flags[place] in deleted)


def finish(session: Session, request: Request, tagged: Tagged) -> Tagged:
    """The end of a command of which a part was done: MESSAGELIMIT in its tagged OK, or where that says something else
    already, in an untagged NO before it (RFC 9738 3.1)."""
    if request.lowest is None or tagged.status == "BAD":
        return tagged
    code = f"MESSAGELIMIT {session.limits.message_limit} {request.lowest}"
    text = f"Only the last {session.limits.message_limit} messages"
    if tagged.status == "OK" and not tagged.code:
        return Tagged("OK", f"{tagged.text}: {text.lower()}", code)
    session.out(response.untagged_status("NO", text, code))
    return tagged
