"""EXPUNGE: rows go in one commit, files behind it: into the vault, or off the disk (RFC 3501 6.4.3, RFC 4315 2.1)."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.engine import Connection

from mailplat.core.hint import MailboxChanged
from mailplat.core.route import Residence
from mailplat.store.accounts import leave
from mailplat.store.fetch import select_messages
from mailplat.store.flagsets import DELETED, SEEN, Numbering
from mailplat.store.index import renderings
from mailplat.store.mailboxes import advance
from mailplat.store.maildir import account_path, folder_of, mailbox_folder
from mailplat.store.quota import add_usage
from mailplat.store.site import MailboxRow, Site
from mailplat.store.types import MessageGone, UidRanges
from mailplat.store.vault.entry import EXPUNGED, enter, keeps

# Columns of the rows that remove_messages takes.
REMOVED = "m.uid, m.flagset, m.size, m.name"


def expunge(
    site: Site, residence: Residence, mailbox_id: int, uids: UidRanges, *, deleted_only: bool
) -> list[int]:
    r"""Remove, those with \Deleted only or all named. Returns the UIDs, ascending. Raises NotFound,
    StaleEpoch."""

    def apply(connection: Connection) -> list[int]:
        site.check_epoch(connection, residence)
        row = site.mailbox_by_id(connection, residence.account_id, mailbox_id)
        numbering = Numbering(connection, site.library, mailbox_id, site.limits)
        found = [each for piece in select_messages(connection, mailbox_id, uids, REMOVED) for each in piece]
        if deleted_only:
            doomed = {number for number in {each[1] for each in found} if numbering.mask(number) & DELETED}
            found = [each for each in found if each[1] in doomed]
        if found:
            kept = keeps(site, connection, row.account_id)
            remove_messages(site, connection, row, found, numbering, vault=kept)
        return [each[0] for each in found]

    removed = site.write(apply)
    if removed:
        site.publish(MailboxChanged(residence.account_id, mailbox_id))
    return removed


def take_out(site: Site, connection: Connection, residence: Residence, mailbox_id: int, uid: int) -> None:
    """One message, within a transaction that puts another one in its place. Raises MessageGone, NotFound,
    StaleEpoch."""
    site.check_epoch(connection, residence)
    row = site.mailbox_by_id(connection, residence.account_id, mailbox_id)
    found = [
        each for piece in select_messages(connection, mailbox_id, [(uid, uid)], REMOVED) for each in piece
    ]
    if not found:
        raise MessageGone(f"mailbox {row.name!r} of account {residence.account_id} has no message {uid}")
    numbering = Numbering(connection, site.library, mailbox_id, site.limits)
    kept = keeps(site, connection, row.account_id)
    remove_messages(site, connection, row, found, numbering, vault=kept)


def remove_messages(
    site: Site,
    connection: Connection,
    row: MailboxRow,
    messages: Sequence[Sequence[Any]],
    numbering: Numbering,
    *,
    vault: bool = False,
) -> None:
    """Take rows (columns REMOVED) out of the index, remember their UIDs, leave their files to the vault or to the
    sweeper."""
    if vault:
        enter(site, connection, row, ((each[0], numbering.flags(each[1])) for each in messages), EXPUNGED)
    modseq = row.modseq + 1
    octets = sum(each[2] for each in messages)
    unseen = sum(not numbering.mask(each[1]) & SEEN for each in messages)
    advance(
        site,
        connection,
        row,
        row.uidnext,
        modseq,
        messages=-len(messages),
        unseen=-unseen,
        size=-octets,
    )
    keys = [(row.id, each[0]) for each in messages]
    connection.exec_driver_sql("DELETE FROM message WHERE mailbox_id = ? AND uid = ?", keys)
    renderings.forget(connection, row.id, (each[0] for each in messages))
    connection.exec_driver_sql(
        "INSERT INTO expunged (mailbox_id, modseq, uid) VALUES (?, ?, ?)",
        [(row.id, modseq, each[0]) for each in messages],
    )
    site.expunged_in.add(row.id)
    add_usage(connection, row.account_id, -octets, -len(messages))
    if not vault:
        folder = account_path(row.account_id) / mailbox_folder(row.id, row.name)
        files = [str(folder / folder_of(each[3]) / each[3]) for each in messages]
        leave(site, connection, row.account_id, row.id, files)
