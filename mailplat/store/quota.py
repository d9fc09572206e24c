"""Quota: what an account and its pool (all accounts of its domain) may keep, counted and asked in the transaction
that brings a message or takes it away; and the levels at which somebody is warned.

    account.pool    whose octets these are too. Each append says it (Quota.pool), a login does, and who upgrades gets
                    it from the directory; mailplat-account.json keeps it
    pool            totals of this shard's accounts by domain; those of other shards are added when a limit is asked
                    (pools.py)
    account.warned, pool.warned   the level that was reached last. Reaching a higher one than was told and is true is
                    a crossing: a row of `quota_warning` is due in the same transaction, so that no crash forgets it,
                    and delivery/warning.py sends it behind the client's back

How far a limit may be passed: an account's not at all, nor a pool's within one shard. A pool over several shards by
what the others took since they were read last, POOL_LEASE_S ago (pools.py): the price of shards that do not wait for
each other. A pool is a contract about gigabytes; that the disk does not fill is seen to by limits.reserve.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy.engine import Connection

from mailplat.core.errors import OverQuota
from mailplat.core.quota import Quota
from mailplat.core.route import Residence
from mailplat.db.driver import change, fetch_one
from mailplat.store.site import Site, Standing

# An account that hovers about a level is not warned more often than this, each level by itself.
AGAIN_S = 86_400

_NOTE = (
    "INSERT INTO quota_warning (account_id, pool, level, at, due) VALUES (?, ?, ?, ?, 1)"
    " ON CONFLICT (account_id, pool, level) DO UPDATE SET at = excluded.at, due = 1"
    f" WHERE due = 0 AND at <= excluded.at - {AGAIN_S}"
)
_COUNT_POOL = (
    "INSERT INTO pool (domain, octets, messages, warned) VALUES (?, ?, ?, 0) ON CONFLICT (domain) DO UPDATE SET"
    " octets = octets + excluded.octets, messages = messages + excluded.messages"
)


class Fill(NamedTuple):
    """What is there, and what may be; both in octets."""

    octets: int
    limit: int


@dataclass(frozen=True, slots=True)
class Crossing:
    """A level that was reached and that nobody was told of yet: an account's, or a pool's (account_id 0)."""

    account_id: int
    pool: str  # "" for an account's own
    level: int  # percent
    at: int  # Unix seconds


def admit(
    site: Site,
    connection: Connection,
    account_id: int,
    standing: Standing,
    octets: int,
    messages: int,
    quota: Quota,
    elsewhere: int,
) -> None:
    """Count what comes in, in the transaction that inserts it. `elsewhere`: octets of the pool in other shards.
    Raises OverQuota."""
    check_account(account_id, standing.octets, octets, quota)
    pool = Standing(0, 0, "", 0)
    if quota.pool and quota.pool != standing.pool:
        join_pool(connection, account_id, quota.pool)
    if quota.pool_octets:
        pool = _pool(connection, quota.pool, elsewhere)
        check_pool(pool.octets, octets, quota)
    add_usage(connection, account_id, octets, messages)
    if quota.account:
        fill = Fill(standing.octets, quota.account)
        reached = _watch(site, connection, (account_id, ""), fill, octets, standing.warned)
        if reached != standing.warned:
            connection.exec_driver_sql(
                "UPDATE account SET warned = ? WHERE account_id = ?", (reached, account_id)
            )
    if quota.pool_octets:
        fill = Fill(pool.octets, quota.pool_octets)
        reached = _watch(site, connection, (0, quota.pool), fill, octets, pool.warned)
        if reached != pool.warned:
            connection.exec_driver_sql("UPDATE pool SET warned = ? WHERE domain = ?", (reached, quota.pool))


def add_usage(connection: Connection, account_id: int, octets: int, messages: int) -> None:
    """What came (or, below zero, went), for the account and its pool."""
    row = fetch_one(
        connection,
        "UPDATE account SET octets = octets + ?, messages = messages + ? WHERE account_id = ? RETURNING pool",
        (octets, messages, account_id),
    )
    if row is not None and row[0]:
        change(connection, _COUNT_POOL, (row[0], octets, messages))


def join_pool(connection: Connection, account_id: int, pool: str) -> None:
    """From now on the account is counted there, with all that it has."""
    row = connection.exec_driver_sql(
        "SELECT octets, messages, pool FROM account WHERE account_id = ?", (account_id,)
    ).fetchone()
    if row is None or row[2] == pool:
        return
    if row[2]:
        connection.exec_driver_sql(_COUNT_POOL, (row[2], -row[0], -row[1]))
    connection.exec_driver_sql(_COUNT_POOL, (pool, row[0], row[1]))
    connection.exec_driver_sql(
        "UPDATE account SET pool = ?, described = 0 WHERE account_id = ?", (pool, account_id)
    )


def check_account(account_id: int, used: int, added: int, quota: Quota) -> None:
    """Raises OverQuota."""
    if quota.account and used + added > quota.account:
        raise OverQuota(
            f"account {account_id} uses {used} of {quota.account} octets; {added} more do not fit"
        )


def check_pool(used: int, added: int, quota: Quota) -> None:
    """Raises OverQuota."""
    if quota.pool_octets and used + added > quota.pool_octets:
        raise OverQuota(
            f"domain {quota.pool} uses {used} of {quota.pool_octets} octets; {added} more do not fit",
            pool=quota.pool,
        )


def check_room(site: Site, residence: Residence, octets: int, quota: Quota) -> None:
    """Whether a message of so many octets would fit now, 0 for one whose size is not known. Nothing is counted; the
    append asks again. Raises OverQuota, DiskFull, Unavailable."""
    site.check_space(octets)
    if not (quota.account or quota.pool_octets):
        return
    elsewhere = site.elsewhere(quota)
    with site.read() as connection:
        row = connection.exec_driver_sql(
            "SELECT octets FROM account WHERE account_id = ?", (residence.account_id,)
        ).fetchone()
        pool = _pool(connection, quota.pool, elsewhere)
    check_account(residence.account_id, row[0] if row else 0, max(octets, 1), quota)
    check_pool(pool.octets, max(octets, 1), quota)


def _pool(connection: Connection, domain: str, elsewhere: int) -> Standing:
    """With what it has in other shards."""
    row = connection.exec_driver_sql(
        "SELECT octets, messages, warned FROM pool WHERE domain = ?", (domain,)
    ).fetchone()
    octets, messages, warned = row if row is not None else (0, 0, 0)
    return Standing(octets + elsewhere, messages, domain, warned)


# levels


def _watch(
    site: Site, connection: Connection, whose: tuple[int, str], fill: Fill, added: int, warned: int
) -> int:
    """The level that is reached now, noting a crossing. `warned` may be higher than what is true: mail was removed or
    the quota raised; or lower: the quota was lowered."""
    levels = site.limits.quota_warn
    reached = _level(levels, fill.octets + added, fill.limit)
    if reached > min(warned, _level(levels, fill.octets, fill.limit)):
        connection.exec_driver_sql(_NOTE, (*whose, reached, int(site.clock.now())))
    return reached


def _level(levels: tuple[int, ...], octets: int, limit: int) -> int:
    return max((level for level in levels if octets * 100 >= level * limit), default=0)


def due(site: Site, limit: int) -> list[Crossing]:
    """The oldest that nobody was told of yet."""
    with site.read() as connection:
        found = connection.exec_driver_sql(
            "SELECT account_id, pool, level, at FROM quota_warning WHERE due = 1 ORDER BY at LIMIT ?",
            (limit,),
        )
        return [Crossing(*row) for row in found.fetchall()]


def settle(site: Site, crossing: Crossing, *, told: bool) -> None:
    """Nothing is due any more; after `told` not again within AGAIN_S. What was crossed anew meanwhile stays due."""
    key = (crossing.account_id, crossing.pool, crossing.level, crossing.at)
    where = "WHERE account_id = ? AND pool = ? AND level = ? AND at = ?"

    def apply(connection: Connection) -> None:
        if told:
            connection.exec_driver_sql(f"UPDATE quota_warning SET due = 0 {where}", key)
            oldest = int(site.clock.now()) - AGAIN_S
            connection.exec_driver_sql("DELETE FROM quota_warning WHERE due = 0 AND at < ?", (oldest,))
        else:
            connection.exec_driver_sql(f"DELETE FROM quota_warning {where}", key)

    site.write(apply)


def first_crossing(site: Site, crossing: Crossing) -> int:
    """When this shard reached a pool's level within the day before; `crossing.at` where it did not."""
    with site.read() as connection:
        found = connection.exec_driver_sql(
            "SELECT min(at) FROM quota_warning WHERE account_id = 0 AND pool = ? AND level = ? AND at > ?",
            (crossing.pool, crossing.level, crossing.at - AGAIN_S),
        ).scalar()
    return crossing.at if found is None else min(int(found), crossing.at)


