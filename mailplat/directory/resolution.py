"""Who gets mail for an address: accounts, aliases, lists of targets, catch-alls (asked at every RCPT)."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mailplat.core.address import Address
from mailplat.core.errors import InvalidInput
from mailplat.core.quota import Quota
from mailplat.directory import routes
from mailplat.directory.tables import account, alias, domain, route
from mailplat.directory.types import Resolution, Target

# An alias may point to an alias; a chain this long is a mistake, and what it leads to is not delivered.
MAX_DEPTH = 10

# Accounts that one address may lead to. Longer lists belong to a list manager, which handles their bounces.
MAX_TARGETS = 1000

_FIND = (
    sa.select(
        account.c.key,
        account.c.id,
        account.c.local,
        account.c.domain,
        account.c.quota,
        domain.c.quota,
        account.c.active,
        *routes.COLUMNS,
    )
    .join(domain, domain.c.name == account.c.domain)
    .join(route, route.c.account_id == account.c.id)
    .where(account.c.key.in_(sa.bindparam("keys", expanding=True)))
)
_ALIASES = (
    sa.select(alias.c.source, alias.c.target_local, alias.c.target_domain)
    .where(alias.c.source.in_(sa.bindparam("keys", expanding=True)))
    .order_by(alias.c.source, alias.c.position)
)
_DOMAIN = sa.select(sa.literal(1)).where(domain.c.name == sa.bindparam("name"))


def resolve(connection: Connection, address: Address) -> Resolution:
    """The targets of an address, each account once, in the order of the aliases.

    An alias of an account's own address is its forward: mail goes to the alias's targets, and to the account too
    where it is one of them. An exact alias beats the catch-all of its domain, and so does an account, active or not;
    an inactive account takes no mail. Loops between aliases are ignored. Raises InvalidInput when the address leads
    to more than MAX_TARGETS."""
    found: dict[int, Target] = {}
    seen: set[str] = set()
    level = {address.key: address}
    kept: set[str] = set()  # accounts that are targets of their own forward
    for _ in range(MAX_DEPTH):
        if not level:
            break
        seen |= level.keys()
        accounts = _accounts(connection, level)
        lists = _lists(connection, [key for key in level if key not in kept])
        following: dict[str, Address] = {}
        for key, item in level.items():
            targets = lists.get(key, [])
            if not targets and key in accounts:
                account_id, target = accounts[key]
                if target is not None:
                    found.setdefault(account_id, target)
                continue
            if key in kept:
                continue
            for each in targets or lists.get(f"@{item.domain}", []):
                if each.key == key:
                    kept.add(key)
                if each.key == key or each.key not in seen:
                    following[each.key] = each
        level = following
        if len(found) + len(level) > MAX_TARGETS:
            raise InvalidInput(
                f"{address} leads to more than {MAX_TARGETS} accounts; use a list manager for it"
            )
    if found:
        return Resolution(tuple(found.values()), True)
    return Resolution((), connection.execute(_DOMAIN, {"name": address.domain}).first() is not None)


def _accounts(connection: Connection, level: dict[str, Address]) -> dict[str, tuple[int, Target | None]]:
    """By key; without a Target where the account is not active."""
    return {
        key: (
            account_id,
            Target(Address(local, at), account_id, Quota(quota, at, pool), routes.from_row(*rest))
            if active
            else None,
        )
        for key, account_id, local, at, quota, pool, active, *rest in connection.execute(
            _FIND, {"keys": list(level)}
        )
    }


def _lists(connection: Connection, keys: Sequence[str]) -> dict[str, list[Address]]:
    """Targets of these addresses and of their domains' catch-alls, in one select."""
    if not keys:
        return {}
    sources = {*keys, *(f"@{key.rpartition('@')[2]}" for key in keys)}
    found: dict[str, list[Address]] = {}
    for source, local, at in connection.execute(_ALIASES, {"keys": list(sources)}):
        found.setdefault(source, []).append(Address(local, at))
    return found
