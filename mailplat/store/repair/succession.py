"""What a mailbox goes on with after a rebuild: its number, name and UIDVALIDITY, and which UIDs are spent."""

from collections.abc import Iterable

from sqlalchemy.engine import Connection

from mailplat.core.errors import InvalidInput, LimitReached
from mailplat.store.description import MailboxDescription, modseq_ceiling, uid_ceiling
from mailplat.store.mailboxes import next_uidvalidity
from mailplat.store.names import INBOX, check_name
from mailplat.store.repair.adoption import Known
from mailplat.store.site import MailboxRow, Site
from mailplat.store.types import MAX_UID

# Where a mailbox comes back whose name nobody knows any more.
_FOUND = "Recovered"


class Succession:
    def __init__(self, site: Site, numbers: Iterable[int], *, current: bool) -> None:
        """`numbers`: of the mailboxes that are on disk. `current`: the index is as new as the files."""
        self._site = site
        self._current = current
        self._highest = max(numbers, default=0)

    def describe(
        self,
        connection: Connection,
        account_id: int,
        number: int,
        described: MailboxDescription | None,
        old: MailboxRow | None,
        wanted: str,
    ) -> MailboxRow:
        """The new row: what the description says, else the old row, else a mailbox under a name of ours."""
        named = described.name if described else old.name if old else wanted or f"{_FOUND}/{number}"
        name = INBOX if number == 0 else self._free_name(connection, account_id, number, named)
        validity = described.uidvalidity if described else old.uidvalidity if old else 0
        if not 1 <= validity <= MAX_UID:
            validity = next_uidvalidity(self._site, connection, account_id, None)
        same = old is not None and old.uidvalidity == validity
        uidnext = max(described.uidnext if described else 1, old.uidnext if old and same else 1, 1)
        modseq = 1 + max(described.modseq if described else 1, old.modseq if old else 1)
        row_id = old.id if old else self.free_id(connection, number or (described.id if described else 0))
        special = described.special_use if described else old.special_use if old else ""
        return MailboxRow(
            row_id,
            account_id,
            name,
            special,
            validity,
            uidnext,
            modseq,
            uid_ceiling(uidnext),
            modseq_ceiling(modseq),
            0,
            0,
            0,
            (old.backfills if old else 0) + 1,
            0,
            0,
            described.object_id if described else old.object_id if old and same else None,
        )

    def _free_name(self, connection: Connection, account_id: int, number: int, name: str) -> str:
        try:
            name = check_name(name, self._site.limits)
        except (InvalidInput, LimitReached):
            name = f"{_FOUND}/{number}"
        for candidate in (name, f"{name} ({number})", f"{_FOUND}/{number}"):
            taken = connection.exec_driver_sql(
                "SELECT 1 FROM mailbox WHERE account_id = ? AND name = ? AND id <> ?",
                (account_id, candidate, number),
            ).fetchone()
            if taken is None and candidate != INBOX:
                return candidate
        raise InvalidInput(f"account {account_id}: no name for mailbox number {number}")

    def free_id(self, connection: Connection, wanted: int) -> int:
        """`wanted`, unless another mailbox has it: folders copied here from another shard."""
        taken = connection.exec_driver_sql("SELECT 1 FROM mailbox WHERE id = ?", (wanted,)).fetchone()
        if wanted and taken is None:
            return wanted
        (last,) = connection.exec_driver_sql(
            "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'mailbox'"
        ).one()
        self._highest = max(self._highest, int(last)) + 1
        return self._highest

    def known(
        self,
        connection: Connection,
        old: MailboxRow | None,
        fresh: MailboxRow,
        described: MailboxDescription | None,
    ) -> Known:
        uids: dict[str, int] = {}
        spent: set[int] = set()
        same = old is not None and old.uidvalidity == fresh.uidvalidity
        if old is not None and same:
            messages = connection.exec_driver_sql(
                "SELECT uid, name FROM message WHERE mailbox_id = ?", (old.id,)
            ).fetchall()
            uids = {name.partition(":")[0].partition(",")[0]: uid for uid, name in messages}
            expunged = connection.exec_driver_sql("SELECT uid FROM expunged WHERE mailbox_id = ?", (old.id,))
            spent = {uid for uid, _ in messages} | {uid for (uid,) in expunged}
        current = same and self._current
        floor = old.uidnext if old is not None and current else 1
        return Known(uids, spent, current, floor, fresh.uidnext if described or same else MAX_UID + 1)
