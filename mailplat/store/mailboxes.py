"""Mailboxes: list, create, delete, rename, subscribe (RFC 3501 6.3.3 to 6.3.9)."""

from typing import Any

from sqlalchemy.engine import Connection, Row

from mailplat.core.errors import AlreadyExists, InvalidInput, LimitReached, NotFound
from mailplat.core.hint import MailboxChanged
from mailplat.core.route import Residence
from mailplat.db.driver import change
from mailplat.store.description import (
    make_mailbox_folder,
    modseq_ceiling,
    uid_ceiling,
    write_mailbox,
)
from mailplat.store.index import renderings
from mailplat.store.inheriting import inherit
from mailplat.store.maildir import account_path, mailbox_folder
from mailplat.store.names import INBOX, below, canonical, check_name, parents
from mailplat.store.quota import add_usage
from mailplat.store.site import MailboxRow, Site
from mailplat.store.tombstones import replace_tombstones
from mailplat.store.types import MAX_MODSEQ, MAX_UID, Mailbox
from mailplat.store.vault.entry import MAILBOX, enter_mailbox, keeps

_MAILBOX = (
    "SELECT m.id, m.name, m.uidvalidity, m.uidnext, m.modseq, m.messages, m.unseen, m.size,"
    " s.name IS NOT NULL, m.special_use, m.object_id FROM mailbox m"
    " LEFT JOIN subscription s ON s.account_id = m.account_id AND s.name = m.name"
)
_INSERT = (
    "INSERT INTO mailbox (account_id, name, special_use, uidvalidity, uidnext, modseq, uid_ceiling,"
    " modseq_ceiling, messages, unseen, size, backfills, named, described, object_id)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0, 0, ?, 1, ?) RETURNING id"
)


def list_mailboxes(site: Site, residence: Residence) -> list[Mailbox]:
    """INBOX first, the others by name."""
    with site.read() as connection:
        found = connection.exec_driver_sql(
            f"{_MAILBOX} WHERE m.account_id = ? ORDER BY m.name <> 'INBOX', m.name", (residence.account_id,)
        ).fetchall()
    return [_mailbox(row) for row in found]


def find_mailbox(site: Site, residence: Residence, name: str) -> Mailbox:
    """Raises NotFound."""
    with site.read() as connection:
        row = connection.exec_driver_sql(
            f"{_MAILBOX} WHERE m.account_id = ? AND m.name = ?", (residence.account_id, canonical(name))
        ).fetchone()
    if row is None:
        raise NotFound(f"account {residence.account_id} has no mailbox {name!r}")
    return _mailbox(row)


def mailbox_by_id(site: Site, residence: Residence, mailbox_id: int) -> Mailbox:
    """Raises NotFound: deleted, or another account's."""
    with site.read() as connection:
        row = connection.exec_driver_sql(
            f"{_MAILBOX} WHERE m.account_id = ? AND m.id = ?", (residence.account_id, mailbox_id)
        ).fetchone()
    if row is None:
        raise NotFound(f"account {residence.account_id} has no mailbox number {mailbox_id}")
    return _mailbox(row)


def _mailbox(row: Row[Any]) -> Mailbox:
    """A row of _MAILBOX."""
    values: list[Any] = list(row)
    values[8] = bool(values[8])
    values[10] = values[10] or object_id(values[2], values[0])
    return Mailbox(*values)


def object_id(uidvalidity: int, mailbox_id: int) -> str:
    """MAILBOXID (RFC 8474 4) of a mailbox that was made here: of what a rebuild finds in mailplat-mailbox.json and in
    the folder's name. A shard that takes the mailbox over keeps it in `mailbox.object_id`."""
    return f"F{uidvalidity}-{mailbox_id}"


