"""The oracle: what was acknowledged, what may have happened, and what anybody was ever shown. Thread-safe.

Each attempt has a token of its own, and no client tries again: a token is in a mailbox once or not at all. An attempt
that nobody answered is `maybe`; the next inspection sees whether it happened and holds the platform to that.
"""

import hashlib
import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

Key = tuple[str, str]  # account, mailbox
Flags = frozenset[str]


@dataclass
class Box:
    """One mailbox as the world knows it."""

    key: Key
    uidvalidity: int = 0
    modseq: int = 0  # highest that anybody was shown
    listed: int = 1  # UIDNEXT at the last inspection: every UID below it was listed then, or is gone for ever
    inspected: int = 0  # HIGHESTMODSEQ at the last inspection
    names: dict[int, str] = field(default_factory=dict)  # UID -> token, for ever
    live: dict[int, Flags | None] = field(
        default_factory=dict
    )  # flags; None: changing when the answer was lost
    rows: dict[int, tuple[int, Flags]] = field(
        default_factory=dict
    )  # MODSEQ and flags at the last inspection
    dates: dict[int, bytes] = field(default_factory=dict)  # INTERNALDATE as it was shown first
    digests: dict[int, bytes] = field(
        default_factory=dict
    )  # SHA-256 of all octets, trace fields too, as read first
    busy: set[int] = field(default_factory=set)  # a client changes them, or did when its answer was lost
    leaving: set[int] = field(default_factory=set)  # a MOVE or EXPUNGE of them is not answered
    gone: set[int] = field(default_factory=set)
    owed: set[str] = field(default_factory=set)  # acknowledged, UID not told
    maybe: set[str] = field(default_factory=set)
    late: set[str] = field(default_factory=set)  # was not there: only a rebuild may still bring it
    tokens: set[str] = field(default_factory=set)  # ever attempted


@dataclass
class Batch:
    """Messages that come together or not at all, and the messages that leave for them."""

    target: Box
    tokens: list[str]
    source: Box | None = None
    uids: list[int] = field(default_factory=list)


