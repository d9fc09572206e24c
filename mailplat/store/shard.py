"""One shard: its directory, its index, its writer. The methods are the door; each lives in the file of its verb."""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from mailplat.core.route import Residence
from mailplat.store.types import (
    Changes,
    CopyResult,
    FlagMode,
    Mailbox,
    Snapshot,
    UidRanges,
)


class Shard:
    """All methods are synchronous and thread-safe: call them in executor "store"."""

    name: str
    path: Path
    tmp: Path

    # accounts
    def grant(self, account_id: int, epoch: int) -> None: ...
    def remove_account(self, residence: Residence) -> None: ...
    def usage(self, residence: Residence) -> tuple[int, int]: ...  # octets, messages; (0, 0) before the first grant

    # mailboxes
    def mailboxes(self, residence: Residence) -> list[Mailbox]: ...
    def mailbox(self, residence: Residence, name: str) -> Mailbox: ...
    def mailbox_by_id(self, residence: Residence, mailbox_id: int) -> Mailbox: ...
    def create(
        self,
        residence: Residence,
        name: str,
        *,
        special_use: str = "",
        uidvalidity: int | None = None,
        uidnext: int | None = None,
        modseq: int | None = None,
    ) -> Mailbox: ...
    def delete(self, residence: Residence, name: str) -> None: ...
    def rename(self, residence: Residence, old: str, new: str) -> None: ...
    def subscribe(self, residence: Residence, name: str, on: bool) -> None: ...
    def subscriptions(self, residence: Residence) -> list[str]: ...
    def raise_uidnext(self, residence: Residence, mailbox_id: int, uidnext: int, modseq: int) -> None: ...

    # reading
    def snapshot(self, residence: Residence, mailbox_id: int) -> Snapshot: ...
    def changes(self, residence: Residence, mailbox_id: int, since_modseq: int) -> Changes: ...
    def rows(
        self, residence: Residence, mailbox_id: int, uids: UidRanges, columns: Sequence[str]
    ) -> list[tuple[Any, ...]]: ...
    def octets(self, residence: Residence, mailbox_id: int, uid: int) -> bytes | None: ...
    def open(self, residence: Residence, mailbox_id: int, uid: int) -> BinaryIO | None: ...
    def octets_many(
        self, residence: Residence, mailbox_id: int, uids: UidRanges
    ) -> Iterator[tuple[int, bytes]]: ...
    def search(self, residence: Residence, mailbox_id: int, key: Any) -> list[int]: ...

    # writing
    def store_flags(
        self,
        residence: Residence,
        mailbox_id: int,
        uids: UidRanges,
        mode: FlagMode,
        flags: Collection[str],
        unchanged_since: int | None = None,
    ) -> tuple[list[tuple[int, int, tuple[str, ...]]], list[int]]: ...
    def expunge(self, residence: Residence, mailbox_id: int, uids: UidRanges) -> list[int]: ...
    def expunge_uids(self, residence: Residence, mailbox_id: int, uids: UidRanges) -> list[int]: ...
    def copy(
        self, residence: Residence, mailbox_id: int, uids: UidRanges, target_name: str, *, quota: int = 0
    ) -> CopyResult: ...
    def move(
        self, residence: Residence, mailbox_id: int, uids: UidRanges, target_name: str, *, quota: int = 0
    ) -> CopyResult: ...
    def settle_names(self) -> int: ...
