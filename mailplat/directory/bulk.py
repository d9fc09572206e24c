"""Accounts and aliases, many in one transaction: what `account add` and `alias add` do, without a commit for each.

The caller has the transaction, and has asked `known_domains`. The database refuses a second account or alias of one
name by IntegrityError, and then nothing of the transaction is kept.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mailplat.core.address import Address
from mailplat.core.route import BackendHome, Home, RouteState
from mailplat.directory import routes
from mailplat.directory.tables import account, alias, domain, share

# Names in one SELECT or DELETE, below what either database takes as parameters of a statement.
MOST = 500


@dataclass(frozen=True, slots=True)
class NewAccount:
    address: Address
    password_hash: str = field(default="", repr=False)
    quota: int = 0
    active: bool = True


def known_domains(connection: Connection, names: Collection[str]) -> set[str]:
    """Those that are ours."""
    return set(connection.execute(sa.select(domain.c.name).where(domain.c.name.in_(names))).scalars())


def insert_accounts(connection: Connection, new: Sequence[NewAccount], home: Home) -> dict[str, int]:
    """With their routes, FINAL when the home is a shard, LEGACY when it is a backend. Numbers by Address.key."""
    if not new:
        return {}
    rows = [
        {
            "key": each.address.key,
            "local": each.address.local,
            "domain": each.address.domain,
            "password_hash": each.password_hash,
            "quota": each.quota,
            "active": each.active,
        }
        for each in new
    ]
    made = connection.execute(account.insert().returning(account.c.key, account.c.id), rows)
    numbers = {key: int(number) for key, number in made}
    state = RouteState.LEGACY if isinstance(home, BackendHome) else RouteState.FINAL
    routes.insert_all(connection, [numbers[row["key"]] for row in rows], home, state)
    return numbers


def change_accounts(connection: Connection, changes: Mapping[int, Mapping[str, object]]) -> None:
    """Columns by account; one that is gone is passed over."""
    alike: defaultdict[tuple[str, ...], list[dict[str, object]]] = defaultdict(list)
    for number, values in changes.items():
        if values:
            alike[tuple(sorted(values))].append(
                {"whose": number, **{f"new_{k}": v for k, v in values.items()}}
            )
    for names, rows in alike.items():
        change = account.update().where(account.c.id == sa.bindparam("whose"))
        connection.execute(change.values({name: sa.bindparam(f"new_{name}") for name in names}), rows)


def remove_accounts(connection: Connection, numbers: Sequence[int]) -> None:
    """With what others shared with them (Directory.remove_account)."""
    for start in range(0, len(numbers), MOST):
        some = numbers[start : start + MOST]
        connection.execute(account.delete().where(account.c.id.in_(some)))
        connection.execute(share.delete().where(share.c.grantee_id.in_(some)))


def put_aliases(connection: Connection, targets: Mapping[str, Sequence[Address]]) -> None:
    """By source, Address.key or "@domain", in the place of what they lead to now. Sources and targets are in domains
    of ours, and no target is there twice."""
    remove_aliases(connection, list(targets))
    rows = [
        {
            "source": source,
            "position": position,
            "domain": source.rpartition("@")[2],
            "target_local": target.local,
            "target_domain": target.domain,
        }
        for source, each in targets.items()
        for position, target in enumerate(each)
    ]
    if rows:
        connection.execute(alias.insert(), rows)


def remove_aliases(connection: Connection, sources: Sequence[str]) -> None:
    for start in range(0, len(sources), MOST):
        connection.execute(alias.delete().where(alias.c.source.in_(sources[start : start + MOST])))
