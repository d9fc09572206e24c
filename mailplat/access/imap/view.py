"""What one client believes about the mailbox it selected: sequence numbers, flags, MODSEQ.

The store tells the truth by UID; a client counts messages. A View holds the list of UIDs that the client has been
told of, in order (sequence number = position + 1), takes changes in as the store reports them, and says in `flush`
what the client must hear so that both agree again: EXPUNGE (or VANISHED), EXISTS, FLAGS, FETCH, in this order.

Held in arrays: a message costs 14 octets, and most connections are idle.
"""

import itertools
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mailplat.access.imap.place import Place
from mailplat.core.rights import ALL, Rights
from mailplat.store.types import SYSTEM_FLAGS, Changes, Snapshot, UidRanges
from mailplat.wire.imap import response
from mailplat.wire.imap.sequence import SequenceSet, ranges

# [low, high) positions in the view, ascending, not touching each other.
Spans = list[tuple[int, int]]

# Sets of flags that are looked for one by one, each at the speed of memory.
_FEW_SETS = 64

# Rights to change something of what is there.
_CHANGING = frozenset("iestw")


@dataclass(frozen=True, slots=True)
class Manner:
    """How a client wants to be told, by what it has enabled."""

    modseq: bool = False  # CONDSTORE (RFC 7162 3.1): FETCH has MODSEQ
    vanished: bool = False  # QRESYNC (RFC 7162 3.2.10), UIDONLY (RFC 9586 3.3): VANISHED instead of EXPUNGE
    uid_only: bool = False  # UIDONLY (RFC 9586 3.2): UIDFETCH instead of FETCH


