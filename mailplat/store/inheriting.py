"""What a new mailbox has from the one above it: the rights of others (RFC 4314 4, CREATE)."""

from sqlalchemy.engine import Connection

from mailplat.store.names import parents
from mailplat.store.site import MailboxRow


def inherit(connection: Connection, row: MailboxRow) -> None:
    """From the nearest that there is."""
    for parent in reversed(parents(row.name)):
        found = connection.exec_driver_sql(
            "SELECT id FROM mailbox WHERE account_id = ? AND name = ?", (row.account_id, parent)
        ).fetchone()
        if found is not None:
            connection.exec_driver_sql(
                "INSERT INTO acl (mailbox_id, account_id, identifier, grantee_id, rights)"
                " SELECT ?, account_id, identifier, grantee_id, rights FROM acl"
                " WHERE mailbox_id = ? AND account_id = ?",
                (row.id, found[0], row.account_id),
            )
            return
