"""Quotas of accounts and of their domains: changed in bulk, summed, and read again and again by long sessions."""

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Connection

from mailplat.core.errors import NotFound, Unavailable
from mailplat.core.quota import Quota
from mailplat.directory.tables import account

log = structlog.get_logger("directory")

# Keys that one SELECT asks for, below what either database takes as parameters of a statement.
_KEYS = 500

# Seconds for which a session goes by a quota that it has read. An admin who changes one does not wait longer, and a
# client that uploads a folder asks the database once and not a thousand times.
LEASE_S = 5.0

# Accounts remembered in one process, some 200 octets each.
_REMEMBERED = 20_000


@dataclass(frozen=True, slots=True)
class Promised:
    """What the accounts of a domain may keep by their own quotas."""

    accounts: int = 0
    octets: int = 0
    unlimited: int = 0  # accounts without a quota: `octets` does not speak of them


def unknown(connection: Connection, keys: Sequence[str]) -> list[str]:
    """Those that are no account's Address.key."""
    known: set[str] = set()
    for start in range(0, len(keys), _KEYS):
        found = connection.execute(
            sa.select(account.c.key).where(account.c.key.in_(keys[start : start + _KEYS]))
        )
        known.update(key for (key,) in found)
    return [key for key in keys if key not in known]


def set_many(connection: Connection, quotas: Mapping[str, int]) -> list[str]:
    """By Address.key. Returns the keys that are no account's; where there are any, nothing is changed."""
    missing = unknown(connection, list(quotas))
    if quotas and not missing:
        change = account.update().where(account.c.key == sa.bindparam("whose"))
        connection.execute(
            change.values(quota=sa.bindparam("octets")),
            [{"whose": key, "octets": octets} for key, octets in quotas.items()],
        )
    return missing


def set_domain(connection: Connection, domain: str, quota: int) -> int:
    """The same for every account of a domain; how many there are."""
    return connection.execute(account.update().where(account.c.domain == domain).values(quota=quota)).rowcount


def promised(connection: Connection) -> dict[str, Promised]:
    """By domain, for those that have accounts."""
    unlimited = sa.func.sum(sa.case((account.c.quota == 0, 1), else_=0))
    query = sa.select(
        account.c.domain, sa.func.count(), sa.func.coalesce(sa.func.sum(account.c.quota), 0), unlimited
    ).group_by(account.c.domain)
    return {
        domain: Promised(count, int(octets), int(without))
        for domain, count, octets, without in connection.execute(query)
    }


def domains_of(connection: Connection, account_ids: Collection[int]) -> dict[int, str]:
    """By account, of those that there are."""
    found: dict[int, str] = {}
    ids = list(account_ids)
    for start in range(0, len(ids), _KEYS):
        some = ids[start : start + _KEYS]
        query = sa.select(account.c.id, account.c.domain).where(account.c.id.in_(some))
        found.update((number, domain) for number, domain in connection.execute(query))
    return found


class CurrentQuotas:
    """An account's quota as it is now, or was LEASE_S ago at most. For threads; one for a process."""

    def __init__(self, read: Callable[[int], Quota], monotonic: Callable[[], float]) -> None:
        self._read = read
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._known: dict[int, tuple[Quota, float]] = {}

    def remembered(self, account_id: int) -> Quota | None:
        """Without asking the database; None where it has to be asked. For the event loop too."""
        with self._lock:
            known = self._known.get(account_id)
        return known[0] if known is not None and self._monotonic() - known[1] < LEASE_S else None

    def of(self, account_id: int, before: Quota) -> Quota:
        """`before`: what the caller knew last. It holds on while the database cannot answer: who is logged in works
        on without it, and an old limit is still a limit. So it does for an account that was removed: the store
        refuses its writes anyway."""
        current = self.remembered(account_id)
        if current is not None:
            return current
        now = self._monotonic()
        try:
            quota = self._read(account_id)
        except (NotFound, Unavailable) as error:
            with self._lock:
                quota = self._known.get(account_id, (before, now))[0]
            log.warning("quota not read again; the last one holds", account=account_id, reason=str(error))
        with self._lock:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[account_id] = quota, now
        return quota
