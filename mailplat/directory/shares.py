"""Who shares mailboxes with whom: where a session has to look for what others share with it (RFC 4314).

A row says that a grantee may have rights on a mailbox of an owner; which rights, on which mailbox, says the owner's
shard alone (store/acl.py), and who trusts a row without looking there is wrong. Rows are no truth but a way to it:
they are made before a right is given in the shard, and go when none is left. What is true after a crash:

    step                        what is there, and what comes of it
    before the row              nothing
    row, no right yet           a row too many: its reader finds no right in the shard, and nothing is shown
    right given                 both
    right taken, row not yet    a row too many, as above
    row gone                    nothing

A row that is younger than GRACE_S is never dropped: the right that it was made for may be on its way. So none is
missing but where the platform's database comes from a backup that is older than the shard; `restore` and `rebuild`
of a shard make its rows anew (`put_all`).
"""

from collections.abc import Collection, Iterable

import sqlalchemy as sa

from mailplat.core.clock import Clock
from mailplat.db.engine import Database
from mailplat.directory.directory import RESIDENTS, to_login
from mailplat.directory.tables import account
from mailplat.directory.tables import share as table
from mailplat.directory.types import Account, Login

# Instead of an account's number: all accounts of the owner's domain.
ANYONE = 0

# Between the row and the commit in the shard lies one call of the store, which may wait for a disk.
GRACE_S = 3600.0


class Shares:
    """Synchronous and thread-safe: call it in executor "directory". Raises Unavailable."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def put(self, owner_id: int, grantee_id: int) -> None:
        """Before the right is given in the shard."""
        self.put_all([(owner_id, grantee_id)])

    def put_all(self, pairs: Iterable[tuple[int, int]]) -> None:
        """(owner, grantee); owners that there are not are passed over."""
        now = self._clock.now()
        with self._database.write() as connection:
            for owner_id, grantee_id in pairs:
                mine = sa.and_(table.c.owner_id == owner_id, table.c.grantee_id == grantee_id)
                if connection.execute(table.update().where(mine).values(at=now)).rowcount:
                    continue
                there = sa.select(
                    account.c.id, sa.literal(grantee_id), account.c.domain, sa.literal(now)
                ).where(account.c.id == owner_id)
                insert = table.insert().from_select(["owner_id", "grantee_id", "domain", "at"], there)
                connection.execute(insert)

    def keep(self, owner_id: int, grantees: Collection[int]) -> None:
        """After a right was taken: these still have one, the rows of others go."""
        old = sa.and_(table.c.owner_id == owner_id, table.c.at < self._clock.now() - GRACE_S)
        with self._database.write() as connection:
            connection.execute(table.delete().where(old, table.c.grantee_id.not_in(list(grantees))))

    def owners(self, who: Account, *, across: bool, limit: int) -> list[Login]:
        """Who may share something with `who`, by address. `across`: other domains may too."""
        query = _shared_with(who, across).order_by(account.c.domain, account.c.key).limit(limit)
        with self._database.read() as connection:
            return [to_login(*row) for row in connection.execute(query)]

    def owner(self, key: str, who: Account, *, across: bool) -> Login | None:
        """The account of this Address.key, where it may share something with `who`."""
        query = _shared_with(who, across).where(account.c.key == key)
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else to_login(*row)


def _shared_with(who: Account, across: bool) -> sa.Select[tuple[object, ...]]:
    """Accounts with their routes. One that is suspended shares nothing. From the rows to the accounts, by index: how
    many accounts there are, or rows of others, does not matter."""
    domain = who.address.domain
    mine = sa.select(table.c.owner_id).where(table.c.grantee_id == who.id)
    anyone = sa.select(table.c.owner_id).where(table.c.grantee_id == ANYONE, table.c.domain == domain)
    owners = account.c.id.in_(sa.union_all(mine, anyone))
    query = RESIDENTS.where(owners, account.c.active, account.c.id != who.id)
    return query if across else query.where(account.c.domain == domain)
