"""UIDs after a shard went back in time (RFC 3501 2.3.1.1).

After the point was taken the shard went on giving UIDs, and its clients remember them. Where the shard that is
replaced can still be asked, a mailbox that it has under the same number and UIDVALIDITY keeps that, and goes on
above everything that was ever given: UIDNEXT from its ceiling, MODSEQ above its ceiling on every message, UIDs that
came after the point noted as expunged. Clients notice what is back, what is gone and what changed.
Where there is nobody to ask (an empty place, an index that cannot be read, an account that it never had) a mailbox
keeps its UIDVALIDITY too, so that no client reads all its mail again, and leaps: UIDNEXT and MODSEQ go on higher than
anything that can have been given since the point, for a start and for each second since then (_LEAP, _PER_S).
A mailbox that is not there any more, though its account is, was deleted since, and another may have taken its name:
it gets a new UIDVALIDITY, higher than any that its account was given, and clients read it afresh. So does one that
has no room left to leap. POP3 clients do not: messages of INBOX keep the UIDL that the old UIDVALIDITY made for them.

UIDs that were given behind a point that nobody can be asked about are not known as expunged. A server with QRESYNC
(RFC 7162) would have to say so of all UIDs that it does not have.
"""

import contextlib
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy.engine import Connection

from mailplat.core.errors import LimitReached
from mailplat.store.backup.known import connect
from mailplat.store.description import modseq_ceiling, read_account, read_mailbox, uid_ceiling
from mailplat.store.repair import survey
from mailplat.store.site import MailboxRow, Site
from mailplat.store.tombstones import mark_forgotten
from mailplat.store.types import MAX_UID

# How far UIDVALIDITYs that nobody can be asked about may be ahead of the clock: each mailbox that an account makes
# within one second takes the next one. Ten times as many as it may have.
_AHEAD = 100_000

# UIDs that a mailbox may have given since the point: so many at once, and so many a second all the time, which is an
# import that never ends. A restore of yesterday's point uses up 27 million of 4.3 thousand million.
_LEAP = 1_000_000
_PER_S = 300

# MODSEQs that each of them may have had: a message changes its flags so often. There are 2**63.
_CHANGES = 1000


@dataclass(frozen=True, slots=True)
class GivenMailbox:
    account_id: int
    uidvalidity: int
    uidnext: int  # no UID from here on was ever given
    modseq: int  # no MODSEQ above


@dataclass(slots=True)
class Given:
    """What a shard has handed out, as far as it can be asked."""

    leap: int = _LEAP  # UIDs, where it cannot

    mailboxes: dict[int, GivenMailbox] = field(default_factory=dict)
    uidvalidity: dict[int, int] = field(default_factory=dict)  # by account: given last
    epoch: dict[int, int] = field(default_factory=dict)
    last_mailbox: int = 0


def default_uidl(uidvalidity: int, uid: int) -> str:
    """The UIDL of a message that was given none (fetch.py)."""
    return f"{uidvalidity}.{uid}"


def read_given(path: Path, age: float) -> Given:
    """Of a shard that nobody has open: what its index says, or its descriptions where those say more. An index that
    cannot be read vouches for nothing: then there is no mailbox in what is returned. `age` of the point, seconds."""
    given = Given(_LEAP + _PER_S * max(int(age), 0))
    with contextlib.suppress(sqlite3.DatabaseError), contextlib.closing(connect(path / "index.db")) as index:
        tables = {name for (name,) in index.execute("SELECT name FROM sqlite_master")}
        if "mailbox" not in tables:
            return given
        _read_index(given, index)
        for account_id, folder in survey.accounts(path):
            _read_descriptions(given, account_id, folder)
        return given
    return Given(given.leap)


def _read_index(given: Given, index: sqlite3.Connection) -> None:
    for number, *numbers in index.execute(
        "SELECT id, account_id, uidvalidity, uid_ceiling, modseq_ceiling FROM mailbox"
    ):
        given.mailboxes[number] = GivenMailbox(*numbers)
    for account_id, uidvalidity, epoch in index.execute("SELECT account_id, uidvalidity, epoch FROM account"):
        given.uidvalidity[account_id] = uidvalidity
        given.epoch[account_id] = epoch
    last = index.execute("SELECT seq FROM sqlite_sequence WHERE name = 'mailbox'").fetchone()
    given.last_mailbox = last[0] if last else 0


