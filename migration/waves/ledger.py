"""What people may say of a wave, and the steps that it makes. Synchronous; each is one transaction."""

import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mailplat.core.clock import Clock
from mailplat.core.errors import InvalidInput, NotFound
from mailplat.core.route import RouteState
from mailplat.db.engine import Database
from mailplat.directory import audit
from mailplat.directory import tables as directory
from migration import tables as moves
from migration.ledger import PAUSED, RUNNING
from migration.plan import tables
from migration.plan.states import AT_REST, STOPPED, TRANSITIONS, WaveState
from migration.plan.stored import ACCEPTED, RETURNED, RETURNING, Stored, read

_wave, _move, _plan = tables.wave.c, moves.move.c, moves.plan.c


class Changed(InvalidInput):
    """Somebody else has changed the wave's state meanwhile."""


class WaveLedger:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def waves(self) -> list[Stored]:
        """By plan and position."""
        with self._database.read() as connection:
            return list(read(connection).values())

    def find(self, name: str) -> Stored | None:
        with self._database.read() as connection:
            return read(connection, _wave.name == name).get(name)

    def wave(self, name: str) -> Stored:
        """Raises NotFound."""
        found = self.find(name)
        if found is None:
            raise NotFound(f"there is no wave {name}; see mailplat migrate plan --show")
        return found

    # what people say

    def start(self, name: str, who: str) -> None:
        """Raises NotFound; InvalidInput for one that is stopped or over. One that is under way stays so."""
        wave = self.wave(name)
        if wave.state in STOPPED:
            raise InvalidInput(
                f"wave {name} is {wave.state.value}: {wave.reason}; say mailplat migrate resume {name}"
            )
        if wave.state is WaveState.DONE:
            raise InvalidInput(f"wave {name} is done")
        if wave.state is WaveState.PLANNED:
            self.step(wave, WaveState.COPYING, who=who, began=self._clock.now())

    def pause(self, name: str, who: str, reason: str = "") -> None:
        """Raises NotFound, InvalidInput for one that is not under way."""
        wave = self.wave(name)
        if wave.state is WaveState.PAUSED:
            return
        if wave.state in AT_REST or wave.state in STOPPED:
            raise InvalidInput(f"wave {name} is {wave.state.value}: there is nothing to pause")
        self.stop(wave, reason or f"by {who}", who)

    def stop(self, wave: Stored, reason: str, who: str) -> None:
        """PAUSED, with its domains; those that have moved are swept all the same. Raises Changed."""
        with self._database.write() as connection:
            self._set(connection, wave, WaveState.PAUSED, who, reason=reason, resumes=wave.state.value)
            self._withdraw(connection, wave)
            if wave.state is WaveState.BAKING:
                return
            running = sa.and_(_plan.domain.in_(staying(wave)), _plan.state == RUNNING)
            connection.execute(moves.plan.update().where(running).values(state=PAUSED))

    def resume(self, name: str, who: str, *, deletions: int = 0) -> None:
        """To where it was. Halts of its accounts are cleared, fences that were taken back are forgiven, a breach that
        halted it is accepted. Raises NotFound, InvalidInput for one that is not stopped."""
        wave = self.wave(name)
        if wave.state not in STOPPED:
            raise InvalidInput(f"wave {name} is {wave.state.value}: it need not be resumed")
        with self._database.write() as connection:
            forgiven = _aborts(connection, wave)
            self._set(connection, wave, wave.stage, who, reason="", resumes="", forgiven=json.dumps(forgiven))
            self._resume_domains(connection, wave, deletions)
            if wave.state is WaveState.HALTED:
                breached = sa.and_(
                    tables.domain.c.wave == name, tables.domain.c.breach != "", tables.domain.c.fate == ""
                )
                connection.execute(tables.domain.update().where(breached).values(fate=ACCEPTED))

    def _resume_domains(self, connection: Connection, wave: Stored, deletions: int) -> None:
        """But those that a person has sent back."""
        mine = staying(wave).where(tables.domain.c.domain.not_in(_sent_back()))
        paused = sa.and_(_plan.domain.in_(mine), _plan.state == PAUSED)
        connection.execute(moves.plan.update().where(paused).values(state=RUNNING))
        halted = sa.and_(_move.domain.in_(mine), _move.halted != "")
        # As Ledger.clear_halts: somebody may have mended something by hand.
        values = {"halted": "", "quiet": 0, "deletions_allowed": deletions, "verified": "{}"}
        connection.execute(moves.move.update().where(halted).values(**values))

    def approve(self, name: str, who: str, reason: str) -> None:
        """Raises NotFound, InvalidInput for one that needs none, or whose accounts have moved."""
        wave = self.wave(name)
        if not wave.terms.approval:
            raise InvalidInput(f"wave {name} needs no approval")
        if wave.stage in (WaveState.BAKING, WaveState.DONE):
            raise InvalidInput(f"wave {name} is {wave.stage.value}: its accounts have moved")
        with self._database.write() as connection:
            _as_read(connection, wave)
            now = self._clock.now()
            after = {"domains": wave.terms.domains, "reason": reason}
            audit.write(connection, now, who, [("migrate.wave.approve", name, {}, after)])
            mine = tables.wave.update().where(_wave.name == name)
            connection.execute(mine.values(approved_by=who[:255], approved_at=now))
            waiting = mine.where(_wave.state == WaveState.READY.value)
            connection.execute(waiting.values(reason=""))

    # what the runner does

    def step(self, wave: Stored, state: WaveState, *, who: str = "", **values: Any) -> None:
        """Raises Changed."""
        with self._database.write() as connection:
            self._set(connection, wave, state, who, **{"reason": "", **values})

    def judged(self, wave: Stored, breaches: Mapping[str, str]) -> None:
        """What its gates said, by domain; HALTED, or the domains are to go back, as the plan says. Raises Changed."""
        with self._database.write() as connection:
            back = wave.terms.on_breach == "rollback-domain"
            if back:
                self._set(connection, wave, wave.state, "")
            else:
                text = "; ".join(f"{domain}: {said}" for domain, said in breaches.items())
                self._set(connection, wave, WaveState.HALTED, "", reason=text, resumes=wave.state.value)
            for domain, said in breaches.items():
                values = {"breach": said, "fate": RETURNING if back else ""}
                mine = sa.and_(tables.domain.c.domain == domain, tables.domain.c.wave == wave.name)
                connection.execute(tables.domain.update().where(mine).values(**values))

    def returned(self, domain: str) -> None:
        mine = sa.and_(tables.domain.c.domain == domain, tables.domain.c.fate == RETURNING)
        with self._database.write() as connection:
            connection.execute(tables.domain.update().where(mine).values(fate=RETURNED))

    def halt(self, wave: Stored, reason: str) -> None:
        """Raises Changed."""
        self.step(wave, WaveState.HALTED, reason=reason, resumes=wave.state.value)

    def say(self, wave: Stored, reason: str) -> None:
        """What it waits for."""
        if reason != wave.reason:
            mine = sa.and_(_wave.name == wave.name, _wave.state == wave.state.value)
            with self._database.write() as connection:
                connection.execute(tables.wave.update().where(mine).values(reason=reason))

    def withdraw(self, wave: Stored) -> None:
        """The word for the cutover, of all that have not moved."""
        if self._asked(wave):
            with self._database.write() as connection:
                self._withdraw(connection, wave)

    def _asked(self, wave: Stored) -> bool:
        query = sa.select(sa.literal(1)).where(_move.domain.in_(staying(wave)), _move.cutover).limit(1)
        with self._database.read() as connection:
            return connection.execute(query).first() is not None

    def unplanned(self, wave: Stored) -> set[str]:
        """Domains with an account on a backend that has no move, but those that a person has sent back."""
        account, route = directory.account.c, directory.route.c
        query = (
            sa.select(account.domain)
            .join(directory.route, route.account_id == account.id)
            .join(moves.move, _move.account_id == account.id, isouter=True)
            .where(
                account.domain.in_(staying(wave)),
                account.domain.not_in(_sent_back()),
                route.home.startswith("backend:"),
                route.state == RouteState.LEGACY.value,
                _move.account_id.is_(None),
            )
            .distinct()
        )
        with self._database.read() as connection:
            return set(connection.execute(query).scalars())

    def plan_states(self, wave: Stored) -> dict[str, str]:
        """Of the domains that have a plan of their own."""
        query = sa.select(_plan.domain, _plan.state).where(_plan.domain.in_(staying(wave)))
        with self._database.read() as connection:
            return dict(connection.execute(query).fetchall())

    def _withdraw(self, connection: Connection, wave: Stored) -> None:
        """Not of one whose fence is set: that ends by itself."""
        fenced = sa.select(directory.route.c.account_id).where(
            directory.route.c.state == RouteState.FENCED.value
        )
        mine = sa.and_(_move.domain.in_(staying(wave)), _move.cutover, _move.account_id.not_in(fenced))
        connection.execute(moves.move.update().where(mine).values(cutover=False))

    def _set(self, connection: Connection, wave: Stored, state: WaveState, who: str, **values: Any) -> None:
        """Compare-and-set. Steps that a person makes are in the audit log; those of the runner hold for the terms,
        the domains and the approval that it has read. Raises Changed."""
        if state is not wave.state and state not in TRANSITIONS[wave.state]:
            raise InvalidInput(f"wave {wave.name} is {wave.state.value} and cannot become {state.value}")
        if not who:
            _as_read(connection, wave)
        mine = sa.and_(
            _wave.name == wave.name, _wave.state == wave.state.value, _wave.resumes == wave.resumes
        )
        done = connection.execute(tables.wave.update().where(mine).values(state=state.value, **values))
        if done.rowcount != 1:
            raise Changed(f"wave {wave.name} is not {wave.state.value} any more; say it again")
        if who:
            line = (
                "migrate.wave",
                wave.name,
                {"state": wave.state.value},
                {"state": state.value, "reason": values.get("reason", "")},
            )
            audit.write(connection, self._clock.now(), who, [line])


