"""How long a domain's copy takes, until all its accounts are READY: what the forecast says (migration/forecast), and
how far first copies from the same backend were from it, as the ledger has them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from mailplat.db.engine import Database
from migration import tables
from migration.forecast.costs import MEASURED
from migration.forecast.population import Account
from migration.forecast.simulator import Host, Schedule, simulate

# First copies in the ledger from which on their spread is that of the prediction.
ROUNDS_LEAST = 8
# Of those the newest count: the platform may be another one than a year ago.
ROUNDS_MOST = 1000
# Below that: nothing is known of this platform but that others' took half or twice as long as the measured one's.
UNMEASURED = 2.0
# Share of the copies outside of the interval, on each side.
TAIL = 0.1


@dataclass(frozen=True, slots=True)
class Spread:
    """What a prediction is multiplied with. `rounds`: measured ones, 0 where there are too few."""

    low: float
    middle: float
    high: float
    rounds: int


@dataclass(frozen=True, slots=True)
class Duration:
    """Seconds."""

    low: float
    expected: float
    high: float


def spread(database: Database, backend: str) -> Spread:
    """Raises Unavailable."""
    rounds, move = tables.LEGACY.round, tables.move
    query = (
        sa.select(rounds.c.seconds, rounds.c.added, rounds.c.octets)
        .join(move, move.c.account_id == rounds.c.account_id)
        .where(move.c.backend == backend, rounds.c.kind == "copy", rounds.c.added > 0)
        .order_by(rounds.c.at.desc())
        .limit(ROUNDS_MOST)
    )
    with database.read() as connection:
        return spread_of([tuple(row) for row in connection.execute(query)])


def spread_of(copies: Sequence[tuple[float, int, int]]) -> Spread:
    """(seconds, messages, octets) of first copies."""
    if len(copies) < ROUNDS_LEAST:
        return Spread(1.0 / UNMEASURED, 1.0, UNMEASURED, 0)
    ratios = sorted(
        seconds / MEASURED.copy.elapsed.of(messages, octets) for seconds, messages, octets in copies
    )
    low, middle, high = (_quantile(ratios, share) for share in (TAIL, 0.5, 1.0 - TAIL))
    return Spread(low, middle, high, len(ratios))


def _quantile(values: Sequence[float], share: float) -> float:
    at = share * (len(values) - 1)
    below = math.floor(at)
    above = min(below + 1, len(values) - 1)
    return values[below] + (values[above] - values[below]) * (at - below)


def predict(accounts: Sequence[Account], connections: int, around: Spread) -> Duration:
    """Where nothing else is copied meanwhile, with a core of the workers and one of the backend to spare."""
    if not accounts:
        return Duration(0.0, 0.0, 0.0)
    host = Host(1.0, math.inf, connections)
    seconds = simulate(accounts, [host], 1.0, Schedule(), MEASURED).waves[0].copied
    return Duration(seconds * around.low, seconds * around.middle, seconds * around.high)
