"""The values that cross the store's door."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from mailplat.core.errors import NotFound
from mailplat.core.limits.store import StoreLimits as StoreLimits
from mailplat.core.quota import NO_QUOTA, Quota
from mailplat.core.rights import Rights
from mailplat.core.route import Residence
from mailplat.core.spool import Body


class MessageGone(NotFound):
    """The message that was to be replaced was expunged meanwhile, or never was."""


# Ranges of UIDs, both ends included, in any order; None stands for every message.
UidRanges = Sequence[tuple[int, int]] | None

FlagMode = Literal["set", "add", "remove"]

# RFC 3501 2.3.2, in the order in which we always name them. \Recent is never kept.
SYSTEM_FLAGS = ("\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft")

# A UID and a UIDVALIDITY have 32 bits (RFC 3501 2.3.1.1), a MODSEQ 63 (RFC 7162 3.1).
MAX_UID = 2**32 - 1
MAX_MODSEQ = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Mailbox:
    id: int  # never used again within a shard
    name: str  # Unicode, levels separated by "/", "INBOX" in upper case
    uidvalidity: int
    uidnext: int
    modseq: int  # HIGHESTMODSEQ, at least 1
    messages: int
    unseen: int
    size: int  # octets
    subscribed: bool
    special_use: str  # "" or "\\Sent", "\\Trash", ... (RFC 6154)
    object_id: str  # MAILBOXID (RFC 8474 4): kept by a rename, a rebuild, a move; of no other mailbox


# RFC 4314 2: all accounts of the owner's domain, never the world.
ANYONE = "anyone"


@dataclass(frozen=True, slots=True)
class Entry:
    """What one identifier of an ACL is given, see acl.py."""

    grantee_id: int  # 0: ANYONE
    rights: Rights


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message to be stored. The caller keeps `body` open until the append returned, and closes it."""

    body: Body
    prefix: bytes = b""  # trace fields to put on top, complete with CRLF
    flags: tuple[str, ...] = ()  # system flags and keywords; \Recent is ignored
    internaldate: float | None = None  # Unix seconds; None: now
    internaldate_zone: int = 0  # minutes east of UTC, as it shall be shown
    uid: int | None = None  # keep this UID (a move keeps UIDs); AlreadyExists when it is or was in use
    modseq: int | None = None  # keep this MODSEQ; only with `uid`
    saved_at: float | None = None  # keep this SAVEDATE, Unix seconds; None: now
    uidl: str = ""  # keep this POP3 UIDL and its place: store/uidl.py
    dedupe: str = ""  # a second append to the mailbox with the same key stores nothing
    render_later: bool = False  # behind the append, or when somebody asks for it: store/rendered.py


@dataclass(frozen=True, slots=True)
class Copy:
    """Where one message is to go, one of several."""

    residence: Residence
    mailbox: str
    quota: Quota = NO_QUOTA
    dedupe: str = ""  # of this copy; "": the message's


@dataclass(frozen=True, slots=True)
class Appended:
    uidvalidity: int
    uid: int
    modseq: int
    duplicate: bool = False  # the dedupe key was known: this is the first message's UID


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A mailbox at one instant. May be shared between callers: its lists are for reading only."""

    uidvalidity: int
    uidnext: int
    modseq: int
    uids: Sequence[int]  # ascending
    flags: Sequence[int]  # of each message: index in flagsets
    modseqs: Sequence[int]
    flagsets: Sequence[tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Changes:
    """What happened to a mailbox after a MODSEQ. A message that came and went in between is in `expunged`
    only; a UID that the caller never heard of may be there."""

    modseq: int  # HIGHESTMODSEQ now
    uidnext: int
    changed: Sequence[tuple[int, int, tuple[str, ...]]] = ()  # (uid, modseq, flags), new messages too, by UID
    expunged: Sequence[int] = ()  # ascending
    # All UIDs that are there now, ascending, where it is forgotten what was expunged since then: `expunged` is empty,
    # and whatever else the caller knew is gone.
    present: Sequence[int] | None = None


@dataclass(frozen=True, slots=True)
class CopyResult:
    """COPYUID (RFC 4315 3): the pairs of old and new UIDs. A message that was expunged meanwhile is in
    neither. `uidvalidity` is the target's."""

    uidvalidity: int
    source_uids: list[int]
    target_uids: list[int]


@dataclass(frozen=True, slots=True)
class Problem:
    """One difference between index and files. `kind` is a word of repair/problems; `path` is relative to the
    shard."""

    kind: str
    path: str
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.path}: {self.text}"


@dataclass(slots=True)
class Report:
    """What verify or rebuild found. `swept` counts leftovers of crashes that were removed: nobody's messages;
    `adopted` files that had no row and have one now."""

    accounts: int = 0
    mailboxes: int = 0
    messages: int = 0
    swept: int = 0
    adopted: int = 0
    converted: int = 0  # adopted files whose lines ended with a bare LF
    problems: list[Problem] = field(default_factory=list)

    @property
    def first(self) -> Problem | str:
        """The first problem, "" when there is none."""
        return self.problems[0] if self.problems else ""
