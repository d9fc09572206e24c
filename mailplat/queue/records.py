"""What goes into the queue and comes out of it, as values."""

from collections.abc import Sequence
from dataclasses import dataclass

from mailplat.core.address import Address
from mailplat.core.envelope import NO_WISH, Envelope, Peer, Wish
from mailplat.core.errors import MailplatError
from mailplat.core.reply import Reply


class StaleLease(MailplatError):
    """The lease ran out and another worker has the recipients now: nothing of this settlement was kept."""


@dataclass(frozen=True, slots=True)
class QueueRecipient:
    """One recipient of a message. `account_id` is the account it leads to, 0 where it is not ours."""

    address: Address
    account_id: int = 0
    wish: Wish = NO_WISH


@dataclass(frozen=True, slots=True)
class QueuedMessage:
    """`size` is octets with trace fields, `arrived` Unix time; `peer.port` is not kept (0)."""

    id: str
    envelope: Envelope
    peer: Peer
    size: int
    arrived: float


@dataclass(frozen=True, slots=True)
class LeasedRecipient:
    id: int
    address: Address
    account_id: int
    attempts: int
    lease: int
    wish: Wish = NO_WISH


@dataclass(frozen=True, slots=True)
class Leased:
    """Some recipients of one message, ours until `deadline` (Unix time) unless renewed."""

    message: QueuedMessage
    recipients: tuple[LeasedRecipient, ...]
    deadline: float

    @property
    def recipient_ids(self) -> tuple[int, ...]:
        return tuple(recipient.id for recipient in self.recipients)


@dataclass(frozen=True, slots=True)
class Notice:
    """A message that enters the queue in the same commit as a settlement: a DSN."""

    envelope: Envelope
    recipients: Sequence[QueueRecipient]
    octets: bytes


@dataclass(frozen=True, slots=True)
class Filter:
    """Which recipients an admin means; every field that is not empty must match. `address` and `sender` are
    compared as written but for case."""

    message_id: str = ""
    sender: str = ""
    address: str = ""
    domain: str = ""
    account_id: int = 0
    state: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One unsettled recipient, for admins."""

    message_id: str
    sender: Address
    recipient: Address
    account_id: int
    size: int
    arrived: float
    state: str
    due: float
    attempts: int
    last: Reply | None
    remote: str
