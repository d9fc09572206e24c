"""Every limit of the store, with its reason."""

from dataclasses import dataclass
from typing import Literal

from mailplat.core.limits import limit

FulltextMode = Literal["searched", "all", "off"]


@dataclass(frozen=True, slots=True)
class StoreLimits:
    """Each has a reason in its comment. Reaching one is LimitReached, IMAP NO [LIMIT]. Settings: [store.limits]."""

    mailboxes: int = 10_000  # of one account: LIST of more is no longer a second's work
    name: int = 1000  # characters of a whole mailbox name; clients and logs must still show it
    # Characters of one level of a mailbox name, as long as a file name on the platforms we replace.
    level: int = limit(255, most=255)
    depth: int = 64  # levels of a mailbox name; clients draw them as a tree
    keywords: int = limit(250, most=250)  # of one mailbox; as a bit set they must fit into a file name
    keyword: int = 100  # octets of one keyword
    annotations: int = 50  # of one mailbox, or of the account: its small file has them all
    # Octets of one annotation; RFC 5464 asks for 1024, and clients keep colours and orders in them.
    annotation: int = limit(8192, least=1024)
    subscriptions: int = 20_000  # of one account: twice its mailboxes, names outlive what they name
    group: int = 200  # appends in one commit: more would hold the write lock longer than others should wait
    names: int = 200  # file names that the namer changes in one transaction, for the same reason
    # Percent of a quota at which its owner is warned.
    quota_warn: tuple[int, ...] = limit((80, 95), setting="quota.warn")
    # Days that expunged mail can be brought back; 0: it is removed at once.
    vault_days: float = limit(14.0, setting="vault.days")
    # Octets of one account in the vault; beyond it the eldest go at once; 0: no limit.
    vault_octets: int = limit(0, setting="vault.max_account_size")
    # Expunged UIDs remembered of one mailbox: 200 days at 50 a day. Who was away for longer compares all UIDs.
    tombstones: int = limit(10_000, setting="store.tombstones")
    dedupe_days: int = limit(14, least=6)  # a queue gives up after 5 days; a key is kept well beyond
    # Hours that a file in tmp/, or one without a row, may be in flight; not after so long.
    sweep_hours: float = limit(6.0, least=1.0)
    # Identifiers in the access list of one mailbox: each command on it reads them all, its small file has them.
    acl: int = 200
    # Octets of the disk left for the index: who is full must be able to delete.
    reserve: int = 64 * 1024 * 1024
    # Octets; a larger message is parsed from the page cache, not from our memory.
    mapped: int = 8 * 1024 * 1024
    snapshots: int = 64  # mailboxes whose snapshot a process keeps ready
    snapshot_messages: int = 2_000_000  # messages in all of these together: 14 octets each, 28 MB
    # Messages whose references a process remembers for THREAD: some 200 octets each, 40 MB.
    references: int = 200_000
    search_seconds: float = 60.0  # of one search through files; a client gives up before
    # Whose text is kept for SEARCH (store/fulltext): "searched" mailboxes, "all", or "off". It takes 13 % of the time
    # of an append, 60 % where many come at once, and as many octets as there is text; most mailboxes are never
    # searched.
    fulltext: FulltextMode = limit("searched", setting="store.fulltext")  # noqa: RUF009 - it is a field, and a text
    serial_seconds: float = 60.0  # between raises of the serial (identity.py), two fsyncs and a commit each
    lock_wait: float = 5.0  # seconds until a locked index is Unavailable
