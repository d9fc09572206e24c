"""A plan against what is written down. Only what differs is changed, and each difference is a line."""

import json
from collections.abc import Collection, Mapping, Sequence
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
from migration.plan import tables
from migration.plan.document import PlanTerms, WaveTerms
from migration.plan.states import OPEN, WaveState
from migration.plan.stored import RETURNING, Stored, read

# Domains that one statement names: SQLite takes 32,766 parameters.
AT_ONCE = 1000

_KEPT_IN_COLUMNS = {"name", "position", "domains"}


def plans(database: Database) -> dict[str, PlanTerms]:
    """As they were applied, by name."""
    with database.read() as connection:
        waves = read(connection).values()
    names = dict.fromkeys(each.plan for each in waves)
    return {name: PlanTerms(plan=name, wave=[w.terms for w in waves if w.plan == name]) for name in names}


def apply(
    database: Database, clock: Clock, plan: PlanTerms, who: str, *, take_out: Collection[str] = ()
) -> list[str]:
    """What was changed, a line each; none: nothing was. `take_out`: domains that have begun and may leave their wave.
    Raises InvalidInput where something cannot be, and has changed nothing then."""
    with database.write() as connection:
        before = read(connection)
        _check(connection, plan, before, take_out)
        ours = {name: each for name, each in before.items() if each.plan == plan.plan}
        changes = _differences(plan, ours)
        if not changes:
            return []
        audit.write(connection, clock.now(), who, [("migrate.plan", plan.plan, {}, {"changes": changes})])
        _write(connection, plan, ours)
    return changes


def _check(
    connection: Connection, plan: PlanTerms, before: Mapping[str, Stored], take_out: Collection[str]
) -> None:
    """Raises InvalidInput, NotFound."""
    known = set(connection.execute(sa.select(directory.domain.c.name)).scalars())
    backends = set(connection.execute(sa.select(directory.backend.c.name)).scalars())
    for wave in plan.wave:
        for domain in wave.domains:
            if domain not in known:
                raise NotFound(f"wave {wave.name}: there is no domain {domain}")
        for backend in wave.backends:
            if backend not in backends:
                raise NotFound(f"wave {wave.name}: there is no backend {backend}")
        if wave.name in before and before[wave.name].plan != plan.plan:
            raise InvalidInput(f"wave {wave.name} is of plan {before[wave.name].plan}; find another name")
    was = {domain: each for each in before.values() for domain in each.terms.domains}
    now = {domain: wave for wave in plan.wave for domain in wave.domains}
    begun = _begun(connection, was)
    for domain, stored in was.items():
        if stored.plan != plan.plan:
            if domain in now:
                raise InvalidInput(
                    f"{domain} is in wave {stored.terms.name} of plan {stored.plan}; take it out there"
                )
        elif stored.fates.get(domain) == RETURNING and domain not in now:
            raise InvalidInput(
                f"{domain} is about to be sent back by its gate; leave it in the plan until it is"
            )
        elif domain in begun and (domain not in now or now[domain].name != stored.terms.name):
            if domain not in now and domain in take_out:
                continue
            raise InvalidInput(
                f"{domain} has begun in wave {stored.terms.name} and is"
                f" {'in wave ' + now[domain].name if domain in now else 'not in the plan'} now; leave it there, or"
                f" --take-out {domain}: it is in no wave then, and its own move goes on as it is"
            )
    for wave in plan.wave:
        _check_wave(wave, before.get(wave.name))
    _check_order(plan, before)


def _check_wave(wave: WaveTerms, stored: Stored | None) -> None:
    if stored is None or stored.stage in OPEN:
        return
    new = [each for each in wave.domains if each not in stored.terms.domains]
    if new:
        raise InvalidInput(
            f"wave {wave.name} is {stored.stage.value}: {new[0]} can only come into a later one"
        )


def _check_order(plan: PlanTerms, before: Mapping[str, Stored]) -> None:
    waits = ""
    for wave in plan.in_order():
        stored = before.get(wave.name)
        if stored is None or stored.state is WaveState.PLANNED:
            waits = waits or wave.name
        elif waits and stored.stage not in OPEN:
            raise InvalidInput(
                f"wave {wave.name} is {stored.stage.value}: it cannot come behind wave {waits}"
            )


