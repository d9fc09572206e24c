"""From an accepted message to its home: into a shard, or over SMTP or LMTP to the platform that still has the
account, now or through the queue.

    accept    Delivery: what ingress calls after the final dot; one commit decides
    worker    Worker: works off the queue; stops relaying to an account whose route changes
    shelter   commits outlive cancellations
    attempt   one attempt: reads every recipient's route, delivers, says what became of each;  plans: its values
    flights   relays on their way, by account, for the fence
    local     into a shard            relay     to a backend, over pooled connections
    dialogue  SMTP and LMTP, client's side       encoding  DATA on its way out
    trace     the header fields that we add      dsn       what a sender is told (RFC 3464)
    quotawatch   who is told that a quota is nearly used up; its crash table.   warning   the message

One commit decides. When every recipient lives in one shard, the store's transaction is the acceptance. In every
other case (a backend, a fence, two shards, a mixture, one of several over quota) the queue's is, for all
recipients; the worker then goes by the route of each at that instant, with a dedupe key for shards. It delivers once
into each shard, for all recipients that live there: they share one file. Who is refused there (over quota, fenced,
gone) is left out of that transaction and has an outcome of its own; a second attempt after a crash is a no-op for
everybody whose key is known.

Invariants. 250 is said after a durable commit and never before. A cancelled caller never tears a commit. A
relay counts as on its way from before its route was read until its outcome is known; a fence is acknowledged
only when none of its account's is. What leaves has no bare CR or LF, and no message is altered but for trace
fields on top. Never: a DSN for a message with the null reverse-path; two commits for one SMTP message; a relay
to a backend of what came from that backend through us (RFC 5321 6.3).
"""

from mailplat.delivery.accept import Delivery
from mailplat.delivery.quotawatch import QuotaWatch
from mailplat.delivery.relay import RelayLimits, RelayTransport
from mailplat.delivery.worker import Worker, WorkerLimits

__all__ = ["Delivery", "QuotaWatch", "RelayLimits", "RelayTransport", "Worker", "WorkerLimits"]