# readings


def usages(site: Site) -> dict[int, int]:
    """Octets by account."""
    with site.read() as connection:
        found = connection.exec_driver_sql("SELECT account_id, octets FROM account WHERE closed = 0")
        return {row[0]: row[1] for row in found}


def pools(site: Site) -> dict[str, int]:
    """Octets by domain, in this shard."""
    with site.read() as connection:
        found = connection.exec_driver_sql("SELECT domain, octets FROM pool")
        return {row[0]: row[1] for row in found}


def pool_octets(site: Site, domain: str) -> int:
    with site.read() as connection:
        return _pool(connection, domain, 0).octets


def poolless(site: Site, beyond: int, limit: int) -> list[int]:
    """Accounts whose domain is not known here, with numbers above `beyond`."""
    with site.read() as connection:
        found = connection.exec_driver_sql(
            "SELECT account_id FROM account WHERE pool = '' AND closed = 0 AND account_id > ?"
            " ORDER BY account_id LIMIT ?",
            (beyond, limit),
        )
        return [account_id for (account_id,) in found]


def assign_pools(site: Site, domains: Mapping[int, str]) -> None:
    """What the directory says of accounts whose domain is not known here."""

    def apply(connection: Connection) -> None:
        for account_id, domain in domains.items():
            join_pool(connection, account_id, domain)

    site.write(apply)
    site.changed.set()