class View:
    """Positions count from 0. `uids`, `flags` (an index into `flagsets`) and `modseqs` run in parallel."""

    __slots__ = (
        "_dirty",
        "_gone",
        "_index",
        "_keywords",
        "_keywords_changed",
        "_place",
        "_told",
        "checked",
        "examined",
        "flags",
        "flagsets",
        "keywords_shown",
        "mailbox_id",
        "modseq",
        "modseqs",
        "name",
        "pushed",
        "rendered",
        "saved",
        "uidnext",
        "uids",
        "uidvalidity",
    )

    def __init__(
        self,
        mailbox_id: int,
        name: str,
        snapshot: Snapshot,
        *,
        examined: bool,
        checked: float,
        place: Place | None = None,
        keywords_shown: int = 200,
    ) -> None:
        self.mailbox_id = mailbox_id
        self.name = name
        self.examined = examined
        self._place = place  # None where nobody asks a store: tests of the arithmetic
        self.keywords_shown = keywords_shown  # limits.keywords_shown
        self.uidvalidity = snapshot.uidvalidity
        self.uidnext = snapshot.uidnext
        self.modseq = snapshot.modseq  # up to here the view knows everything
        self.checked = checked  # Clock.monotonic() when it last was
        self.uids = array("I", snapshot.uids)
        self.modseqs = array("Q", snapshot.modseqs)
        self.flags = array("H" if len(snapshot.flagsets) <= 0x10000 else "I", snapshot.flags)
        self.flagsets: list[tuple[str, ...]] = [tuple(flags) for flags in snapshot.flagsets]
        self.rendered: list[bytes] = [response.flag_list(flags) for flags in self.flagsets]
        self._index = {flags: number for number, flags in enumerate(self.flagsets)}
        self._keywords: dict[str, None] = {}
        for flags in self.flagsets:
            self._learn(flags)
        self._keywords_changed = False
        self._told = len(self.uids)
        self._gone: set[int] = set()  # UIDs expunged, still numbered for this client
        self.pushed = self.uids[-1] if self.uids else 0  # last UID that NOTIFY has sent FETCH of, or need not
        self._dirty: set[int] = set()  # UIDs whose flags the client must hear of
        # "$" (RFC 5182): UIDs of the last search that saved its result, ascending. Those that are expunged stay here
        # and name nothing: no message gets their UID again. A new SELECT begins with nothing saved.
        self.saved = array("I")

    def __len__(self) -> int:
        return len(self.uids)

    @property
    def place(self) -> Place:
        assert self._place is not None
        return self._place

    @place.setter
    def place(self, place: Place) -> None:
        self._place = place

    @property
    def read_only(self) -> bool:
        """Nothing can be changed here (RFC 4314 5.2)."""
        return self.examined or (self._place is not None and self._place.rights.isdisjoint(_CHANGING))

    @property
    def unmarked(self) -> bool:
        r"""FETCH does not set \Seen: who may not set it reads all the same (RFC 4314 4)."""
        return self.read_only or "s" not in self.place.rights

    def flags_and_permanent(self) -> bytes:
        """FLAGS, and which of them may be changed (RFC 3501 7.1, RFC 4314 5.1.1)."""
        permanent: tuple[str, ...] = ()
        if not self.read_only:
            permanent = self.place.allowed((*SYSTEM_FLAGS, *self.keywords))
            permanent += ("\\*",) * ("w" in self.place.rights)
        permanent_line = b"* OK [PERMANENTFLAGS %b] Flags that are kept\r\n" % response.flag_list(permanent)
        return self.flags_line() + permanent_line

    def rights_now(self) -> Rights:
        """What the session may do here. In a thread of the shard, as the next. Raises NotFound."""
        place = self.place
        return ALL if place.who is None else place.shard.rights(place.residence, self.mailbox_id, place.who)

    def look(self) -> tuple[Rights, Changes]:
        """The rights, and what `apply` takes. Raises NotFound."""
        changes = self.place.shard.changes(self.place.residence, self.mailbox_id, self.modseq)
        return self.rights_now(), changes

    @property
    def keywords(self) -> list[str]:
        """Those that FLAGS and PERMANENTFLAGS name."""
        return list(itertools.islice(self._keywords, self.keywords_shown))

    def position(self, uid: int) -> int | None:
        """Where a UID is, None when the client does not know it."""
        place = bisect_left(self.uids, uid)
        return place if place < len(self.uids) and self.uids[place] == uid else None

    def first_without(self, flag: str) -> int | None:
        """Position of the first message that lacks a flag."""
        lacking = [number for number, flags in enumerate(self.flagsets) if flag not in flags]
        if len(lacking) > _FEW_SETS:
            wanted = set(lacking)
            return next((place for place, number in enumerate(self.flags) if number in wanted), None)
        octets, width = self.flags.tobytes(), self.flags.itemsize
        patterns = (array(self.flags.typecode, [number]).tobytes() for number in lacking)
        found = (_find(octets, pattern, width) for pattern in patterns)
        return min((place for place in found if place is not None), default=None)

    def save(self, places: Sequence[int]) -> None:
        """From now on "$" is the messages at these positions, which may come in any order."""
        self.saved = array("I", sorted(map(self.uids.__getitem__, places)))

    def spans(self, numbers: SequenceSet, *, by_uid: bool) -> Spans:
        """The messages that a set names. Raises BadSyntax for a sequence number beyond the last message; but 1:* of
        an empty mailbox names nothing, because clients ask for it before they look at EXISTS."""
        if numbers.saved:  # the same messages, whichever numbers the command speaks of (RFC 5182 2.1)
            return joined(place for uid in self.saved if (place := self.position(uid)) is not None)
        if not self.uids and (by_uid or all(0 in pair for pair in numbers.ranges)):
            return []
        if not by_uid:
            return [(low - 1, high) for low, high in numbers.numbers(len(self.uids))]
        spans: Spans = []
        for low, high in numbers.merged(self.uids[-1]):
            start, end = bisect_left(self.uids, low), bisect_right(self.uids, high)
            if start == end:
                continue
            if spans and spans[-1][1] == start:
                spans[-1] = (spans[-1][0], end)
            else:
                spans.append((start, end))
        return spans

    def ranges(self, spans: Spans) -> list[tuple[int, int]]:
        """The same messages as (low, high) UID ranges: the store has no message between two neighbours of ours."""
        return [(self.uids[low], self.uids[high - 1]) for low, high in spans]

    def any_gone(self, spans: Spans) -> bool:
        """Whether a message among these was expunged meanwhile."""
        places = [place for uid in self._gone if (place := self.position(uid)) is not None]
        return any(low <= place < high for place in places for low, high in spans)

    def numbers_of(self, uids: Sequence[int]) -> list[int]:
        """Sequence numbers; UIDs that the client does not know are left out."""
        return [place + 1 for uid in uids if (place := self.position(uid)) is not None]

    def apply(self, changes: Changes, checked: float, *, tell: bool = True) -> None:
        """Take in what the store reports since `modseq`. `tell`: the client hears of changed flags."""
        self.checked = checked
        if changes.modseq <= self.modseq and not changes.changed and not changes.expunged:
            return
        self.modseq = max(self.modseq, changes.modseq)
        self.uidnext = max(self.uidnext, changes.uidnext)
        if changes.present is None:
            self._remove(changes.expunged)
        else:
            present = set(changes.present)
            self._remove([uid for uid in self.uids if uid not in present])
        last = self.uids[-1] if self.uids else 0
        for uid, modseq, flags in sorted(changes.changed):
            if uid > last:
                self.uids.append(uid)
                self.modseqs.append(modseq)
                self.flags.append(self._number(flags))
            else:
                self.note(uid, modseq, flags, tell=tell)

    def note(self, uid: int, modseq: int, flags: tuple[str, ...], *, tell: bool) -> None:
        """A message's flags as they are now. Client hears of it when something changed and `tell`."""
        place = self.position(uid)
        if place is None:
            return
        number = self._number(flags)
        if self.modseqs[place] != modseq or self.flags[place] != number:
            self.flags[place] = number
            self.modseqs[place] = modseq
            if tell:
                self._dirty.add(uid)

    def only(self, changes: Changes, uids: UidRanges) -> Changes:
        """Of what the store reports that messages went which a command has named (None: all of them): what a client
        hears of its own command that wants to hear of nothing else (RFC 5465 3.1)."""
        gone: Iterable[int] = changes.expunged
        if changes.present is not None:
            there = set(changes.present)
            gone = (uid for uid in self.uids if uid not in there)
        named = [uid for uid in gone if uids is None or any(low <= uid <= high for low, high in uids)]
        return Changes(self.modseq, self.uidnext, expunged=named)

    def tell(self, spans: Spans) -> None:
        """The client is to hear the flags of these messages, changed or not (answer to STORE)."""
        for low, high in spans:
            self._dirty.update(self.uids[low:high])

    def flush(self, *, expunge: bool, manner: Manner) -> bytes:
        """What the client must hear now. `expunge`: the running command may renumber (RFC 3501 7.4.1)."""
        if not (self._gone or self._dirty or self._keywords_changed) and self._told == len(self.uids):
            return b""
        lines: list[bytes] = []
        if expunge and self._gone:
            places = sorted((p for uid in self._gone if (p := self.position(uid)) is not None), reverse=True)
            if manner.vanished:
                lines.append(
                    response.vanished_lines(ranges([self.uids[place] for place in reversed(places)]))
                )
            else:
                lines += [b"* %d EXPUNGE\r\n" % (place + 1) for place in places]
            self._told -= len(places)
            self._cut(places)
            self._dirty -= self._gone
            self._gone.clear()
        if self._told != len(self.uids):
            self._told = len(self.uids)
            lines.append(b"* %d EXISTS\r\n" % self._told)
        if self._keywords_changed:
            self._keywords_changed = False
            lines.append(self.flags_line())
        if self._dirty:
            heard = (self.position(uid) for uid in sorted(self._dirty - self._gone))
            lines.append(self.flag_lines((place for place in heard if place is not None), manner))
            self._dirty.clear()
        return b"".join(lines)

    def flags_line(self) -> bytes:
        """RFC 3501 7.2.6."""
        return b"* FLAGS %b\r\n" % response.flag_list((*SYSTEM_FLAGS, *self.keywords))

    def flag_lines(self, places: Iterable[int], manner: Manner) -> bytes:
        """FETCH of UID and FLAGS, and of MODSEQ where it is wanted, of the messages at these positions."""
        lines = []
        for place in places:
            uid, flags = self.uids[place], self.rendered[self.flags[place]]
            modseq = b"MODSEQ (%d) " % self.modseqs[place] if manner.modseq else b""
            if manner.uid_only:
                lines.append(b"* %d UIDFETCH (%bFLAGS %b)\r\n" % (uid, modseq, flags))
            else:
                lines.append(b"* %d FETCH (UID %d %bFLAGS %b)\r\n" % (place + 1, uid, modseq, flags))
        return b"".join(lines)

    def _remove(self, expunged: Sequence[int]) -> None:
        unheard: list[int] = []
        for uid in expunged:
            place = self.position(uid)
            if place is None:
                continue
            if place < self._told:
                self._gone.add(uid)
            else:  # came and went before the client heard of it
                unheard.append(place)
        self._cut(sorted(unheard, reverse=True))

    def _cut(self, places: Sequence[int]) -> None:
        """Drop positions, given in descending order."""
        if len(places) > 16:  # one pass is cheaper than moving the tail for each
            self.uids = _without(self.uids, places)
            self.modseqs = _without(self.modseqs, places)
            self.flags = _without(self.flags, places)
            return
        for place in places:
            del self.uids[place], self.modseqs[place], self.flags[place]

    def _number(self, flags: tuple[str, ...]) -> int:
        number = self._index.get(flags)
        if number is None:
            number = self._index[flags] = len(self.flagsets)
            self.flagsets.append(flags)
            self.rendered.append(response.flag_list(flags))
            self._learn(flags)
            if number == 0x10000:  # a mailbox where hardly two messages share their flags
                self.flags = array("I", self.flags)
        return number

    def _learn(self, flags: tuple[str, ...]) -> None:
        for flag in flags:
            if flag not in SYSTEM_FLAGS and flag not in self._keywords:
                self._keywords[flag] = None
                self._keywords_changed = True


def joined(places: Iterable[int]) -> Spans:
    """Ascending positions as spans."""
    return [(low, high + 1) for low, high in ranges(places)]


def _find(octets: bytes, pattern: bytes, width: int) -> int | None:
    """The first place of a number, of `width` octets each. array.index would make objects of all before it."""
    at = octets.find(pattern)
    while at >= 0 and at % width:
        at = octets.find(pattern, at + 1)
    return at // width if at >= 0 else None


def _without(numbers: "array[int]", places: Sequence[int]) -> "array[int]":
    """But for these places, given in descending order."""
    kept = array(numbers.typecode)
    start = 0
    for place in reversed(places):
        kept += numbers[start:place]
        start = place + 1
    kept += numbers[start:]
    return kept
