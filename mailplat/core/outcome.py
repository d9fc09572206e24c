"""What became of one message for one recipient. Outcomes are values, never exceptions."""

import enum
from dataclasses import dataclass

from mailplat.core.reply import Reply


class Result(enum.Enum):
    DELIVERED = "delivered"  # a durable copy is with the next owner
    DEFERRED = "deferred"  # try again later; we still own the message
    FAILED = "failed"  # never; the sender must be told


@dataclass(frozen=True, slots=True)
class Outcome:
    result: Result
    reply: Reply
    remote: str = ""  # who said so: "host:port" of the next hop, "" for ourselves
    passed_on: bool = False  # the next hop tells the sender what he wants to know (RFC 3461 5.2.2)

    @classmethod
    def from_reply(cls, reply: Reply, remote: str = "", *, passed_on: bool = False) -> "Outcome":
        """2xx delivered, 4xx deferred, 5xx failed; anything else is deferred (RFC 5321 4.2.1)."""
        if 200 <= reply.code < 300:
            return cls(Result.DELIVERED, reply, remote, passed_on)
        return cls(Result.FAILED if reply.permanent else Result.DEFERRED, reply, remote)
