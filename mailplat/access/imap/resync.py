"""A client that was away hears what happened meanwhile (RFC 7162 3.2).

What has a row is told from the view, what was expunged from the store's tombstones. Where the store has forgotten
them, every UID that the client may know and that is not there is told as vanished: RFC 7162 3.2.5.1 allows UIDs that
the client never heard of. The view is read first and the tombstones after it, and what the view still has is never
told here: an expunge in between is told by the view's next flush, as any other.
"""

from mailplat.access.imap.session import Session
from mailplat.access.imap.view import View
from mailplat.store.types import Changes
from mailplat.wire.imap import response
from mailplat.wire.imap.sequence import Range, SequenceSet, among, missing, ranges
from mailplat.wire.imap.storing import Resync


async def catch_up(session: Session, said: Resync) -> None:
    """SELECT with QRESYNC (RFC 7162 3.2.5), its UIDVALIDITY being ours: VANISHED (EARLIER), then FETCH."""
    view = session.selected
    known = _known(view, said.known)
    changes = await view.place.call(
        view.place.shard.changes, view.place.residence, view.mailbox_id, said.modseq
    )
    floor = _agreed(view, said) if changes.present is not None else 0
    session.out(vanished(view, changes, _above(known, floor)))
    for start in range(0, len(view), session.limits.rows):
        end = min(start + session.limits.rows, len(view))
        places = [place for place in range(start, end) if view.modseqs[place] > said.modseq]
        if said.known is not None:
            wanted = set(among([view.uids[place] for place in places], known))
            places = [place for place in places if view.uids[place] in wanted]
        session.out(view.flag_lines(places, session.manner))
        if session.stream.full:
            await session.stream.flush()


async def tell_vanished(session: Session, numbers: SequenceSet, since: int) -> None:
    """UID FETCH (CHANGEDSINCE since VANISHED): RFC 7162 3.2.6."""
    view = session.selected
    changes = await view.place.call(view.place.shard.changes, view.place.residence, view.mailbox_id, since)
    # "*" is here the last UID that ever was, so that 1:* asks for all that went.
    session.out(vanished(view, changes, _known(view, numbers)))


def vanished(view: View, changes: Changes, known: list[Range]) -> bytes:
    """VANISHED (EARLIER) of what is gone among `known`, sorted and apart from each other."""
    if changes.present is not None:
        return response.vanished_lines(missing(known, view.uids), earlier=True)
    gone = [uid for uid in among(changes.expunged, known) if view.position(uid) is None]
    return response.vanished_lines(ranges(gone), earlier=True)


def highest(session: Session) -> bytes | str:
    """The code of a tagged OK after messages were expunged (RFC 7162 3.2.7): what the view is about to tell is all up
    to there."""
    return response.highest_modseq(session.selected.modseq) if session.condstore else ""


def _known(view: View, numbers: SequenceSet | None) -> list[Range]:
    """UIDs that the client may know, none beyond what was ever given out."""
    last = view.uidnext - 1
    if not last:
        return []
    merged = [(1, last)] if numbers is None else numbers.merged(last)
    return [(low, min(high, last)) for low, high in merged if low <= last]


def _above(known: list[Range], floor: int) -> list[Range]:
    return [(max(low, floor + 1), high) for low, high in known if high > floor]


def _agreed(view: View, said: Resync) -> int:
    """RFC 7162 3.2.5.2: up to this UID nothing has vanished that the client does not know of already, since a number
    of its own still names the message that it did."""
    agreed = 0
    for number, uid in said.matches():
        if number > len(view) or view.uids[number - 1] != uid:
            break
        agreed = uid
    return agreed