def _read_descriptions(given: Given, account_id: int, folder: Path) -> None:
    account = read_account(folder)
    if account is not None:
        given.uidvalidity[account_id] = max(account.uidvalidity, given.uidvalidity.get(account_id, 0))
        given.epoch[account_id] = max(account.epoch, given.epoch.get(account_id, 0))
    for _, path in survey.mailboxes(folder):
        said = read_mailbox(path)
        if said is None:
            continue
        known = given.mailboxes.get(said.id)
        given.last_mailbox = max(given.last_mailbox, said.id)
        if known is not None and known.uidvalidity == said.uidvalidity:
            given.mailboxes[said.id] = GivenMailbox(
                account_id,
                known.uidvalidity,
                max(known.uidnext, said.uidnext),
                max(known.modseq, said.modseq),
            )


def renew_account(site: Site, connection: Connection, given: Given, account_id: int) -> None:
    """Epoch and UIDVALIDITY of an account do not go back either."""
    last = given.uidvalidity.get(account_id)
    if last is None:
        last = min(int(site.clock.now()) + _AHEAD, MAX_UID)
    connection.exec_driver_sql(
        "UPDATE account SET epoch = max(epoch, ?), uidvalidity = max(uidvalidity, ?) WHERE account_id = ?",
        (given.epoch.get(account_id, 0), last, account_id),
    )


def keeps_uidvalidity(given: Given, row: MailboxRow) -> bool:
    return is_there(given, row) or (
        row.account_id not in given.uidvalidity and row.uid_ceiling + given.leap <= MAX_UID
    )


def is_there(given: Given, row: MailboxRow) -> bool:
    """Whether the shard that is replaced knows this mailbox, and can be asked."""
    return _there(given, row) is not None


def _there(given: Given, row: MailboxRow) -> GivenMailbox | None:
    there = given.mailboxes.get(row.id)
    same = there is not None and (there.account_id, there.uidvalidity) == (row.account_id, row.uidvalidity)
    return there if same else None


def renumber(site: Site, connection: Connection, given: Given, row: MailboxRow) -> MailboxRow:
    """The row of a mailbox that came back, with the numbers it goes on with; all its messages get a new MODSEQ."""
    there = _there(given, row)
    uidvalidity, uidnext, modseq = row.uidvalidity, row.uid_ceiling, row.modseq_ceiling
    if there is not None:
        uidnext, modseq = max(uidnext, there.uidnext), max(modseq, there.modseq)
    elif keeps_uidvalidity(given, row):
        uidnext, modseq = uidnext + given.leap, modseq + given.leap * _CHANGES
    else:
        uidnext = row.uidnext
        uidvalidity = _next_uidvalidity(site, connection, row.account_id)
    modseq += 1
    new = row._replace(
        uidvalidity=uidvalidity,
        uidnext=uidnext,
        modseq=modseq,
        uid_ceiling=uid_ceiling(uidnext),
        modseq_ceiling=modseq_ceiling(modseq),
        backfills=row.backfills + 1,
        named=modseq,
    )
    connection.exec_driver_sql(
        "UPDATE mailbox SET uidvalidity = ?, uidnext = ?, modseq = ?, uid_ceiling = ?, modseq_ceiling = ?,"
        " backfills = ?, named = ? WHERE id = ?",
        (*new[4:9], new.backfills, new.named, new.id),
    )
    connection.exec_driver_sql("UPDATE message SET modseq = ? WHERE mailbox_id = ?", (modseq, row.id))
    mark_forgotten(connection, row.id, modseq)  # what was expunged since the point may be forgotten by now
    return new


def _next_uidvalidity(site: Site, connection: Connection, account_id: int) -> int:
    """Behind `renew_account`."""
    (last,) = connection.exec_driver_sql(
        "SELECT uidvalidity FROM account WHERE account_id = ?", (account_id,)
    ).one()
    if last >= MAX_UID:
        raise LimitReached(f"account {account_id} has no UIDVALIDITY left")
    chosen = max(int(site.clock.now()), last + 1)
    connection.exec_driver_sql(
        "UPDATE account SET uidvalidity = ? WHERE account_id = ?", (chosen, account_id)
    )
    return int(chosen)


def uids_since(index: sqlite3.Connection, mailbox_id: int, uidnext: int) -> list[int]:
    """UIDs from `uidnext` on that the replaced shard has or had messages under."""
    found = index.execute(
        "SELECT uid FROM message WHERE mailbox_id = ? AND uid >= ?"
        " UNION SELECT uid FROM expunged WHERE mailbox_id = ? AND uid >= ? ORDER BY uid",
        (mailbox_id, uidnext, mailbox_id, uidnext),
    )
    return [uid for (uid,) in found]


def note_expunged(connection: Connection, row: MailboxRow, uids: Iterable[int]) -> None:
    rows = [(row.id, row.modseq, uid) for uid in uids]
    if rows:
        connection.exec_driver_sql(
            "INSERT INTO expunged (mailbox_id, modseq, uid) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", rows
        )
