"""What was read of mailboxes, kept ready to be brought forward by what happened since."""

import threading
from collections import OrderedDict
from typing import Generic, Protocol, TypeVar

from mailplat.store.site import MailboxRow
from mailplat.store.types import StoreLimits


class Reading(Protocol):
    """One mailbox as it was at a mod-sequence. Its length is a number of messages."""

    @property
    def uidvalidity(self) -> int: ...

    @property
    def uidnext(self) -> int: ...

    @property
    def modseq(self) -> int: ...

    @property
    def backfills(self) -> int: ...

    def __len__(self) -> int: ...


R = TypeVar("R", bound=Reading)


class Ready(Generic[R]):
    """One reading of each mailbox, the least used given up first: at most `limits.snapshots` of them, of
    `limits.snapshot_messages` messages in all. Thread-safe; what it gives is shared, and never written to."""

    def __init__(self, limits: StoreLimits) -> None:
        self._limits = limits
        self._kept: OrderedDict[int, R] = OrderedDict()
        self._messages = 0
        self._lock = threading.Lock()

    def get(self, row: MailboxRow) -> R | None:
        """This mailbox, now or earlier; nothing that changes cannot lead from to now."""
        with self._lock:
            kept = self._kept.get(row.id)
            if (
                kept is None
                or (kept.uidvalidity, kept.backfills) != (row.uidvalidity, row.backfills)
                or kept.modseq > row.modseq
                or kept.uidnext > row.uidnext
            ):
                return None
            self._kept.move_to_end(row.id)
            return kept

    def put(self, row: MailboxRow, reading: R) -> None:
        with self._lock:
            self._drop(row.id)
            if len(reading) > self._limits.snapshot_messages:
                return
            self._kept[row.id] = reading
            self._messages += len(reading)
            while len(self._kept) > self._limits.snapshots or self._messages > self._limits.snapshot_messages:
                self._drop(next(iter(self._kept)))

    def forget(self) -> None:
        with self._lock:
            self._kept.clear()
            self._messages = 0

    def _drop(self, mailbox_id: int) -> None:
        kept = self._kept.pop(mailbox_id, None)
        if kept is not None:
            self._messages -= len(kept)
