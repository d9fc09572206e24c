"""Out of the vault: rows whose days are over, what an account has beyond its limit, and what an admin purges. Files
go behind the commit (sweeper.py)."""

from collections.abc import Sequence
from functools import partial

from sqlalchemy.engine import Connection

from mailplat.core.errors import InvalidInput
from mailplat.store.accounts import leave
from mailplat.store.site import Site
from mailplat.store.vault.folders import FILE, FOLDER
from mailplat.store.vault.owner import find_owner, insert_owner, is_held, read_owner, vault_path
from mailplat.store.vault.place import box_path, place_waiting

# Rows in one transaction, and transactions in one round: a day's worth goes within some rounds, and other writers
# wait for no more than a batch.
_BATCH = 500
_BATCHES = 10

_DAY = 86_400

# Files that have not moved yet will, within seconds: the next round has them.
_OLD = (
    "SELECT v.id, v.account_id, v.mailbox_id, v.name FROM vault v WHERE v.at < ? AND v.placed = 1 AND NOT EXISTS"
    " (SELECT 1 FROM vault_owner o WHERE o.account_id = v.account_id AND o.held_at IS NOT NULL)"
    " ORDER BY v.at LIMIT ?"
)

_GONE = (
    "SELECT account_id FROM vault_owner o WHERE removed_at IS NOT NULL AND held_at IS NULL AND NOT EXISTS"
    " (SELECT 1 FROM vault v WHERE v.account_id = o.account_id)"
    " AND NOT EXISTS (SELECT 1 FROM account a WHERE a.account_id = o.account_id AND a.closed = 0)"
)

Row = Sequence[int | str]


def prune(site: Site, since: int = 0) -> int:
    """One round: the oldest first. Returns how many; 0 when there is nothing to do. `since` (Unix time): accounts
    whose vault got nothing since then are known to be within the limit. Raises DiskFull, Unavailable."""
    before = int(site.clock.now() - site.limits.vault_days * _DAY)
    removed = 0
    for _ in range(_BATCHES):
        with site.read() as connection:
            if connection.exec_driver_sql(_OLD, (before, 1)).fetchone() is None:
                break
        removed += site.write(lambda connection: _prune_some(site, connection, before), alone=True)
    for account_id in _crowded(site, since):
        removed += site.write(partial(_trim_some, site, account_id=account_id), alone=True)
    with site.read() as connection:
        gone = connection.exec_driver_sql(_GONE).fetchone()
    if gone is not None:
        site.write(lambda connection: _forget_owners(site, connection), alone=True)
    return removed


def _crowded(site: Site, since: int) -> list[int]:
    """Accounts that have more in the vault than limits.vault_octets."""
    most = site.limits.vault_octets
    if not most:
        return []
    with site.read() as connection:
        touched = connection.exec_driver_sql(
            "SELECT DISTINCT account_id FROM vault WHERE at >= ?", (since,)
        ).fetchall()
        return [account_id for (account_id,) in touched if _octets(connection, account_id) > most]


def _octets(connection: Connection, account_id: int) -> int:
    (octets,) = connection.exec_driver_sql(
        "SELECT coalesce(sum(size), 0) FROM vault WHERE account_id = ?", (account_id,)
    ).one()
    return int(octets)


def _trim_some(site: Site, connection: Connection, account_id: int) -> int:
    """The eldest of one account, a batch at most. A hold keeps all."""
    if _held(site, connection, account_id):
        return 0
    beyond = _octets(connection, account_id) - site.limits.vault_octets
    eldest = connection.exec_driver_sql(
        "SELECT id, account_id, mailbox_id, name, size FROM vault WHERE account_id = ? AND placed = 1"
        " ORDER BY at, id LIMIT ?",
        (account_id, _BATCH),
    )
    rows: list[Row] = []
    for row in eldest.fetchall():
        if beyond <= 0:
            break
        rows.append(row[:4])
        beyond -= row[4]
    remove_rows(site, connection, rows)
    return len(rows)


