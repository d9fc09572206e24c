"""SMTP replies as values (RFC 5321 4.2, enhanced status codes RFC 3463 and RFC 5248)."""

from dataclasses import dataclass

from mailplat.core.errors import OverQuota


@dataclass(frozen=True, slots=True)
class Reply:
    """One SMTP reply: `code` 200..599, `status` an enhanced code such as "4.2.2" ("" only for greetings and
    EHLO), `text` printable ASCII without line ends, one line each at most 480 octets."""

    code: int
    status: str
    text: str

    @property
    def positive(self) -> bool:
        return 200 <= self.code < 400

    @property
    def temporary(self) -> bool:
        return 400 <= self.code < 500

    @property
    def permanent(self) -> bool:
        return self.code >= 500

    def __str__(self) -> str:
        return f"{self.code} {self.status} {self.text}" if self.status else f"{self.code} {self.text}"


# The outward contract: these codes stay.
OVER_QUOTA = Reply(452, "4.2.2", "Mailbox is over its quota")
POOL_OVER_QUOTA = Reply(452, "4.2.2", "The mailboxes of this domain together are over their quota")
DISK_FULL = Reply(452, "4.3.1", "Mail system storage is full, try again later")
UNKNOWN_RECIPIENT = Reply(550, "5.1.1", "No such recipient here")
UNAVAILABLE = Reply(451, "4.3.0", "Mail system is temporarily unavailable, try again later")
FENCED = Reply(451, "4.3.2", "Mailbox is being moved, try again in a minute")
TOO_LARGE = Reply(552, "5.3.4", "Message is larger than the limit")
NO_TLS_FROM_HERE = Reply(550, "5.7.30", "REQUIRETLS: the way on from here is not secured")
BARE_NEWLINE = Reply(550, "5.6.0", "Message has a bare CR or LF; lines must end in CRLF")
RELAY_DENIED = Reply(550, "5.7.1", "Relaying is not allowed here")
LOOP = Reply(554, "5.4.6", "Mail loop: too many hops")


def over_quota(error: OverQuota) -> Reply:
    """Says which of the two is full."""
    return POOL_OVER_QUOTA if error.pool else OVER_QUOTA