def create(
    site: Site,
    residence: Residence,
    name: str,
    *,
    special_use: str = "",
    uidvalidity: int | None = None,
    uidnext: int | None = None,
    modseq: int | None = None,
    object_id: str | None = None,
) -> Mailbox:
    """With the mailboxes above it that are missing (RFC 3501 6.3.3). A move gives the numbers that the mailbox
    had, and its MAILBOXID; they may be given to an INBOX too, as long as nothing was ever in it. Raises
    AlreadyExists, LimitReached, InvalidInput, StaleEpoch."""
    name = check_name(name, site.limits)
    _check_numbers(uidvalidity, uidnext, modseq)
    account_id = residence.account_id

    def apply(connection: Connection) -> None:
        site.check_epoch(connection, residence)
        known = {
            each: row_id
            for each in (*parents(name), name)
            if (row_id := _id_of(connection, account_id, each)) is not None
        }
        if name in known:
            if name == INBOX and uidvalidity is not None and _is_untouched(connection, known[name]):
                _renumber(site, connection, account_id, uidvalidity, uidnext or 1, modseq or 1, object_id)
                return
            raise AlreadyExists(f"account {account_id} has a mailbox {name!r} already")
        missing = [each for each in parents(name) if each not in known]
        _check_room(site, connection, account_id, len(missing) + 1)
        for parent in missing:
            insert_mailbox(site, connection, account_id, parent)
        insert_mailbox(
            site,
            connection,
            account_id,
            name,
            special_use=special_use,
            uidvalidity=uidvalidity,
            uidnext=uidnext or 1,
            modseq=modseq or 1,
            object_id=object_id,
        )

    site.write(apply, MailboxChanged(account_id, 0))
    return find_mailbox(site, residence, name)


def insert_mailbox(
    site: Site,
    connection: Connection,
    account_id: int,
    name: str,
    *,
    special_use: str = "",
    uidvalidity: int | None = None,
    uidnext: int = 1,
    modseq: int = 1,
    object_id: str | None = None,
) -> MailboxRow:
    """Row, folder and description of a new mailbox; the caller checked name, account and limits."""
    validity = next_uidvalidity(site, connection, account_id, uidvalidity)
    ceilings = uid_ceiling(uidnext), modseq_ceiling(modseq)
    row_id = connection.exec_driver_sql(
        _INSERT, (account_id, name, special_use, validity, uidnext, modseq, *ceilings, modseq, object_id)
    ).scalar_one()
    row = MailboxRow(
        row_id,
        account_id,
        name,
        special_use,
        validity,
        uidnext,
        modseq,
        *ceilings,
        0,
        0,
        0,
        0,
        modseq,
        1,
        object_id,
    )
    if uidvalidity is None:  # a move brings the rights that the mailbox has
        inherit(connection, row)
    make_mailbox_folder(site, row)
    write_mailbox(site, connection, row)
    site.sync_folders([site.account_folder(account_id)], "create.dirsync")
    return row


def delete(site: Site, residence: Residence, name: str, *, moved: bool = False) -> None:
    """The mailbox and its messages; mailboxes below it stay (RFC 3501 6.3.4). Its files go into the vault, and its
    folder is removed, behind; what `moved` here from another home is in the vault there.
    Raises NotFound, InvalidInput for INBOX, StaleEpoch."""
    name = canonical(name)
    account_id = residence.account_id
    if name == INBOX:
        raise InvalidInput("INBOX cannot be deleted")

    def apply(connection: Connection) -> int:
        site.check_epoch(connection, residence)
        row = site.mailbox_by_name(connection, account_id, name)
        if not moved and keeps(site, connection, account_id):
            enter_mailbox(site, connection, row, MAILBOX)
        forget_rows(connection, row.id)
        add_usage(connection, account_id, -row.size, -row.messages)
        folder = account_path(account_id) / mailbox_folder(row.id, row.name)
        connection.exec_driver_sql(
            "INSERT INTO leaving (account_id, mailbox_id, path, at) VALUES (?, ?, ?, ?)",
            (account_id, row.id, str(folder), int(site.clock.now())),
        )
        return row.id

    mailbox_id = site.write(apply, MailboxChanged(account_id, 0))
    site.publish(MailboxChanged(account_id, mailbox_id))


def forget_messages(connection: Connection, mailbox_id: int) -> None:
    """All that the index knows of a mailbox's messages."""
    renderings.forget_all(connection, mailbox_id)
    for table in ("message", "expunged", "keyword", "flagset", "dedupe"):
        connection.exec_driver_sql(f"DELETE FROM {table} WHERE mailbox_id = ?", (mailbox_id,))


