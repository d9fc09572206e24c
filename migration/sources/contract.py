"""What the engine asks of every source."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from mailplat.core.spool import Body

# One fetch: enough that the round trip does not count, and bounded in our memory and in the source's patience.
BATCH_MESSAGES = 256
BATCH_OCTETS = 8 * 1024 * 1024

# Messages that are listed at once: some 5 MB of us, whatever the mailbox has, and few enough questions that the round
# trip does not count. A multiple of manifest.PART_MESSAGES.
SPAN_MESSAGES = 16_384

Span = tuple[int, int | None]  # UIDs, both included; None: to the end


@dataclass(frozen=True, slots=True)
class Status:
    """A mailbox's numbers at one instant. None: the source does not say."""

    uidvalidity: int
    uidnext: int | None
    messages: int
    modseq: int | None  # HIGHESTMODSEQ (RFC 7162 3.1.2.1)


@dataclass(frozen=True, slots=True)
class SourceMailbox:
    """One mailbox that can be selected. `wire` is its name as the source spells it, `name` as we do."""

    wire: bytes
    name: str
    special_use: str = ""
    object_id: str | None = None  # MAILBOXID (RFC 8474 4) that it keeps: of a mailbox of ours
    highest: int | None = (
        None  # HIGHESTMODSEQ that clients were told, where the source itself knows no MODSEQ
    )


# Not frozen, as the next: 700,000 are made at a time, and a frozen one takes three times as long. Nobody changes one.
@dataclass(slots=True)
class Listed:
    """One message without its octets. `flags` are as given, without \\Recent."""

    uid: int
    flags: tuple[str, ...]
    modseq: int | None = None
    size: int | None = None  # octets, RFC822.SIZE
    internaldate: int | None = None  # Unix seconds
    zone: int = 0  # minutes east of UTC
    bare: bool = False  # that it is there is all: no flags, no date, a size that is only near


@dataclass(slots=True)
class Fetched:
    """One message. Who gets it closes the body."""

    uid: int
    flags: tuple[str, ...]
    internaldate: int
    zone: int
    body: Body
    modseq: int | None = None  # to be kept, with the date below; None: the target gives its own
    saved_at: int | None = None


@dataclass(frozen=True, slots=True)
class Naming:
    """How clients of the source spell mailbox names: what separates levels, and what new names begin with, in our
    spelling (RFC 2342 5)."""

    separator: str
    prefix: str


@dataclass(frozen=True, slots=True)
class Survey:
    """An account as the source shows it."""

    mailboxes: tuple[SourceMailbox, ...]  # parents before children
    subscriptions: frozenset[str]
    statuses: dict[str, Status] = field(default_factory=dict)  # by `name`


@dataclass(frozen=True, slots=True)
class Number:
    """What we call a message whose source has no UIDs, and when it was seen first, Unix seconds."""

    uid: int
    seen: int


@dataclass(frozen=True, slots=True)
class Given:
    uidvalidity: int
    uidnext: int
    numbers: list[Number]


class Numbers(Protocol):
    """UIDs for a source that knows none."""

    async def give(self, uidls: Sequence[str]) -> Given:
        """For all messages that are there, in their order; durable when it returns. Raises Halt where their order
        is another than it was."""
        ...


def cut(uids: Sequence[int]) -> list[Span]:
    """Spans over these, ascending, and all that come behind them."""
    firsts = [1, *uids[SPAN_MESSAGES::SPAN_MESSAGES]]
    return [*((low, high - 1) for low, high in itertools.pairwise(firsts)), (firsts[-1], None)]


class Source(Protocol):
    """One account on a legacy platform, over one connection. Every method raises Unavailable when the source
    cannot answer now (gone, busy, throttling) and Misbehaviour when its answer makes no sense."""

    async def survey(self) -> Survey:
        """All mailboxes with their status, and the subscriptions."""
        ...

    async def naming(self) -> Naming | None:
        """None: the account has it already, as one between two shards."""
        ...

    async def examine(self, mailbox: SourceMailbox) -> Status:
        """Open it for reading; the methods below speak of it. Raises NotFound when it has gone meanwhile."""
        ...

    async def spans(self) -> list[Span]:
        """All UIDs of the mailbox that was just examined, ascending, in parts of about SPAN_MESSAGES messages."""
        ...

    async def scan(
        self,
        *,
        details: bool = False,
        since: int | None = None,
        uids: Sequence[int] | None = None,
        span: Span | None = None,
    ) -> list[Listed]:
        """Messages by UID: all, those whose MODSEQ is above `since`, `uids`, or those of `span`. `details`: size and
        date too."""
        ...

    async def fetch(self, uids: Sequence[int]) -> list[Fetched]:
        """The messages of these UIDs that are still there. At most BATCH_MESSAGES."""
        ...

    async def close(self) -> None: ...
