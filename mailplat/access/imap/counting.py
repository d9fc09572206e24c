"""What STATUS and LIST RETURN (STATUS ...) give of a mailbox. Called in a thread of the store."""

from collections.abc import Sequence

from mailplat.core.route import Residence
from mailplat.store import Shard
from mailplat.store.types import Mailbox
from mailplat.wire.imap.sequence import ranges


def _deleted(shard: Shard, residence: Residence, mailbox: Mailbox) -> list[int]:
    """UIDs of the messages with \\Deleted."""
    snapshot = shard.snapshot(residence, mailbox.id)
    deleted = {number for number, flags in enumerate(snapshot.flagsets) if "\\Deleted" in flags}
    return [uid for uid, number in zip(snapshot.uids, snapshot.flags, strict=True) if number in deleted]


def count(shard: Shard, residence: Residence, mailbox: Mailbox, items: Sequence[str]) -> dict[str, int | str]:
    """Each item of wire.imap.storing.STATUS_ITEMS that was asked for, in that order."""
    return {item: _number(shard, residence, mailbox, item) for item in items}


def _number(shard: Shard, residence: Residence, mailbox: Mailbox, item: str) -> int | str:
    match item:
        case "MESSAGES":
            return mailbox.messages
        case "RECENT":
            return 0  # no message is recent here, see the package
        case "UIDNEXT":
            return mailbox.uidnext
        case "UIDVALIDITY":
            return mailbox.uidvalidity
        case "UNSEEN":
            return mailbox.unseen
        case "HIGHESTMODSEQ":
            return mailbox.modseq
        case "SIZE":
            return mailbox.size
        case "MAILBOXID":
            return mailbox.object_id
        case "DELETED":
            return len(_deleted(shard, residence, mailbox))
        case "DELETED-STORAGE":  # RFC 9208 4.1.4: octets, not the units of QUOTA
            uids = ranges(_deleted(shard, residence, mailbox))
            rows = shard.rows(residence, mailbox.id, uids, ("uid", "size")) if uids else []
            return sum(int(size) for _, size in rows)
        case _:
            raise ValueError(f"STATUS has no item {item}")
