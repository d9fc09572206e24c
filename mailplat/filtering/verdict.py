"""What is judged, and the judgement."""

import enum
from dataclasses import dataclass
from functools import cached_property

from mailplat.core.address import Address
from mailplat.core.envelope import Envelope, Peer
from mailplat.core.reply import Reply
from mailplat.core.spool import Body
from mailplat.filtering.header import HEADER_READ_LIMIT, Header

# One read finds the end of nearly every header block; the full limit is read only when it does not.
_FIRST_READ = 16 * 1024


class Action(enum.Enum):
    ACCEPT = "accept"
    DEFER = "defer"  # 4xx: the sender tries again
    REFUSE = "refuse"  # 5xx


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reply` is set where `action` is not ACCEPT. `score` grows with suspicion, 0.0 says nothing. `headers` are
    complete fields with CRLF, the first goes topmost. `reasons` are for the log: "stage: why"."""

    action: Action = Action.ACCEPT
    reply: Reply | None = None
    score: float = 0.0
    headers: tuple[bytes, ...] = ()
    reasons: tuple[str, ...] = ()

    def __add__(self, later: "Verdict") -> "Verdict":
        """What two phases say together; the later one decides."""
        return Verdict(
            later.action,
            later.reply,
            self.score + later.score,
            self.headers + later.headers,
            self.reasons + later.reasons,
        )


# Nothing to say.
ACCEPTED = Verdict()


@dataclass(frozen=True)
class Transaction:
    """One message of one session. `hostname` is ours, which is also our authserv-id (RFC 8601 2.5);
    `received_at` is Unix time in seconds."""

    peer: Peer
    envelope: Envelope
    recipients: tuple[Address, ...]
    body: Body
    hostname: str
    received_at: float

    @cached_property
    def header(self) -> Header:
        """Read once, shared by all stages."""
        head = self.body.head(_FIRST_READ)
        if len(head) < self.body.size and b"\r\n\r\n" not in head:
            head = self.body.head(HEADER_READ_LIMIT)
        return Header.of(head, len(head) == self.body.size)
