"""Who else may do what with a mailbox (RFC 4314). The owner may do everything and stands in no row.

Rows of `acl`: mailbox, identifier, the grantee's number, letters. An identifier is Address.key of an account, or
ANYONE. A row holds for the account that has both its address and its number: neither who gets the address later nor
who has the number on another platform, where a backup is restored, comes into what he was not given. Whether grantee
and owner may share at all (domains) is not known here: access/imap/sharing.py.

What is made below a mailbox begins with its rights (RFC 4314 4, CREATE), a RENAME keeps them, a DELETE ends them, and
what is restored from the vault comes to its owner alone. A change raises the mailbox's MODSEQ, so that whoever copies
it to another shard sees that there is something to fetch.

mailplat-mailbox.json has the rows too, for a rebuild. Unlike all else in it they never lag behind: a right that was
taken back must not come again. What is true after a crash:

    step                      on disk
    mailbox.write, .fsync     both as before the change
    mailbox.rename, .dirsync  the file as after it, the index as before: nobody was told. The index is served; only a
                              rebuild without it goes by the file, and the next description makes them the same
    index.apply               the same
    index.commit              both as after it
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from mailplat.core.errors import LimitReached
from mailplat.core.hint import MailboxChanged
from mailplat.core.rights import NONE, Rights, parse, render
from mailplat.core.route import Residence
from mailplat.store.description import write_mailbox
from mailplat.store.mailboxes import advance
from mailplat.store.site import Site
from mailplat.store.types import ANYONE, Entry

# By identifier.
Acl = Mapping[str, Entry]


@dataclass(frozen=True, slots=True)
class Grantee:
    """Who asks. `anyone`: he is one of those whom ANYONE means."""

    account_id: int
    key: str  # Address.key
    anyone: bool


def read_acl(site: Site, residence: Residence, mailbox_id: int) -> dict[str, Entry]:
    """Raises NotFound."""
    with site.read() as connection:
        site.mailbox_by_id(connection, residence.account_id, mailbox_id)
        return rows(connection, residence.account_id, mailbox_id)


def read_acls(site: Site, residence: Residence) -> dict[int, dict[str, Entry]]:
    """By mailbox number, of those that are shared. One look-up, however many mailboxes there are."""
    found: dict[int, dict[str, Entry]] = {}
    with site.read() as connection:
        for mailbox_id, identifier, number, letters in connection.exec_driver_sql(
            "SELECT mailbox_id, identifier, grantee_id, rights FROM acl WHERE account_id = ?",
            (residence.account_id,),
        ):
            found.setdefault(mailbox_id, {})[identifier] = Entry(number, parse(letters))
    return found


def rights_of(site: Site, residence: Residence, mailbox_id: int, who: Grantee) -> Rights:
    """Of somebody else than the owner: his own and those of anyone together. Raises NotFound."""
    with site.read() as connection:
        site.mailbox_by_id(connection, residence.account_id, mailbox_id)
        return _effective(rows(connection, residence.account_id, mailbox_id), who)


def granted(site: Site, residence: Residence, who: Grantee) -> dict[int, Rights]:
    """By mailbox number, those that he has any right on. One look-up, however many mailboxes there are."""
    with site.read() as connection:
        found = connection.exec_driver_sql(
            "SELECT mailbox_id, identifier, grantee_id, rights FROM acl WHERE account_id = ?"
            " AND grantee_id IN (?, 0)",
            (residence.account_id, who.account_id),
        ).fetchall()
    rights: dict[int, Rights] = {}
    for mailbox_id, identifier, grantee_id, letters in found:
        some = _effective({identifier: Entry(grantee_id, parse(letters))}, who)
        if some:
            rights[mailbox_id] = rights.get(mailbox_id, NONE) | some
    return rights


def grantees(site: Site, residence: Residence) -> set[int]:
    """Numbers of those that have a right on any mailbox of an account; 0 for anyone."""
    with site.read() as connection:
        found = connection.exec_driver_sql(
            "SELECT DISTINCT grantee_id FROM acl WHERE account_id = ?", (residence.account_id,)
        )
        return {number for (number,) in found}


def all_grantees(site: Site) -> list[tuple[int, int]]:
    """(owner, grantee), of all accounts of the shard: what the platform's list of shares is made of anew."""
    with site.read() as connection:
        found = connection.exec_driver_sql(
            "SELECT DISTINCT account_id, grantee_id FROM acl ORDER BY account_id, grantee_id"
        )
        return [(owner, grantee) for owner, grantee in found]


def change_acl(
    site: Site,
    residence: Residence,
    mailbox_id: int,
    identifier: str,
    grantee_id: int,
    how: str,
    rights: Rights,
) -> None:
    """Give (`how` "+"), take ("-") or set ("") the rights of one identifier; who is left with none has no row.
    Raises NotFound, StaleEpoch, DiskFull, LimitReached for too many rows."""
    account_id = residence.account_id

    def apply(connection: Connection) -> None:
        site.check_epoch(connection, residence)
        row = site.mailbox_by_id(connection, account_id, mailbox_id)
        entries = rows(connection, account_id, mailbox_id)
        before = entries.get(identifier)
        # What somebody else had under this address is not added to.
        had = before.rights if before is not None and before.grantee_id == grantee_id else NONE
        after = {"+": had | rights, "-": had - rights}.get(how, rights)
        entries[identifier] = Entry(grantee_id, after)
        kept = {name: entry for name, entry in entries.items() if entry.rights}
        if len(kept) > site.limits.acl:
            raise LimitReached(f"mailbox {mailbox_id} of account {account_id} has {len(kept)} identifiers")
        put(connection, account_id, mailbox_id, kept)
        advance(site, connection, row, row.uidnext, row.modseq + 1)
        write_mailbox(site, connection, site.mailbox_by_id(connection, account_id, mailbox_id))

    site.write(apply, MailboxChanged(account_id, mailbox_id))


def rows(connection: Connection, account_id: int, mailbox_id: int) -> dict[str, Entry]:
    found = connection.exec_driver_sql(
        "SELECT identifier, grantee_id, rights FROM acl WHERE mailbox_id = ? AND account_id = ?"
        " ORDER BY identifier",
        (mailbox_id, account_id),
    )
    return {identifier: Entry(number, parse(letters)) for identifier, number, letters in found}


def put(connection: Connection, account_id: int, mailbox_id: int, entries: Acl) -> None:
    """These and no others, and a description that says so."""
    connection.exec_driver_sql(
        "DELETE FROM acl WHERE mailbox_id = ? AND account_id = ?", (mailbox_id, account_id)
    )
    if entries:
        connection.exec_driver_sql(
            "INSERT INTO acl (mailbox_id, account_id, identifier, grantee_id, rights) VALUES (?, ?, ?, ?, ?)",
            [
                (mailbox_id, account_id, name, entry.grantee_id, render(entry.rights))
                for name, entry in entries.items()
            ],
        )
    connection.exec_driver_sql("UPDATE mailbox SET described = 0 WHERE id = ?", (mailbox_id,))


def _effective(entries: Acl, who: Grantee) -> Rights:
    return NONE.union(*_each(entries, who))


def _each(entries: Acl, who: Grantee) -> Iterable[Rights]:
    own = entries.get(who.key)
    if own is not None and own.grantee_id == who.account_id:
        yield own.rights
    if who.anyone and ANYONE in entries:
        yield entries[ANYONE].rights
