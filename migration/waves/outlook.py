"""When a wave is ready, cut over and done. Predictions are those of the census (census/duration.py): what is left to
copy, at the pace of the copies that were measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from mailplat.core.route import RouteState
from mailplat.db.engine import Database
from migration import tables as moved
from migration.census import tables as census
from migration.census.duration import Duration, predict, spread
from migration.census.facts import Facts
from migration.forecast.costs import MEASURED
from migration.forecast.population import Account
from migration.ledger import Move
from migration.plan.document import LimitTerms
from migration.plan.states import WaveState
from migration.plan.stored import Stored
from migration.waves.ledger import domains
from migration.waves.standing import MOVED, Standing, is_ready

HOUR_S = 3600.0

_LEFT = frozenset({RouteState.LEGACY, RouteState.SEEDING})


@dataclass(frozen=True, slots=True)
class Outlook:
    """Unix times; None: nobody knows, or it is past. `ready` is (earliest, expected, latest)."""

    ready: tuple[float, float, float] | None
    cutover: float | None  # begins, if it is approved by then
    done: float | None


def outlook(database: Database, wave: Stored, found: Standing, now: float, settings: LimitTerms) -> Outlook:
    """Of one that is under way; of any other nothing. Raises Unavailable."""
    bake = wave.terms.bake * HOUR_S
    if wave.state is WaveState.BAKING:
        return Outlook(None, None, max(now, wave.baking_since + bake))
    if wave.state not in (WaveState.COPYING, WaveState.READY, WaveState.CUTTING_OVER):
        return Outlook(None, None, None)
    left = _left(database, wave, found, settings)
    ready = (
        None
        if wave.state is not WaveState.COPYING
        else (now + left.low, now + left.expected, now + left.high)
    )
    window = wave.terms.window.window()
    begins = window.next_open(now + (left.expected if ready else 0.0))
    unmoved = sum(each.route.state not in MOVED and not each.halted for each in found.moves)
    fences = unmoved * MEASURED.fence.elapsed.of(0, 0) / _connections(wave, found.moves, settings)
    cutover = None if wave.state is WaveState.CUTTING_OVER and begins <= now else begins
    return Outlook(ready, cutover, begins + fences + bake)


def _left(database: Database, wave: Stored, found: Standing, settings: LimitTerms) -> Duration:
    """Of accounts that are not ready: each backend by itself, the slowest counts."""
    waits = [each for each in found.moves if not (is_ready(each) or each.halted)]
    known = _facts(database, wave)
    durations = []
    for backend in {each.backend for each in waits}:
        mine = [each for each in waits if each.backend == backend]
        accounts = [_account(each, known.get(each.account_id)) for each in mine]
        connections = _connections(wave, mine, settings)
        durations.append(predict(accounts, connections, spread(database, backend)))
    return max(durations, key=lambda each: each.expected, default=Duration(0.0, 0.0, 0.0))


def _account(move: Move, facts: Facts | None) -> Account:
    """What is left of it to copy."""
    if move.route.state not in _LEFT:
        return Account(0.0, 0.0)
    messages = max(move.total, facts.messages if facts else 0)
    octets = facts.octets if facts else 0
    left = max(0, messages - move.copied)
    return Account(left, octets * left / messages if messages else 0.0)


def _facts(database: Database, wave: Stored) -> Mapping[int, Facts]:
    column, move = census.account.c, moved.move.c
    query = (
        sa.select(column.account_id, column.facts)
        .join(moved.move, move.account_id == column.account_id)
        .where(move.domain.in_(domains(wave)), column.trouble == "")
    )
    with database.read() as connection:
        rows = connection.execute(query).fetchall()
    return {number: Facts.from_json(text) for number, text in rows}


def _connections(wave: Stored, moves: Sequence[Move], settings: LimitTerms) -> int:
    limits = [
        wave.terms.backends[name].connections
        for name in {m.backend for m in moves} & set(wave.terms.backends)
    ]
    return min([settings.connections, *limits])