def _begun(connection: Connection, was: Mapping[str, Stored]) -> set[str]:
    """Domains of which something was done."""
    move, plan = moves.move.c, moves.plan.c
    query = sa.select(move.domain).where(sa.or_(move.began > 0.0, move.moved > 0.0)).distinct()
    started = sa.select(plan.domain).where(plan.state != "planned")
    found = {*connection.execute(query).scalars(), *connection.execute(started).scalars()}
    return found | {domain for domain, each in was.items() if each.state is not WaveState.PLANNED}


def _differences(plan: PlanTerms, before: Mapping[str, Stored]) -> list[str]:
    found = []
    was = {domain: each.terms.name for each in before.values() for domain in each.terms.domains}
    now = {domain: wave.name for wave in plan.wave for domain in wave.domains}
    for wave in plan.in_order():
        if wave.name not in before:
            found.append(f"wave {wave.name}: added at position {wave.position}")
            continue
        old, new = _flat(before[wave.name].terms.model_dump()), _flat(wave.model_dump())
        for name in sorted({*old, *new} - {"domains"}):
            if old.get(name) != new.get(name):
                found.append(f"wave {wave.name}: {name} {_shown(old, name)} -> {_shown(new, name)}")
        kept = [each for each in before[wave.name].terms.domains if now.get(each) == wave.name]
        if kept != [each for each in wave.domains if each in kept]:
            found.append(f"wave {wave.name}: another order of its domains")
    for domain in sorted({*was, *now}):
        if was.get(domain) != now.get(domain):
            found.append(f"{domain}: {was.get(domain, 'in no wave')} -> {now.get(domain, 'in no wave')}")
    names = {wave.name for wave in plan.wave}
    return found + [f"wave {name}: removed" for name in before if name not in names]


def _flat(terms: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in terms.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


def _shown(terms: Mapping[str, Any], name: str) -> str:
    return json.dumps(terms[name]) if name in terms else "none"


def _write(connection: Connection, plan: PlanTerms, before: Mapping[str, Stored]) -> None:
    names = [wave.name for wave in plan.wave]
    gone = [name for name in before if name not in names]
    if gone:
        connection.execute(tables.wave.delete().where(tables.wave.c.name.in_(gone)))
        connection.execute(tables.domain.delete().where(tables.domain.c.wave.in_(gone)))
    for wave in plan.wave:
        terms = wave.model_dump(exclude=_KEPT_IN_COLUMNS)
        values: dict[str, Any] = {"position": wave.position, "terms": json.dumps(terms, ensure_ascii=False)}
        if wave.name not in before:
            values |= {"name": wave.name, "plan": plan.plan, "state": WaveState.PLANNED.value}
            connection.execute(tables.wave.insert().values(**values))
            continue
        if set(wave.domains) - set(before[wave.name].terms.domains):
            values |= {"approved_by": "", "approved_at": 0.0}
        connection.execute(tables.wave.update().where(tables.wave.c.name == wave.name).values(**values))
    _write_domains(connection, plan, [each for wave in before.values() for each in wave.terms.domains])


def _withdraw(connection: Connection, domains: Sequence[str]) -> None:
    """Who leaves a wave that is cut over is not cut over by its word; a fence that is set ends by itself."""
    move, route = moves.move.c, directory.route.c
    fenced = sa.select(route.account_id).where(route.state == RouteState.FENCED.value)
    mine = sa.and_(move.domain.in_(domains), move.cutover, move.account_id.not_in(fenced))
    connection.execute(moves.move.update().where(mine).values(cutover=False))


def _write_domains(connection: Connection, plan: PlanTerms, was: Sequence[str]) -> None:
    now = {domain for wave in plan.wave for domain in wave.domains}
    left = [each for each in was if each not in now]
    column = tables.domain.c
    for at in range(0, len(left), AT_ONCE):
        some = left[at : at + AT_ONCE]
        connection.execute(tables.domain.delete().where(column.domain.in_(some)))
        _withdraw(connection, some)
    known = set(connection.execute(sa.select(column.domain)).scalars())
    for wave in plan.wave:
        for position, name in enumerate(wave.domains):
            values = {"wave": wave.name, "position": position}
            if name in known:
                connection.execute(tables.domain.update().where(column.domain == name).values(**values))
            else:
                connection.execute(tables.domain.insert().values(domain=name, **values))