def forget_rows(connection: Connection, mailbox_id: int) -> None:
    """The mailbox and all that the index knows of it."""
    forget_messages(connection, mailbox_id)
    for table in ("annotation", "acl"):
        connection.exec_driver_sql(f"DELETE FROM {table} WHERE mailbox_id = ?", (mailbox_id,))
    connection.exec_driver_sql("DELETE FROM mailbox WHERE id = ?", (mailbox_id,))


def rename(site: Site, residence: Residence, old: str, new: str) -> None:
    """With all mailboxes below; missing parents of the new name are made (RFC 3501 6.3.5). Not for INBOX
    itself: see shard.rename. Raises NotFound, AlreadyExists, InvalidInput, LimitReached, StaleEpoch."""
    old, new = canonical(old), check_name(new, site.limits)
    account_id = residence.account_id
    low, high = below(old)
    if new == old or low <= new < high:
        raise InvalidInput(f"mailbox {old!r} cannot become {new!r}, a mailbox of itself")

    def apply(connection: Connection) -> None:
        site.check_epoch(connection, residence)
        moved = connection.exec_driver_sql(
            "SELECT id, name FROM mailbox WHERE account_id = ? AND (name = ? OR name >= ? AND name < ?)",
            (account_id, old, low, high),
        ).fetchall()
        if not moved:
            raise NotFound(f"account {account_id} has no mailbox {old!r}")
        if _id_of(connection, account_id, new) is not None:
            raise AlreadyExists(f"account {account_id} has a mailbox {new!r} already")
        renamed = [(new + name[len(old) :], row_id) for row_id, name in moved]
        for name, _ in renamed:
            check_name(name, site.limits)
            if _id_of(connection, account_id, name) is not None:
                raise AlreadyExists(f"account {account_id} has a mailbox {name!r} already")
        missing = [each for each in parents(new) if _id_of(connection, account_id, each) is None]
        _check_room(site, connection, account_id, len(missing))
        connection.exec_driver_sql("UPDATE mailbox SET name = ?, described = 0 WHERE id = ?", renamed)
        for parent in missing:
            if _id_of(connection, account_id, parent) is None:
                insert_mailbox(site, connection, account_id, parent)

    site.write(apply, MailboxChanged(account_id, 0))


def subscribe(site: Site, residence: Residence, name: str, on: bool) -> None:
    """A mailbox of that name need not exist (RFC 3501 6.3.6); taking back what was not given is fine.
    Raises InvalidInput, LimitReached, StaleEpoch."""
    name = check_name(name, site.limits) if on else canonical(name)
    account_id = residence.account_id

    def apply(connection: Connection) -> None:
        site.check_epoch(connection, residence)
        if on:
            (count,) = connection.exec_driver_sql(
                "SELECT count(*) FROM subscription WHERE account_id = ?", (account_id,)
            ).one()
            if count >= site.limits.subscriptions:
                raise LimitReached(f"account {account_id} has {count} subscriptions, no more can be added")
            statement = "INSERT INTO subscription (account_id, name) VALUES (?, ?) ON CONFLICT DO NOTHING"
        else:
            statement = "DELETE FROM subscription WHERE account_id = ? AND name = ?"
        connection.exec_driver_sql(statement, (account_id, name))
        connection.exec_driver_sql("UPDATE account SET described = 0 WHERE account_id = ?", (account_id,))

    site.write(apply, MailboxChanged(account_id, 0))


def subscriptions(site: Site, residence: Residence) -> list[str]:
    with site.read() as connection:
        found = connection.exec_driver_sql(
            "SELECT name FROM subscription WHERE account_id = ? ORDER BY name", (residence.account_id,)
        ).fetchall()
    return [name for (name,) in found]


def raise_uidnext(site: Site, residence: Residence, mailbox_id: int, uidnext: int, modseq: int) -> None:
    """At least these from now on; neither is ever lowered. Below that MODSEQ somebody else counted, and what came and
    went there is not known here: who asks for changes since then is given all UIDs."""
    _check_numbers(None, uidnext, modseq)

    def apply(connection: Connection) -> None:
        site.check_epoch(connection, residence)
        row = site.mailbox_by_id(connection, residence.account_id, mailbox_id)
        advance(site, connection, row, max(uidnext, row.uidnext), max(modseq, row.modseq))
        if modseq > row.modseq:
            replace_tombstones(connection, mailbox_id, modseq)

    site.write(apply, MailboxChanged(residence.account_id, mailbox_id))


