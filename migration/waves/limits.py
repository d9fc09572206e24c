"""What the waves under way allow their backends. Where two of them share one, or the settings say less, the lower."""

import json
from collections.abc import Mapping

import sqlalchemy as sa

from mailplat.db.engine import Database
from migration.plan import tables
from migration.plan.document import LimitTerms
from migration.plan.states import WaveState

# While it bakes a wave is only swept.
_WORKING = (WaveState.COPYING, WaveState.READY, WaveState.CUTTING_OVER)


def limits_of(database: Database, settings: LimitTerms) -> Mapping[str, LimitTerms]:
    """By backend, of those that a wave speaks of. Raises Unavailable."""
    query = sa.select(tables.wave.c.terms).where(tables.wave.c.state.in_([each.value for each in _WORKING]))
    with database.read() as connection:
        rows = connection.execute(query).scalars().fetchall()
    found: dict[str, LimitTerms] = {}
    for text in rows:
        for backend, terms in json.loads(text)["backends"].items():
            found[backend] = _lower(found.get(backend, settings), LimitTerms(**terms))
    return found


def _lower(one: LimitTerms, other: LimitTerms) -> LimitTerms:
    latencies = [each for each in (one.latency, other.latency) if each]  # 0: no limit
    return LimitTerms(
        connections=min(one.connections, other.connections), latency=min(latencies, default=0.0)
    )