class Ledger:
    def __init__(self) -> None:
        self.boxes: dict[Key, Box] = {}
        self.batches: list[Batch] = []  # in flight, or never answered
        self.counts: Counter[str] = Counter()
        self.broken: Counter[str] = Counter()
        self.stories: list[str] = []  # of what broke
        self.lock = threading.RLock()
        self._tokens = 0

    def box(self, account: str, name: str) -> Box:
        with self.lock:
            return self.boxes.setdefault((account, name), Box((account, name)))

    def token(self) -> str:
        with self.lock:
            self._tokens += 1
            return f"t{self._tokens}"

    def violated(self, kind: str, story: str) -> None:
        with self.lock:
            self.broken[kind] += 1
            self.stories.append(f"{kind}: {story}")

    # messages that come

    def offer(self, boxes: Iterable[Box], token: str) -> None:
        """A delivery begins: to each box by itself."""
        with self.lock:
            self.counts["sent"] += 1
            for box in boxes:
                box.maybe.add(token)
                box.tokens.add(token)

    def accepted(self, box: Box, token: str) -> None:
        """250 for this recipient."""
        with self.lock:
            self.counts["acknowledged"] += 1
            if token in box.maybe:
                box.maybe.discard(token)
                box.owed.add(token)

    def begin(self, batch: Batch) -> None:
        """An APPEND, COPY or MOVE begins."""
        with self.lock:
            self.counts["sent"] += len(batch.tokens)
            self.batches.append(batch)
            batch.target.maybe.update(batch.tokens)
            batch.target.tokens.update(batch.tokens)
            if batch.source is not None:
                batch.source.leaving.update(batch.uids)

    def stored(self, batch: Batch, uids: Sequence[int], flags: Sequence[Flags]) -> None:
        """OK with APPENDUID or COPYUID; `flags` as the new messages have them."""
        with self.lock:
            self.batches.remove(batch)
            self.counts["acknowledged"] += len(uids)
            if len(uids) != len(batch.tokens):
                self.violated("missing", f"{len(uids)} UIDs for {len(batch.tokens)} messages: {batch}")
            for uid, token, each in zip(uids, batch.tokens, flags, strict=False):
                self._arrived(batch.target, uid, token, each)
            if batch.source is not None:
                self.expunged(batch.source, batch.uids)

    def _arrived(self, box: Box, uid: int, token: str, flags: Flags) -> None:
        if uid < box.listed:
            self.violated("reused", f"{box.key}: UID {uid} was given, all below {box.listed} were in use")
        self.shown(box, uid, token)
        box.maybe.discard(token)
        box.owed.discard(token)
        box.live.setdefault(uid, flags)

    def shown(self, box: Box, uid: int, token: str) -> None:
        """Somebody saw this message under this UID."""
        with self.lock:
            known = box.names.setdefault(uid, token)
            if known != token:
                self.violated("changed", f"{box.key}: UID {uid} was {known} and is {token}")

    def read(self, box: Box, uid: int, octets: bytes) -> None:
        """Somebody read the whole message."""
        digest = hashlib.sha256(octets).digest()
        with self.lock:
            if box.digests.setdefault(uid, digest) != digest:
                self.violated("octets", f"{box.key}: UID {uid} is not the octets that it was")

    def twins(self, box: Box, one: int, other: int) -> str:
        """What it is that a token is there under two UIDs: one message that is kept twice, or two deliveries of it,
        which have other trace fields. The second is what a relay cannot avoid when the next hop dies before it has
        answered (RFC 1047)."""
        digests = box.digests.get(one), box.digests.get(other)
        return "delivered twice" if None not in digests and digests[0] != digests[1] else "doubled"

    def met(self, box: Box, uid: int, token: str) -> bool:
        """Somebody saw a message that was delivered, and whose UID nobody was told: from here on it is like any
        other. False while its delivery is not acknowledged."""
        with self.lock:
            if token in box.owed:
                self._arrived(box, uid, token, frozenset())
            return token not in box.maybe

    def shown_modseq(self, box: Box, modseq: int) -> None:
        with self.lock:
            box.modseq = max(box.modseq, modseq)

    # messages that change and leave

    def reserve(self, box: Box, most: int, *, unknown_to: Box | None = None) -> list[int]:
        """Up to `most` UIDs that nobody else changes meanwhile, the eldest first; with `unknown_to` only those
        whose message never was there."""
        with self.lock:
            free = [
                uid
                for uid in box.live
                if uid not in box.busy and (unknown_to is None or box.names[uid] not in unknown_to.tokens)
            ][:most]
            box.busy.update(free)
            return free

    def release(self, box: Box, uids: Iterable[int]) -> None:
        with self.lock:
            box.busy.difference_update(uids)

    def flagging(self, box: Box, uids: Iterable[int]) -> list[Flags]:
        """A STORE begins: until it is answered the flags are unknown. Returns what they were."""
        with self.lock:
            before = [box.live[uid] or frozenset() for uid in uids]
            for uid in uids:
                box.live[uid] = None
            return before

    def flagged(self, box: Box, uids: Iterable[int], flags: Iterable[Flags]) -> None:
        with self.lock:
            self.counts["flags acknowledged"] += 1
            box.live.update(zip(uids, flags, strict=True))

    def expunging(self, box: Box, uids: Iterable[int]) -> None:
        with self.lock:
            box.leaving.update(uids)

    def expunged(self, box: Box, uids: Iterable[int]) -> None:
        with self.lock:
            for uid in uids:
                self.counts["expunges acknowledged"] += 1
                box.live.pop(uid, None)
                box.busy.discard(uid)
                box.leaving.discard(uid)
                box.gone.add(uid)

    def flags_of(self, box: Box, uids: Iterable[int]) -> list[Flags]:
        with self.lock:
            return [box.live[uid] or frozenset() for uid in uids]
