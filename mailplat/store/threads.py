"""THREAD (RFC 5256): what the index and the headers say, for the algorithms of wire/imap/threads.py."""

from collections.abc import Mapping, Sequence

from mailplat.core.route import Residence
from mailplat.store.references import Ids, References, numbers
from mailplat.store.site import Site
from mailplat.store.sorting import sent_moment, windows
from mailplat.wire.imap.sorting import Algorithm
from mailplat.wire.imap.threads import Forest, Threadable, by_references, by_subject
from mailplat.wire.mime.collation import unicode_casemap
from mailplat.wire.mime.subjects import base_subject

# References of all messages of one THREAD together: 250 octets each while the trees are made. Real mailboxes of
# 100,000 messages stay below; where strangers wrote more, the last ones of each count, its parent always.
MAX_REFERENCES = 500_000

_COLUMNS = ("r.sent", "r.sent_day", "r.subject")


def threads(
    site: Site,
    references: References,
    residence: Residence,
    mailbox_id: int,
    uids: Sequence[int],
    algorithm: Algorithm,
) -> Forest:
    """Those of `uids`, ascending, that are there. Raises NotFound, LimitReached as sorting.windows does;
    for REFERENCES what References.of raises."""
    known: Mapping[int, Ids] = {}
    if algorithm == "REFERENCES":
        known = references.of(site, residence, mailbox_id, uids)
    most = _most_of_each(known)
    messages: list[Threadable] = []
    for window in windows(site, residence, mailbox_id, uids, _COLUMNS):
        for uid, internaldate, _, sent, day, subject in window:
            base = base_subject(subject)
            own, *others = numbers(known[uid]) if uid in known else (0,)
            messages.append(
                Threadable(
                    uid,
                    sent_moment(internaldate, sent, day),
                    unicode_casemap(base.text),
                    base.is_reply,
                    own,
                    others[-most:],
                )
            )
    return by_references(messages) if algorithm == "REFERENCES" else by_subject(messages)


def _most_of_each(known: Mapping[int, Ids]) -> int:
    """How many references of a message count."""
    together = sum(len(numbers(ids)) - 1 for ids in known.values())
    longest = max((len(numbers(ids)) for ids in known.values()), default=1)
    return longest if together <= MAX_REFERENCES else max(1, MAX_REFERENCES // len(known))
