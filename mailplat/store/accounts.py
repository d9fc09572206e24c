"""Accounts of a shard: the epoch under which they may be written, what they use, and their end."""

from sqlalchemy.engine import Connection

from mailplat.core import disk
from mailplat.core.errors import InvalidInput, StaleEpoch
from mailplat.core.hint import MailboxChanged
from mailplat.core.route import Residence
from mailplat.db.driver import fetch_one
from mailplat.store.description import write_account
from mailplat.store.mailboxes import forget_rows, insert_mailbox
from mailplat.store.maildir import account_path
from mailplat.store.names import INBOX
from mailplat.store.quota import add_usage, join_pool
from mailplat.store.site import COLUMNS, MailboxRow, Site
from mailplat.store.sweeper import set_aside
from mailplat.store.vault.entry import ACCOUNT, enter_mailbox, keeps
from mailplat.store.vault.owner import is_held, note_removed
from mailplat.store.vault.place import place_waiting


def grant(site: Site, account_id: int, epoch: int, pool: str = "") -> None:
    """From now on only writes under `epoch` are taken. Makes the account with its INBOX where it is absent. `pool`:
    its domain, where the caller knows it. Call it with a route that was read a moment ago. Raises StaleEpoch when a
    higher one was granted."""
    if account_id < 1 or epoch < 1:
        raise InvalidInput(f"account {account_id}, epoch {epoch}: both count from 1")
    with site.read() as connection:
        row = fetch_one(
            connection, "SELECT epoch, closed, pool FROM account WHERE account_id = ?", (account_id,)
        )
    if (
        row is not None and row[1]
    ):  # an earlier life's files, which the transaction would have to bring to the vault
        place_waiting(site)
    if row is None or row[0] != epoch or row[1] or (pool and row[2] != pool):
        site.write(lambda connection: _raise_epoch(site, connection, account_id, epoch, pool), alone=True)


def grant_newer(site: Site, residence: Residence, pool: str) -> None:
    """A message may be the first to arrive under a route. Epochs only grow and come from the route's row, so a
    higher one proves itself; an equal or lower one is left to check_epoch, and so is a closed account."""
    with site.read() as connection:
        row = fetch_one(connection, "SELECT epoch FROM account WHERE account_id = ?", (residence.account_id,))
    if row is None or row[0] < residence.epoch:
        grant(site, residence.account_id, residence.epoch, pool)


def _raise_epoch(site: Site, connection: Connection, account_id: int, epoch: int, pool: str) -> None:
    row = connection.exec_driver_sql(
        "SELECT epoch, closed FROM account WHERE account_id = ?", (account_id,)
    ).fetchone()
    if row is not None and (row[0] > epoch or (row[0] == epoch and row[1])):
        raise StaleEpoch(
            f"shard {site.name}: account {account_id} was granted epoch {row[0]}"
            f"{' and closed' if row[1] else ''}; {epoch} is too old"
        )
    if row is None or row[1]:
        _create(site, connection, account_id, epoch)
    else:
        connection.exec_driver_sql("UPDATE account SET epoch = ? WHERE account_id = ?", (epoch, account_id))
    if pool:
        join_pool(connection, account_id, pool)
    write_account(site, connection, account_id)


def _create(site: Site, connection: Connection, account_id: int, epoch: int) -> None:
    set_aside(site, connection, account_id)  # an earlier life of this account
    folder = site.account_folder(account_id)
    with disk.failures(folder):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    site.sync_folders([site.path / "accounts", folder.parent], "account.dirsync")
    connection.exec_driver_sql(
        "INSERT INTO account (account_id, epoch, uidvalidity, octets, messages, described, closed)"
        " VALUES (?, ?, 0, 0, 0, 1, 0) ON CONFLICT (account_id) DO UPDATE SET epoch = excluded.epoch, closed = 0,"
        " warned = 0",
        (account_id, epoch),
    )
    insert_mailbox(site, connection, account_id, INBOX)


def remove_account(site: Site, residence: Residence, *, address: str = "", moved: bool = False) -> None:
    """The account and all its mail, which stays in the vault under its `address`; what `moved` to another home is not
    kept here too, but under a legal hold. Its folder is removed behind. The row stays, closed: who comes late with
    an old route cannot open the account again. Raises StaleEpoch."""
    account_id = residence.account_id

    def apply(connection: Connection) -> None:
        standing = site.check_epoch(connection, residence)
        kept = is_held(connection, account_id) or (not moved and keeps(site, connection, account_id))
        mailboxes = connection.exec_driver_sql(
            f"SELECT {COLUMNS} FROM mailbox WHERE account_id = ?", (account_id,)
        )
        for values in mailboxes.fetchall():
            row = MailboxRow(*values)
            if kept:
                enter_mailbox(site, connection, row, ACCOUNT)
            forget_rows(connection, row.id)
        if not moved and keeps(site, connection, account_id):
            note_removed(site, connection, account_id, address)
        connection.exec_driver_sql("DELETE FROM subscription WHERE account_id = ?", (account_id,))
        connection.exec_driver_sql(
            "DELETE FROM annotation WHERE mailbox_id = 0 AND account_id = ?", (account_id,)
        )
        connection.exec_driver_sql(
            "DELETE FROM leaving WHERE account_id = ? AND mailbox_id > 0", (account_id,)
        )
        add_usage(connection, account_id, -standing.octets, -standing.messages)
        connection.exec_driver_sql("DELETE FROM quota_warning WHERE account_id = ?", (account_id,))
        connection.exec_driver_sql(
            "UPDATE account SET closed = 1, octets = 0, messages = 0, described = 1 WHERE account_id = ?",
            (account_id,),
        )
        leave(site, connection, account_id, 0, [str(account_path(account_id))])

    site.write(apply, MailboxChanged(account_id, 0))


def is_removed(site: Site, residence: Residence) -> bool:
    """Whether it was removed under this very epoch."""
    with site.read() as connection:
        row = connection.exec_driver_sql(
            "SELECT epoch, closed FROM account WHERE account_id = ?", (residence.account_id,)
        ).fetchone()
    return row is not None and row[0] == residence.epoch and bool(row[1])


def usage(site: Site, residence: Residence) -> tuple[int, int]:
    """(octets, messages); zeros for an account that was never granted here."""
    with site.read() as connection:
        row = connection.exec_driver_sql(
            "SELECT octets, messages FROM account WHERE account_id = ?", (residence.account_id,)
        ).fetchone()
    return (row[0], row[1]) if row is not None else (0, 0)


def leave(site: Site, connection: Connection, account_id: int, mailbox_id: int, paths: list[str]) -> None:
    """Files or folders, relative to the shard, that no row speaks of any more: the sweeper removes them."""
    now = int(site.clock.now())
    if paths:
        connection.exec_driver_sql(
            "INSERT INTO leaving (account_id, mailbox_id, path, at) VALUES (?, ?, ?, ?)",
            [(account_id, mailbox_id, path, now) for path in paths],
        )
