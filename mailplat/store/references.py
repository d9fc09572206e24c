"""Who answers whom: the message IDs that THREAD=REFERENCES needs, remembered from one command to the next.

The index keeps Message-ID and In-Reply-To but not References, the longest field of many headers and of use to this
one command only. So headers are read from the files, and no more of them than the header; what they say never changes
and is kept in memory, bounded, so that a client that threads its mailbox again after each new message has only that
one read. What is kept of an ID is its hash: the hash of Python, of 64 bits and under a key that each process draws
anew, so that nobody can make two IDs that collide, and they do not by chance.
"""

import threading
from array import array
from collections import OrderedDict
from collections.abc import Mapping, Sequence

from mailplat.core.errors import LimitReached
from mailplat.core.route import Residence
from mailplat.store.rendered import headers
from mailplat.store.site import Site
from mailplat.wire.imap.sequence import ranges
from mailplat.wire.mime.headers import MAX_HEADER
from mailplat.wire.mime.references import message_ids

# Headers between two looks at the clock, and rows in memory at once.
_WINDOW = 500

# The own ID (0: none), then the references, the parent last: numbers of 64 bits.
Ids = bytes


def numbers(ids: Ids) -> "array[int]":
    return array("q", ids)


class References:
    """What is remembered, by mailbox, of at most `limit` messages; the mailboxes that were asked for longest ago go
    first. Thread-safe. A mailbox's number and its UIDs are never used again, so nothing here gets wrong."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._known: OrderedDict[int, dict[int, Ids]] = OrderedDict()

    def forget(self) -> None:
        with self._lock:
            self._known.clear()

    def of(self, site: Site, residence: Residence, mailbox_id: int, uids: Sequence[int]) -> Mapping[int, Ids]:
        """Of each of `uids` that is there, and of others maybe. Raises NotFound, Unavailable; LimitReached when
        reading takes longer than limits.search_seconds: what was read is kept, so the next try comes further."""
        with self._lock:
            known = dict(self._known.get(mailbox_id, ()))
        missing = [uid for uid in uids if uid not in known]
        try:
            self._read(site, residence, mailbox_id, missing, known)
        finally:
            if known:
                self._keep(mailbox_id, known)
        return known

    def _read(
        self,
        site: Site,
        residence: Residence,
        mailbox_id: int,
        missing: Sequence[int],
        known: dict[int, Ids],
    ) -> None:
        deadline = site.clock.monotonic() + site.limits.search_seconds
        for start in range(0, len(missing), _WINDOW):
            if start and site.clock.monotonic() > deadline:
                raise LimitReached(
                    f"headers were read for longer than {site.limits.search_seconds:g} s; try again"
                )
            window = ranges(missing[start : start + _WINDOW])
            for uid, header in headers(site, residence, mailbox_id, window, MAX_HEADER):
                own, references = message_ids(header)
                ids = [hash(own) if own is not None else 0, *map(hash, references)]
                known[uid] = array("q", ids).tobytes()

    def _keep(self, mailbox_id: int, known: dict[int, Ids]) -> None:
        if len(known) > self._limit:
            known = dict(list(known.items())[: self._limit])
        with self._lock:
            self._known[mailbox_id] = known
            self._known.move_to_end(mailbox_id)
            count = sum(map(len, self._known.values()))
            while count > self._limit:
                _, gone = self._known.popitem(last=False)
                count -= len(gone)