def purge(site: Site, account_id: int, numbers: Sequence[int] | None = None) -> int:
    """At once, whatever the days: these rows, or all that the account has here. Returns how many. Raises
    InvalidInput under a legal hold."""

    place_waiting(site)
    with site.read() as connection:
        found = connection.exec_driver_sql(
            "SELECT id FROM vault WHERE account_id = ? AND placed = 1", (account_id,)
        ).fetchall()
    wanted = None if numbers is None else set(numbers)
    doomed = [number for (number,) in found if wanted is None or number in wanted]

    def apply(connection: Connection, some: Sequence[int]) -> int:
        if _held(site, connection, account_id):
            raise InvalidInput(
                f"shard {site.name}: account {account_id} is under a legal hold; nothing is purged"
            )
        marks = ", ".join("?" * len(some))
        rows = connection.exec_driver_sql(
            f"SELECT id, account_id, mailbox_id, name FROM vault WHERE id IN ({marks})", tuple(some)
        ).fetchall()
        remove_rows(site, connection, rows)
        _forget_owners(site, connection)
        return len(rows)

    removed = 0
    for start in range(0, max(len(doomed), 1), _BATCH):  # once where there is nothing: a hold is still said
        some = doomed[start : start + _BATCH]
        removed += site.write(partial(apply, some=some), alone=True)
    return removed


def take_out(site: Site, connection: Connection, numbers: Sequence[int]) -> None:
    """Rows that were restored: gone from here, but counted under a hold, which keeps them."""
    for number in numbers:
        row = connection.exec_driver_sql(
            "SELECT id, account_id, mailbox_id, name FROM vault WHERE id = ?", (number,)
        ).fetchone()
        if row is None:
            continue
        if _held(site, connection, row[1]):
            connection.exec_driver_sql("UPDATE vault SET restored = restored + 1 WHERE id = ?", (number,))
        else:
            remove_rows(site, connection, [row])


def _prune_some(site: Site, connection: Connection, before: int) -> int:
    found = connection.exec_driver_sql(_OLD, (before, _BATCH)).fetchall()
    held = {account for account in {row[1] for row in found} if _held(site, connection, account)}
    rows = [row for row in found if row[1] not in held]
    remove_rows(site, connection, rows)
    return len(rows)


def _held(site: Site, connection: Connection, account_id: int) -> bool:
    """By the index, or by the file: an index that was rolled back may not know, and is told."""
    if is_held(connection, account_id):
        return True
    owner = read_owner(site.path / vault_path(account_id), account_id)
    if owner is None or owner.held_at is None:
        return False
    insert_owner(connection, owner)
    return True


def remove_rows(site: Site, connection: Connection, rows: Sequence[Row]) -> None:
    """Rows now, files behind the commit; and the folders of mailboxes that are gone and have nothing left here."""
    if not rows:
        return
    for account_id in {int(row[1]) for row in rows}:
        paths = [str(box_path(account_id, int(row[2])) / str(row[3])) for row in rows if row[1] == account_id]
        leave(site, connection, account_id, FILE, paths)
    connection.exec_driver_sql("DELETE FROM vault WHERE id = ?", [(row[0],) for row in rows])
    for account_id, mailbox_id in {(int(row[1]), int(row[2])) for row in rows}:
        left = connection.exec_driver_sql(
            "SELECT 1 FROM mailbox WHERE id = ?"
            " UNION ALL SELECT 1 FROM vault WHERE account_id = ? AND mailbox_id = ?",
            (mailbox_id, account_id, mailbox_id),
        ).fetchone()
        if left is None:
            leave(site, connection, account_id, FOLDER, [str(box_path(account_id, mailbox_id))])


def _forget_owners(site: Site, connection: Connection) -> None:
    """Removed accounts that have nothing left here and are not held."""
    for (account_id,) in connection.exec_driver_sql(_GONE).fetchall():
        if find_owner(connection, account_id).held_at is None and not _held(site, connection, account_id):
            connection.exec_driver_sql("DELETE FROM vault_owner WHERE account_id = ?", (account_id,))
            leave(site, connection, account_id, FOLDER, [str(vault_path(account_id))])