def domains(wave: Stored) -> sa.Select[tuple[str]]:
    """Its domains, for use within a statement: there may be more than a statement takes as parameters."""
    return sa.select(tables.domain.c.domain).where(tables.domain.c.wave == wave.name)


def staying(wave: Stored) -> sa.Select[tuple[str]]:
    """As Stored.staying."""
    return domains(wave).where(tables.domain.c.fate.not_in([RETURNING, RETURNED]))


def hold(connection: Connection, wave: Stored) -> None:
    """Until the transaction's end nobody pauses it, or leads it elsewhere. Raises Changed where somebody has."""
    mine = sa.select(_wave.state, _wave.resumes).where(_wave.name == wave.name).with_for_update()
    row = connection.execute(mine).one_or_none()
    if row is None or tuple(row) != (wave.state.value, wave.resumes):
        raise Changed(f"wave {wave.name} is not {wave.state.value} any more; say it again")


def _as_read(connection: Connection, wave: Stored) -> None:
    """A plan may have been applied since. Raises Changed."""
    connection.execute(sa.select(_wave.name).where(_wave.name == wave.name).with_for_update())
    now = read(connection, _wave.name == wave.name).get(wave.name)
    if now is None or (now.terms, now.approved) != (wave.terms, wave.approved):
        raise Changed(f"the plan of wave {wave.name} was changed at this moment; say it again")


def _sent_back() -> sa.Select[tuple[str]]:
    return sa.select(_move.domain).where(sa.or_(_move.rollback, _move.rolled_back > 0.0))


def _aborts(connection: Connection, wave: Stored) -> dict[int, int]:
    query = sa.select(_move.account_id, _move.aborts).where(_move.domain.in_(staying(wave)), _move.aborts > 0)
    return dict(connection.execute(query).fetchall())
