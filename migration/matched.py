"""Domains that a moved one can be compared with: of the same backend, none of whose accounts has moved."""

import sqlalchemy as sa

from mailplat.core.errors import InvalidInput, NotFound
from mailplat.core.route import BackendHome, RouteState
from mailplat.db.engine import Database
from mailplat.directory import tables as directory
from migration.ledger import Move

# The account lives on the backend, and users notice nothing yet.
_UNMOVED = (RouteState.LEGACY, RouteState.SEEDING, RouteState.TRACKING, RouteState.READY)


def matched(database: Database, backend: str) -> list[str]:
    """By name. Raises Unavailable."""
    home, state, domain = directory.route.c.home, directory.route.c.state, directory.account.c.domain
    there = sa.and_(home == str(BackendHome(backend)), state.in_([each.value for each in _UNMOVED]))
    query = (
        sa.select(domain)
        .join(directory.route, directory.route.c.account_id == directory.account.c.id)
        .group_by(domain)
        .having(sa.func.min(sa.case((there, 1), else_=0)) == 1)
        .order_by(domain)
    )
    with database.read() as connection:
        return list(connection.execute(query).scalars())


def moved_at(domain: str, moves: list[Move]) -> float:
    """When the first of its accounts did (Unix time). Raises NotFound for a domain without a plan, InvalidInput for
    one of which none has moved."""
    if not moves:
        raise NotFound(f"there is no plan for {domain}; make one: mailplat migrate plan {domain}")
    times = [move.moved for move in moves if move.moved > 0.0]
    if not times:
        raise InvalidInput(f"no account of {domain} has moved yet: there is nothing to compare")
    return min(times)
