"""Waves as they are written down: what was applied, and how far each is."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from migration.plan import tables
from migration.plan.document import WaveTerms
from migration.plan.states import WaveState

# Of a domain whose gate was breached, `migration_wave_domain.fate`: it is to go back; it was told to; a person has
# seen it and it stays.
RETURNING, RETURNED, ACCEPTED = "returning", "returned", "accepted"


@dataclass(frozen=True, slots=True)
class Stored:
    """Times are Unix times, 0.0: not yet."""

    terms: WaveTerms
    plan: str
    state: WaveState
    resumes: str
    reason: str
    approved_by: str
    approved_at: float
    began: float
    baking_since: float
    done: float
    forgiven: Mapping[int, int]  # fences taken back until the last `resume`, by account
    fates: Mapping[str, str]  # by domain
    breaches: Mapping[str, str]  # by domain

    @property
    def name(self) -> str:
        return self.terms.name

    @property
    def stage(self) -> WaveState:
        """How far it is, stopped or not."""
        return WaveState(self.resumes) if self.resumes else self.state

    @property
    def staying(self) -> list[str]:
        """Its domains without those that are sent back."""
        return [each for each in self.terms.domains if self.fates.get(each) not in (RETURNING, RETURNED)]

    @property
    def approved(self) -> bool:
        return bool(self.approved_by) or not self.terms.approval


def read(connection: Connection, *conditions: Any) -> dict[str, Stored]:
    """Waves by name, in the order of their plans and positions."""
    wave, domain = tables.wave.c, tables.domain.c
    domains: dict[str, list[Any]] = {}
    for row in connection.execute(sa.select(tables.domain).order_by(domain.position)):
        domains.setdefault(row.wave, []).append(row)
    query = sa.select(tables.wave).where(*conditions).order_by(wave.plan, wave.position)
    return {row.name: _stored(row, domains.get(row.name, [])) for row in connection.execute(query).fetchall()}


def _stored(row: Any, domains: list[Any]) -> Stored:
    names = [each.domain for each in domains]
    return Stored(
        WaveTerms(name=row.name, position=row.position, domains=names, **json.loads(row.terms)),
        row.plan,
        WaveState(row.state),
        row.resumes,
        row.reason,
        row.approved_by,
        row.approved_at,
        row.began,
        row.baking_since,
        row.done,
        {int(account): count for account, count in json.loads(row.forgiven).items()},
        {each.domain: each.fate for each in domains if each.fate},
        {each.domain: each.breach for each in domains if each.breach},
    )
