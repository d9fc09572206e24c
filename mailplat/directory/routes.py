"""The route rows: read by every door, changed by compare-and-set only.

Each change takes the next number of one sequence inside its own transaction. The row of the sequence is locked
until the commit, so that numbers become visible in their order: a watcher that has read up to N has missed nothing.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mailplat.core.clock import Clock
from mailplat.core.errors import NotFound, StaleEpoch
from mailplat.core.route import Home, Route, RouteState, check_transition, parse_home
from mailplat.directory.tables import route as table
from mailplat.directory.tables import route_change

COLUMNS = (table.c.account_id, table.c.home, table.c.epoch, table.c.state, table.c.fence_deadline)

# Commits that must not happen after the fence's deadline: by then the doors may serve the old home again.
_BEFORE_DEADLINE = frozenset(
    {(RouteState.FENCED, RouteState.NEW), (RouteState.ROLLBACK_FENCED, RouteState.LEGACY)}
)


# Until the route is FINAL what happened in the shard may have to be told to the platform that it came from.
_WAY_BACK = frozenset(
    each.value for each in (RouteState.NEW, RouteState.ROLLBACK_FENCED, RouteState.SHARD_FENCED)
)


def _is_commit(route: Route, state: RouteState, home: Home | None) -> bool:
    """Between shards only the home tells a commit from a fence that is taken back."""
    if route.state is RouteState.SHARD_FENCED:
        return home is not None and home != route.home
    return (route.state, state) in _BEFORE_DEADLINE


def keeps_traces(connection: Connection, account_id: int) -> bool:
    """Whether the account can go back to a backend, so that its shard has to remember all that was expunged."""
    state = connection.execute(sa.select(table.c.state).where(table.c.account_id == account_id)).scalar()
    return state in _WAY_BACK


def from_row(account_id: int, home: str, epoch: int, state: str, fence_deadline: float) -> Route:
    """A row of COLUMNS as a Route."""
    return Route(account_id, parse_home(home), epoch, RouteState(state), fence_deadline)


def read(connection: Connection, account_id: int) -> Route:
    """Raises NotFound: there is no default home."""
    row = connection.execute(sa.select(*COLUMNS).where(table.c.account_id == account_id)).one_or_none()
    if row is None:
        raise NotFound(f"account {account_id} has no route; it was removed, or never added")
    return from_row(*row)


def insert(connection: Connection, account_id: int, home: Home, state: RouteState, *, epoch: int = 1) -> None:
    connection.execute(
        table.insert().values(
            account_id=account_id,
            home=str(home),
            epoch=epoch,
            state=state.value,
            fence_deadline=0.0,
            changed=next_change(connection),
        )
    )


def insert_all(connection: Connection, account_ids: Sequence[int], home: Home, state: RouteState) -> None:
    """Of accounts that have just got their numbers, at epoch 1. Nothing of theirs can be under way in any process, so
    that nobody is told: thousands at once, each a transaction in each process, would keep every fence waiting."""
    row = {"home": str(home), "epoch": 1, "state": state.value, "fence_deadline": 0.0, "changed": 0}
    connection.execute(table.insert(), [{**row, "account_id": number} for number in account_ids])


def advance(
    connection: Connection,
    clock: Clock,
    route: Route,
    state: RouteState,
    *,
    home: Home | None = None,
    fence_deadline: float = 0.0,
) -> Route:
    """One step of the state machine, in the caller's transaction: the row must still have the epoch and the state
    of `route`. Returns the new route, its epoch one higher. Raises StaleEpoch when the row has moved on or a fence's
    deadline has passed, IllegalTransition for a step that TRANSITIONS does not have."""
    check_transition(route.state, state)
    same = sa.and_(
        table.c.account_id == route.account_id,
        table.c.epoch == route.epoch,
        table.c.state == route.state.value,
    )
    if _is_commit(route, state, home):
        same = sa.and_(same, table.c.fence_deadline > clock.now())
    new = Route(route.account_id, home or route.home, route.epoch + 1, state, fence_deadline)
    change = next_change(connection)
    done = connection.execute(
        table.update()
        .where(same)
        .values(
            home=str(new.home),
            epoch=new.epoch,
            state=state.value,
            fence_deadline=fence_deadline,
            changed=change,
        )
    )
    if done.rowcount != 1:
        raise StaleEpoch(
            f"account {route.account_id}: no longer {route.state.value} at epoch {route.epoch}, or the fence's"
            " deadline has passed; read the route again"
        )
    return new


def next_change(connection: Connection) -> int:
    """Takes, and until the commit holds, the next number of the sequence of changes."""
    connection.execute(route_change.update().values(last=route_change.c.last + 1))
    return last_change(connection)


def last_change(connection: Connection) -> int:
    return int(connection.execute(sa.select(route_change.c.last)).scalar_one())


def change_of(connection: Connection, account_id: int) -> int:
    """The number of the last change of an account's route: what a fence waits to see acknowledged."""
    found = connection.execute(
        sa.select(table.c.changed).where(table.c.account_id == account_id)
    ).scalar_one_or_none()
    if found is None:
        raise NotFound(f"account {account_id} has no route")
    return int(found)


def changed_since(connection: Connection, number: int) -> list[Route]:
    """Routes that changed after change `number`, oldest change first."""
    rows = connection.execute(sa.select(*COLUMNS).where(table.c.changed > number).order_by(table.c.changed))
    return [from_row(*row) for row in rows]
