"""What people may say of the way back: go it, leave it, close it. Synchronous: each is one transaction."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mailplat.core.errors import InvalidInput, NotFound
from mailplat.core.route import RouteState
from mailplat.directory import routes
from mailplat.directory import tables as directory
from migration import numbering, tables
from migration.ledger import CLOSED, PAUSED, Ledger, Move
from migration.origins import forget
from migration.shardmoves import ShardMoves

_move = tables.move


def moves_of(ledger: Ledger, domain: str) -> list[Move]:
    """Raises NotFound for a domain without a plan, InvalidInput for one that was closed."""
    moves = ledger.moves(domain)
    if not moves:
        raise NotFound(f"there is no plan for {domain}; make one: mailplat migrate plan {domain}")
    if moves[0].plan == CLOSED:
        raise InvalidInput(
            f"{domain} was closed: the legacy platform is not needed any more, and what the way back begins with was"
            " dropped. There is no rollback after `migrate close`"
        )
    return moves


def request_rollback(
    ledger: Ledger, domain: str, *, accept_new_uids: bool = False, deletions: int = 0
) -> int:
    """Every account of the domain that has moved; how many. The plan is paused: nothing of it moves on meanwhile, and
    who has gone back stays until `migrate resume`. Raises InvalidInput where one cannot go back."""
    moves = [each for each in moves_of(ledger, domain) if each.route.state is RouteState.NEW]
    if not moves:
        raise InvalidInput(f"no account of {domain} has moved here; there is nothing to roll back")
    between = ShardMoves(ledger.database, ledger.clock)
    busy = [each.address for each in between.moves(domain) if not each.is_over]
    if busy:
        raise InvalidInput(
            f"{busy[0]} is on its way to another shard; wait for that, or `migrate move --cancel`"
        )
    ids = [each.account_id for each in moves]
    with ledger.database.write() as connection:
        known = set(connection.execute(sa.select(tables.origin.c.account_id).distinct()).scalars())
        lost = [each.address for each in moves if each.account_id not in known]
        if lost:
            raise InvalidInput(f"{lost[0]} was moved by an older release that kept nothing to go back with")
        _set_plan(connection, domain, PAUSED)
        mine = sa.and_(_move.c.domain == domain, _move.c.account_id.in_(ids))
        # Sweeps would take for strays what goes back: the rounds back look for those themselves.
        values: dict[str, object] = {"rollback": True, "halted": "", "note": "", "sweep_at": 0.0}
        values |= {"deletions_allowed": deletions}
        if accept_new_uids:
            values["renumbering_allowed"] = True
        connection.execute(_move.update().where(_move.c.domain == domain).values(cutover=False))
        return int(connection.execute(_move.update().where(mine).values(**values)).rowcount)


def cancel_rollback(ledger: Ledger, domain: str) -> int:
    """Who has not gone back stays here; how many. What is on the backend by then stays there and is known."""
    moves_of(ledger, domain)
    with ledger.database.write() as connection:
        mine = sa.and_(_move.c.domain == domain, _move.c.rollback)
        text = "the way back was cancelled; late mail on the backend is looked for by another `rollback` only"
        values = {"rollback": False, "halted": "", "note": text}
        return int(connection.execute(_move.update().where(mine).values(**values)).rowcount)


def objections(moves: Sequence[Move]) -> list[str]:
    """What speaks against closing a domain, from the ledger alone."""
    found = []
    for each in moves:
        state = each.route.state
        if each.rollback:
            found.append(f"{each.address} is on its way back")
        elif state is not RouteState.NEW:
            found.append(f"{each.address} has not moved: it is {state.value}")
        elif not each.released:
            found.append(f"{each.address}: mail that was held is not let go yet")
        elif each.halted:
            found.append(f"{each.address} is halted: {each.halted}")
        elif each.sweep_at > 0.0:
            found.append(f"{each.address}: the legacy platform is still looked at for late mail")
    return found


def close(ledger: Ledger, domain: str) -> int:
    """NEW -> FINAL for all accounts of the domain, or for none; how many. Dropped with it: where the way back begins,
    the source's watermarks, the pin of the tombstones (a matter of the route's state). Raises InvalidInput where
    something speaks against it, StaleEpoch where an account's route changes meanwhile."""
    moves = moves_of(ledger, domain)
    if against := objections(moves):
        more = f" and {len(against) - 5} more" if len(against) > 5 else ""
        raise InvalidInput(f"{domain} cannot be closed: {'; '.join(against[:5])}{more}")
    with ledger.database.write() as connection:
        unplanned = connection.execute(
            sa.select(directory.account.c.local)
            .join(directory.route, directory.route.c.account_id == directory.account.c.id)
            .where(directory.account.c.domain == domain, directory.route.c.home.startswith("backend:"))
        ).scalars()
        if (left := unplanned.first()) is not None:
            raise InvalidInput(
                f"{domain} cannot be closed: {left}@{domain} lives on a backend and is in no plan"
            )
        for each in moves:
            routes.advance(connection, ledger.clock, each.route, RouteState.FINAL)
            forget(connection, each.account_id)
            numbering.forget(connection, each.account_id)
            connection.execute(
                tables.LEGACY.mailbox.delete().where(tables.LEGACY.mailbox.c.account_id == each.account_id)
            )
        connection.execute(_move.update().where(_move.c.domain == domain).values(password_then="", note=""))
        _set_plan(connection, domain, CLOSED)
    return len(moves)


def _set_plan(connection: Connection, domain: str, state: str) -> None:
    connection.execute(tables.plan.update().where(tables.plan.c.domain == domain).values(state=state))
