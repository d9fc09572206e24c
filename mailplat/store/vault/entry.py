"""Into the vault: rows, in the transaction that takes the rows of messages away. Files follow (place.py)."""

from collections.abc import Iterable

from sqlalchemy.engine import Connection

from mailplat.store.flagsets import read_book
from mailplat.store.index.tables import rendering_id
from mailplat.store.site import MailboxRow, Site
from mailplat.store.vault.owner import is_held

EXPUNGED, MAILBOX, ACCOUNT = "expunged", "mailbox", "account"
REASONS = (EXPUNGED, MAILBOX, ACCOUNT)

_INSERT = (
    "INSERT INTO vault (account_id, mailbox_id, mailbox, uid, reason, at, size, internaldate, zone, flags, file,"
    " name, placed, restored, sender, recipient, subject, message_id,"
    " shared) SELECT ?, m.mailbox_id, ?, m.uid, ?, ?, m.size, m.internaldate, m.zone, ?, m.name, '', 0, 0,"
    " coalesce(r.sender, ''), coalesce(r.recipient, ''), coalesce(r.subject, ''), coalesce(r.message_id, ''),"
    " m.shared"
    " FROM message m LEFT JOIN rendering r ON r.id = ? WHERE m.mailbox_id = ? AND m.uid = ?"
)


def keeps(site: Site, connection: Connection, account_id: int) -> bool:
    """Whether what this account expunges goes to the vault: where it has days, and always under a hold."""
    return site.limits.vault_days > 0 or is_held(connection, account_id)


def enter(
    site: Site,
    connection: Connection,
    row: MailboxRow,
    messages: Iterable[tuple[int, tuple[str, ...]]],
    reason: str,
) -> None:
    """Messages of one mailbox, (UID, flags) each, while their rows are still there."""
    now = int(site.clock.now())
    values = [
        (row.account_id, row.name, reason, now, " ".join(flags), rendering_id(row.id, uid), row.id, uid)
        for uid, flags in messages
    ]
    if values:
        connection.exec_driver_sql(_INSERT, values)


def enter_mailbox(site: Site, connection: Connection, row: MailboxRow, reason: str) -> None:
    """All that is in it."""
    book = read_book(connection, row.id)
    found = connection.exec_driver_sql("SELECT uid, flagset FROM message WHERE mailbox_id = ?", (row.id,))
    enter(site, connection, row, [(uid, book.flags(number)) for uid, number in found.fetchall()], reason)


def is_waiting(connection: Connection, mailbox_id: int, unique: str) -> bool:
    """Whether a file in a mailbox's folder, by the unique part of its name, is the vault's and not yet there."""
    found = connection.exec_driver_sql(
        "SELECT 1 FROM vault WHERE placed = 0 AND mailbox_id = ? AND (file = ? OR file > ? AND file < ?)",
        (mailbox_id, unique, unique + ",", unique + "-"),  # "-" follows "," in ASCII
    )
    return found.fetchone() is not None
