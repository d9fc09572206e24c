"""An account on its way from one of our shards to another: what crosses over beside the messages, with its numbers.

A shard that takes an account over is served by nobody before the route's row says so. So MODSEQs may be set here as
they are there, also below the mailbox's HIGHESTMODSEQ; in all other verbs they only grow.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy.engine import Connection

from mailplat.core.errors import Unavailable
from mailplat.core.route import Residence
from mailplat.store import acl, annotations
from mailplat.store.accounts import leave
from mailplat.store.acl import Acl
from mailplat.store.annotations import ACCOUNT
from mailplat.store.description import write_mailbox
from mailplat.store.fetch import select_messages
from mailplat.store.flagsets import SEEN, Numbering
from mailplat.store.index import renderings
from mailplat.store.mailboxes import advance, forget_rows
from mailplat.store.maildir import account_path, folder_of, mailbox_folder
from mailplat.store.names import INBOX
from mailplat.store.quota import add_usage
from mailplat.store.site import MailboxRow, Site
from mailplat.store.tombstones import FORGOTTEN

# Rows of one statement's list of UIDs.
_ROWS = 400


@dataclass(frozen=True, slots=True)
class Traces:
    """What happened in a mailbox after a MODSEQ, with the numbers that it got."""

    uidnext: int
    modseq: int
    uidvalidity: int  # given last in the account
    changed: Sequence[tuple[int, int, tuple[str, ...]]]  # (uid, modseq, flags), new messages too
    expunged: Sequence[tuple[int, int]]  # (uid, modseq)
    keys: Sequence[tuple[str, int, int, int]]  # dedupe keys: (key, uid, modseq, at)
    present: Sequence[int] | None = (
        None  # all UIDs, where what was expunged is forgotten in part (tombstones.py)
    )
    # All of the mailbox's; with INBOX come, second, all of the account's.
    annotations: Sequence[Mapping[str, bytes]] = ()
    acl: Acl = field(default_factory=dict)


def traces(site: Site, residence: Residence, mailbox_id: int, since: int) -> Traces:
    """All of one instant; keys that came with a message have its MODSEQ. Raises NotFound."""
    with site.read() as connection:
        row = site.mailbox_by_id(connection, residence.account_id, mailbox_id)
        (given,) = connection.exec_driver_sql(
            "SELECT uidvalidity FROM account WHERE account_id = ?", (residence.account_id,)
        ).one()
        changed = connection.exec_driver_sql(
            "SELECT uid, modseq, flagset FROM message WHERE mailbox_id = ? AND modseq > ? ORDER BY +uid",
            (mailbox_id, since),
        ).fetchall()
        expunged = connection.exec_driver_sql(
            "SELECT uid, modseq FROM expunged WHERE mailbox_id = ? AND modseq > ?", (mailbox_id, since)
        ).fetchall()
        present = None
        if any(uid == FORGOTTEN for uid, _ in expunged):
            rows = connection.exec_driver_sql("SELECT uid FROM message WHERE mailbox_id = ?", (mailbox_id,))
            present = [uid for (uid,) in rows.fetchall()]
        keys = connection.exec_driver_sql(
            "SELECT key, uid, modseq, at FROM dedupe WHERE mailbox_id = ? AND modseq > ?", (mailbox_id, since)
        ).fetchall()
        book = site.library.book(connection, mailbox_id, {number for _, _, number in changed})
        owners = (mailbox_id, ACCOUNT) if row.name == INBOX else (mailbox_id,)
        notes = [annotations.rows(connection, residence.account_id, owner) for owner in owners]
        entries = acl.rows(connection, residence.account_id, mailbox_id)
    return Traces(
        row.uidnext,
        row.modseq,
        given,
        [(uid, modseq, book.flags(number)) for uid, modseq, number in changed],
        [(uid, modseq) for uid, modseq in expunged],
        [(key, uid, modseq, at) for key, uid, modseq, at in keys],
        present,
        notes,
        entries,
    )


def take_over(site: Site, residence: Residence, mailbox_id: int, said: Traces) -> tuple[int, int]:
    """Let the same be true here; of two states of a message the one with the higher MODSEQ counts, so that what
    comes late changes nothing. A message that is in `changed` and not here is left to an append. What is expunged
    does not go into the vault: it is in that of the other shard. Returns how many messages (changed, went). Raises
    NotFound, StaleEpoch, DiskFull."""

    def apply(connection: Connection) -> tuple[int, int]:
        site.check_epoch(connection, residence)
        row = site.mailbox_by_id(connection, residence.account_id, mailbox_id)
        others = False  # their rights have changed
        if said.modseq >= row.modseq:  # what comes late changes nothing
            for owner, values in zip((mailbox_id, ACCOUNT), said.annotations, strict=False):
                annotations.put(connection, residence.account_id, owner, values)
            others = acl.rows(connection, residence.account_id, mailbox_id) != said.acl
            if others:
                acl.put(connection, residence.account_id, mailbox_id, said.acl)
        went = _expunge(site, connection, row, [*said.expunged, *_vanished(connection, row, said)])
        changed = _change(site, connection, row, said.changed)
        row = site.mailbox_by_id(connection, residence.account_id, mailbox_id)
        uidnext, modseq = max(said.uidnext, row.uidnext), max(said.modseq, row.modseq)
        advance(site, connection, row, uidnext, modseq, backfills=int(bool(went or changed)))
        connection.exec_driver_sql(
            "UPDATE account SET uidvalidity = ?, described = 0 WHERE account_id = ? AND uidvalidity < ?",
            (said.uidvalidity, residence.account_id, said.uidvalidity),
        )
        if others:  # the file does not lag behind, see acl.py
            write_mailbox(site, connection, site.mailbox_by_id(connection, residence.account_id, mailbox_id))
        if said.keys:
            connection.exec_driver_sql(
                "INSERT OR IGNORE INTO dedupe (mailbox_id, key, uid, modseq, at) VALUES (?, ?, ?, ?, ?)",
                [(mailbox_id, *key) for key in said.keys],
            )
        return changed, went

    return site.write(apply)


def _vanished(connection: Connection, row: MailboxRow, said: Traces) -> list[tuple[int, int]]:
    """What is here and no longer there, where the other shard has forgotten a part of that."""
    if said.present is None:
        return []
    there = set(said.present)
    here = connection.exec_driver_sql(
        "SELECT uid FROM message WHERE mailbox_id = ? AND uid < ?", (row.id, said.uidnext)
    ).fetchall()
    return [(uid, said.modseq) for (uid,) in here if uid not in there]


def _change(
    site: Site, connection: Connection, row: MailboxRow, changed: Sequence[tuple[int, int, tuple[str, ...]]]
) -> int:
    numbering = Numbering(connection, site.library, row.id, site.limits)
    here = {
        uid: (modseq, number)
        for start in range(0, len(changed), _ROWS)
        for piece in select_messages(
            connection,
            row.id,
            [(uid, uid) for uid, _, _ in changed[start : start + _ROWS]],
            "m.uid, m.modseq, m.flagset",
        )
        for uid, modseq, number in piece
    }
    updates: list[tuple[int, int, int, int]] = []
    unseen = 0
    for uid, modseq, flags in changed:
        known = here.get(uid)
        if known is not None and known[0] < modseq:
            mask = numbering.mask_of(flags)
            unseen += bool(numbering.mask(known[1]) & SEEN) - bool(mask & SEEN)
            updates.append((modseq, numbering.number_of(mask), row.id, uid))
    if updates:
        connection.exec_driver_sql(
            "UPDATE message SET modseq = ?, flagset = ? WHERE mailbox_id = ? AND uid = ?", updates
        )
        lowest = min(each[0] for each in updates)
        connection.exec_driver_sql(
            "UPDATE mailbox SET unseen = unseen + ?, named = min(named, ?) WHERE id = ?",
            (unseen, lowest - 1, row.id),
        )
    return len(updates)


def _expunge(site: Site, connection: Connection, row: MailboxRow, expunged: Sequence[tuple[int, int]]) -> int:
    if not expunged:
        return 0
    found = [
        each
        for piece in select_messages(
            connection, row.id, [(uid, uid) for uid, _ in expunged], "m.uid, m.flagset, m.size, m.name"
        )
        for each in piece
    ]
    connection.exec_driver_sql(
        "INSERT OR IGNORE INTO expunged (mailbox_id, modseq, uid) VALUES (?, ?, ?)",
        [(row.id, modseq, uid) for uid, modseq in expunged],
    )
    if not found:
        return 0
    numbering = Numbering(connection, site.library, row.id, site.limits)
    octets = sum(each[2] for each in found)
    unseen = sum(not numbering.mask(each[1]) & SEEN for each in found)
    advance(
        site,
        connection,
        row,
        row.uidnext,
        row.modseq,
        messages=-len(found),
        unseen=-unseen,
        size=-octets,
        backfills=1,
    )
    keys = [(row.id, each[0]) for each in found]
    connection.exec_driver_sql("DELETE FROM message WHERE mailbox_id = ? AND uid = ?", keys)
    renderings.forget(connection, row.id, (each[0] for each in found))
    add_usage(connection, row.account_id, -octets, -len(found))
    folder = account_path(row.account_id) / mailbox_folder(row.id, row.name)
    files = [str(folder / folder_of(each[3]) / each[3]) for each in found]
    leave(site, connection, row.account_id, row.id, files)
    return len(found)


def discard(site: Site, account_id: int, epoch: int) -> None:
    """A copy that never was the account's home goes, as if `epoch` had not been granted: it may be granted again for
    another copy. Nothing of it goes into the vault, all of it is where the account lives. Idempotent. Raises
    Unavailable where a higher epoch was granted: the account may live here."""

    def apply(connection: Connection) -> None:
        found = connection.exec_driver_sql(
            "SELECT epoch, closed, octets, messages FROM account WHERE account_id = ?", (account_id,)
        ).fetchone()
        if found is None or found[1]:
            return
        if found[0] > epoch:
            raise Unavailable(
                f"shard {site.name}: account {account_id} was granted epoch {found[0]}, its copy had {epoch};"
                " nothing is removed"
            )
        mailboxes = connection.exec_driver_sql("SELECT id FROM mailbox WHERE account_id = ?", (account_id,))
        for (mailbox_id,) in mailboxes.fetchall():
            forget_rows(connection, mailbox_id)
        for table, behind in (
            ("subscription", ""), ("leaving", " AND mailbox_id > 0"), ("annotation", " AND mailbox_id = 0"),
        ):  # fmt: skip
            connection.exec_driver_sql(f"DELETE FROM {table} WHERE account_id = ?{behind}", (account_id,))
        add_usage(connection, account_id, -found[2], -found[3])
        connection.exec_driver_sql(
            "UPDATE account SET closed = 1, epoch = epoch - 1, octets = 0, messages = 0, described = 1"
            " WHERE account_id = ?",
            (account_id,),
        )
        leave(site, connection, account_id, 0, [str(account_path(account_id))])

    site.write(apply)
    site.changed.set()


def is_closed(site: Site, account_id: int) -> bool:
    """Whether nothing of the account lives here: it left, or was never here."""
    with site.read() as connection:
        row = connection.exec_driver_sql(
            "SELECT closed FROM account WHERE account_id = ?", (account_id,)
        ).fetchone()
    return row is None or bool(row[0])


def residents(site: Site) -> list[int]:
    """Accounts that the shard has open: those that live here, and copies on their way here."""
    with site.read() as connection:
        rows = connection.exec_driver_sql(
            "SELECT account_id FROM account WHERE closed = 0 ORDER BY account_id"
        )
        return [account_id for (account_id,) in rows.fetchall()]