def advance(
    site: Site,
    connection: Connection,
    row: MailboxRow,
    uidnext: int,
    modseq: int,
    *,
    messages: int = 0,
    unseen: int = 0,
    size: int = 0,
    backfills: int = 0,
) -> None:
    """Set both numbers, neither below the row's, raising the ceilings in the mailbox's file first; and count what
    came (or, below zero, went)."""
    if uidnext > row.uid_ceiling or modseq > row.modseq_ceiling:
        row = row._replace(uid_ceiling=uid_ceiling(uidnext), modseq_ceiling=modseq_ceiling(modseq))
        write_mailbox(site, connection, row)
    change(
        connection,
        "UPDATE mailbox SET uidnext = ?, modseq = ?, uid_ceiling = ?, modseq_ceiling = ?, messages = messages + ?,"
        " unseen = unseen + ?, size = size + ?, backfills = backfills + ? WHERE id = ?",
        (uidnext, modseq, row.uid_ceiling, row.modseq_ceiling, messages, unseen, size, backfills, row.id),
    )


def _check_numbers(uidvalidity: int | None, uidnext: int | None, modseq: int | None) -> None:
    limits = (
        ("UIDVALIDITY", uidvalidity, MAX_UID),
        ("UIDNEXT", uidnext, MAX_UID),
        ("MODSEQ", modseq, MAX_MODSEQ),
    )
    for name, value, limit in limits:
        if value is not None and not 1 <= value <= limit:
            raise InvalidInput(f"{name} {value} is not between 1 and {limit}")


def next_uidvalidity(site: Site, connection: Connection, account_id: int, wanted: int | None) -> int:
    """Higher than any that the account gave before: a name that comes back must not look like the old mailbox
    (RFC 3501 2.3.1.1)."""
    (last,) = connection.exec_driver_sql(
        "SELECT uidvalidity FROM account WHERE account_id = ?", (account_id,)
    ).one()
    chosen = wanted or max(int(site.clock.now()), last + 1)
    if chosen > MAX_UID:
        raise LimitReached(f"account {account_id} has no UIDVALIDITY left")
    if chosen > last:
        connection.exec_driver_sql(
            "UPDATE account SET uidvalidity = ?, described = 0 WHERE account_id = ?", (chosen, account_id)
        )
    return int(chosen)


def _check_room(site: Site, connection: Connection, account_id: int, more: int) -> None:
    (count,) = connection.exec_driver_sql(
        "SELECT count(*) FROM mailbox WHERE account_id = ?", (account_id,)
    ).one()
    if count + more > site.limits.mailboxes:
        raise LimitReached(
            f"account {account_id} has {count} mailboxes; more than {site.limits.mailboxes} are not allowed"
        )


def _id_of(connection: Connection, account_id: int, name: str) -> int | None:
    row = connection.exec_driver_sql(
        "SELECT id FROM mailbox WHERE account_id = ? AND name = ?", (account_id, name)
    ).fetchone()
    return None if row is None else int(row[0])


def _is_untouched(connection: Connection, mailbox_id: int) -> bool:
    row = connection.exec_driver_sql("SELECT uidnext, modseq FROM mailbox WHERE id = ?", (mailbox_id,)).one()
    return bool(row[0] == 1 and row[1] == 1)


def _renumber(
    site: Site,
    connection: Connection,
    account_id: int,
    uidvalidity: int,
    uidnext: int,
    modseq: int,
    object_id: str | None,
) -> None:
    row = site.mailbox_by_name(connection, account_id, INBOX)
    validity = next_uidvalidity(site, connection, account_id, uidvalidity)
    row = row._replace(
        uidvalidity=validity,
        uidnext=uidnext,
        modseq=modseq,
        uid_ceiling=uid_ceiling(uidnext),
        modseq_ceiling=modseq_ceiling(modseq),
        object_id=object_id,
    )
    write_mailbox(site, connection, row)
    connection.exec_driver_sql(
        "UPDATE mailbox SET uidvalidity = ?, uidnext = ?, modseq = ?, uid_ceiling = ?, modseq_ceiling = ?,"
        " named = ?, object_id = ? WHERE id = ?",
        (validity, uidnext, modseq, row.uid_ceiling, row.modseq_ceiling, modseq, object_id, row.id),
    )
