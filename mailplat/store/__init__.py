"""Shards: where mail is kept."""

from mailplat.store.door import Store
from mailplat.store.shard import Shard
from mailplat.store.types import (
    Appended,
    Changes,
    CopyResult,
    Mailbox,
    NewMessage,
    Report,
    Snapshot,
    StoreLimits,
)

__all__ = [
    "Appended",
    "Changes",
    "CopyResult",
    "Mailbox",
    "NewMessage",
    "Report",
    "Shard",
    "Snapshot",
    "Store",
    "StoreLimits",
]
