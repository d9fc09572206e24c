"""Annotations of mailboxes and of the account (RFC 5464): small values under names, told nobody but who asks.

Rows of `annotation`; those of the account have mailbox number 0. mailplat-mailbox.json and mailplat-account.json
carry them, and lag behind as they do with subscriptions. A change raises the mailbox's MODSEQ (the account's that of
INBOX), so that whoever copies the mailbox to another shard sees that there is something to fetch.
"""

from collections.abc import Mapping

from sqlalchemy.engine import Connection

from mailplat.core.errors import LimitReached
from mailplat.core.hint import MailboxChanged
from mailplat.core.route import Residence
from mailplat.store.mailboxes import advance
from mailplat.store.names import INBOX
from mailplat.store.site import Site

# By way of the account's mailboxes: the table has no index by account.
_ALL = (
    "SELECT a.mailbox_id, a.name, a.value FROM mailbox m"
    " JOIN annotation a ON a.mailbox_id = m.id AND a.account_id = m.account_id WHERE m.account_id = ?"
)

# Instead of a mailbox's number: the account's own.
ACCOUNT = 0


class AnnotationTooLong(LimitReached):
    """A value has more octets than limits.annotation."""


def read_annotations(site: Site, residence: Residence, mailbox_id: int) -> dict[str, bytes]:
    """All of a mailbox, or of the account (ACCOUNT), by name."""
    with site.read() as connection:
        return rows(connection, residence.account_id, mailbox_id)


def all_annotations(site: Site, residence: Residence) -> dict[int, dict[str, bytes]]:
    """Of the account (ACCOUNT) and of each of its mailboxes that has some, by the mailbox's number."""
    account_id = residence.account_id
    with site.read() as connection:
        found = {ACCOUNT: rows(connection, account_id, ACCOUNT)}
        for mailbox_id, name, value in connection.exec_driver_sql(_ALL, (account_id,)):
            found.setdefault(mailbox_id, {})[name] = bytes(value)
    return found


def annotate(site: Site, residence: Residence, mailbox_id: int, values: Mapping[str, bytes | None]) -> None:
    """Set values, remove those that are None; all or none. Raises NotFound, StaleEpoch, AnnotationTooLong, and
    LimitReached for too many."""
    account_id = residence.account_id
    longest = max((len(value) for value in values.values() if value is not None), default=0)
    if longest > site.limits.annotation:
        raise AnnotationTooLong(f"an annotation of {longest} octets; the limit is {site.limits.annotation}")

    def apply(connection: Connection) -> int:
        site.check_epoch(connection, residence)
        if mailbox_id == ACCOUNT:
            row = site.mailbox_by_name(connection, account_id, INBOX)
        else:
            row = site.mailbox_by_id(connection, account_id, mailbox_id)
        after = {**rows(connection, account_id, mailbox_id), **values}
        kept = {name: value for name, value in after.items() if value is not None}
        if len(kept) > site.limits.annotations:
            raise LimitReached(f"mailbox {mailbox_id} of account {account_id} has {len(kept)} annotations")
        put(connection, account_id, mailbox_id, kept)
        advance(site, connection, row, row.uidnext, row.modseq + 1)
        return row.id

    site.publish(MailboxChanged(account_id, site.write(apply)))


def rows(connection: Connection, account_id: int, mailbox_id: int) -> dict[str, bytes]:
    found = connection.exec_driver_sql(
        "SELECT name, value FROM annotation WHERE mailbox_id = ? AND account_id = ? ORDER BY name",
        (mailbox_id, account_id),
    )
    return {name: bytes(value) for name, value in found}


def put(connection: Connection, account_id: int, mailbox_id: int, values: Mapping[str, bytes]) -> None:
    """These and no others, and a description that says so."""
    key = (mailbox_id, account_id)
    connection.exec_driver_sql("DELETE FROM annotation WHERE mailbox_id = ? AND account_id = ?", key)
    if values:
        connection.exec_driver_sql(
            "INSERT INTO annotation (mailbox_id, account_id, name, value) VALUES (?, ?, ?, ?)",
            [(*key, name, value) for name, value in values.items()],
        )
    if mailbox_id == ACCOUNT:
        connection.exec_driver_sql("UPDATE account SET described = 0 WHERE account_id = ?", (account_id,))
    else:
        connection.exec_driver_sql("UPDATE mailbox SET described = 0 WHERE id = ?", (mailbox_id,))
