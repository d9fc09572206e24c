"""The ledger of moves from backends: what is planned, how far it is, what happened. The route rows say where an
account lives. Synchronous: call it in executor "migration"."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, fields
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mailplat.core.clock import Clock
from mailplat.core.errors import InvalidInput, NotFound
from mailplat.core.route import BackendHome, RouteState, ShardHome
from mailplat.db.engine import Database
from mailplat.directory import routes
from mailplat.directory import tables as directory
from migration import tables
from migration.book import Book, Fences, Passage
from migration.sources.contract import Naming

# Asked within a transaction whether it may go on; raises where not.
Guard = Callable[[Connection], None]

PLANNED, RUNNING, PAUSED, CLOSED = "planned", "running", "paused", "closed"

# Rounds in a row within the budget of time before the two sides are compared and the account is READY.
QUIET_ROUNDS = 2

# Where an account has a copy here, and its backend is its home.
COPIED = (RouteState.SEEDING, RouteState.TRACKING, RouteState.READY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Move(Passage):
    """From a backend."""

    backend: str
    plan: str  # planned, running, paused, closed
    password_known: bool  # its owner can log in here once it has moved
    cutover: bool
    unknown_password_allowed: bool
    afresh: bool  # its copy is to be thrown away and made again
    quiet: int
    sweeps: int
    sweep_at: float
    strays: int
    late_flags: int
    rollback: bool  # asked for, not done
    renumbering_allowed: bool  # messages may get new UIDs on the way back
    renumbered: int  # so many did
    returned: float  # when all changes were on the backend too the last time
    rolled_back: float  # when the commit of the rollback was, 0.0: never, or moved again since

    @property
    def fences(self) -> Fences:
        if self.route.state in (RouteState.NEW, RouteState.ROLLBACK_FENCED):
            return self._fences_back
        return Fences(
            RouteState.FENCED,
            RouteState.NEW,
            RouteState.TRACKING,
            on_commit={"cutover": False, "rolled_back": 0.0},
            on_abort={"cutover": False, "quiet": 0},
            sweeps=True,
        )

    @property
    def _fences_back(self) -> Fences:
        """The commit leaves the row as that of an account that has not moved; what is here stays."""
        home = self.route.home
        return Fences(
            RouteState.ROLLBACK_FENCED,
            RouteState.LEGACY,
            RouteState.NEW,
            on_commit={
                "rollback": False,
                "moved": 0.0,
                "shard": home.shard if isinstance(home, ShardHome) else self.shard,
                "quiet": 0,
                "verified": "{}",
                "sweeps": 0,
                "sweep_at": 0.0,
                "deletions_allowed": 0,
            },
            on_abort={"rollback": False},
            stamp="rolled_back",
        )

    @property
    def unsettled(self) -> bool:
        """Back on the backend; what was held is still to be let go."""
        return self.route.state is RouteState.LEGACY and self.rolled_back > 0.0 and not self.released

    @property
    def lag(self) -> float | None:
        """Since when (Unix time) changes are here alone; None: the account is not here, or there is no way back."""
        if self.route.state not in (RouteState.NEW, RouteState.ROLLBACK_FENCED):
            return None
        return max(self.moved, self.returned)

    @property
    def locks_out(self) -> bool:
        """Once moved its owner could not log in, and nobody has approved that."""
        return not (self.password_known or self.unknown_password_allowed)

    @property
    def waits_for_password(self) -> bool:
        """All that keeps it from being READY."""
        return self.route.state is RouteState.TRACKING and self.quiet >= QUIET_ROUNDS and self.locks_out


_OWN = [
    each.name
    for each in fields(Move)
    if each.name
    not in ("account_id", "address", "domain", "backend", "shard", "plan", "route", "password_known")
]
_SELECT = (
    sa.select(
        tables.move.c.account_id,
        directory.account.c.local,
        directory.account.c.domain,
        tables.move.c.backend,
        tables.move.c.shard,
        tables.plan.c.state,
        *routes.COLUMNS,
        directory.account.c.password_hash != "",
        *(tables.move.c[name] for name in _OWN),
    )
    .join(directory.account, directory.account.c.id == tables.move.c.account_id)
    .join(directory.route, directory.route.c.account_id == tables.move.c.account_id)
    .join(tables.plan, tables.plan.c.domain == tables.move.c.domain)
    .order_by(directory.account.c.domain, directory.account.c.key)
)


def _to_move(row: Sequence[Any]) -> Move:
    account_id, local, domain, backend, shard, plan = row[:6]
    at = 6 + len(routes.COLUMNS)
    return Move(
        account_id=account_id,
        address=f"{local}@{domain}",
        domain=domain,
        backend=backend,
        shard=shard,
        plan=plan,
        route=routes.from_row(*row[6:at]),
        password_known=bool(row[at]),
        **dict(zip(_OWN, row[at + 1 :], strict=True)),
    )


class Ledger(Book):
    def __init__(self, database: Database, clock: Clock) -> None:
        super().__init__(database, clock, tables.LEGACY)

    # plans

    def plan(self, domain: str, shards: Sequence[str]) -> list[Move]:
        """A move for each account of the domain that lives on a backend and has none yet, to the shard with the
        fewest accounts (planned ones count). Raises NotFound when the domain has no such account."""
        with self.database.write() as connection:
            known = set(connection.execute(sa.select(tables.move.c.account_id)).scalars())
            loads = self._loads(connection, shards)
            legacy = connection.execute(
                sa.select(*routes.COLUMNS)
                .join(directory.account, directory.account.c.id == directory.route.c.account_id)
                .where(
                    directory.account.c.domain == domain,
                    directory.route.c.state == RouteState.LEGACY.value,
                )
                .order_by(directory.account.c.key)
            )
            for row in legacy.fetchall():
                route = routes.from_row(*row)
                if route.account_id in known or not isinstance(route.home, BackendHome):
                    continue
                shard = min(sorted(loads), key=lambda name: loads[name])
                loads[shard] += 1
                connection.execute(
                    tables.move.insert().values(
                        account_id=route.account_id, domain=domain, backend=route.home.backend, shard=shard
                    )
                )
            found = connection.execute(
                sa.select(sa.literal(1)).where(tables.move.c.domain == domain).limit(1)
            )
            if found.first() is None:
                raise NotFound(f"domain {domain} has no account on a backend; nothing to move")
            if self._plan_state(connection, domain) is None:
                connection.execute(
                    tables.plan.insert().values(domain=domain, state=PLANNED, created=self.clock.now())
                )
        return self.moves(domain)

    def _loads(self, connection: Connection, shards: Sequence[str]) -> dict[str, int]:
        loads = dict.fromkeys(shards, 0)
        homes = sa.select(directory.route.c.home, sa.func.count()).group_by(directory.route.c.home)
        for home, count in connection.execute(homes):
            if home.removeprefix("shard:") in loads:
                loads[home.removeprefix("shard:")] += count
        planned = sa.select(tables.move.c.shard, sa.func.count()).where(tables.move.c.moved == 0.0)
        for shard, count in connection.execute(planned.group_by(tables.move.c.shard)):
            if shard in loads:
                loads[shard] += count
        return loads

    def has_plans(self) -> bool:
        """Whether a domain has one that is not closed."""
        query = sa.select(sa.literal(1)).where(tables.plan.c.state != CLOSED).limit(1)
        with self.database.read() as connection:
            return connection.execute(query).first() is not None

    def set_plan(
        self, domain: str, state: str, *, expected: Collection[str], guard: Guard = lambda connection: None
    ) -> None:
        """Raises NotFound for a domain without a plan, InvalidInput for one in another state than expected, and what
        `guard` raises, which is asked in the same transaction."""
        with self.database.write() as connection:
            guard(connection)
            now = self._plan_state(connection, domain)
            if now is None:
                raise NotFound(f"there is no plan for {domain}; make one: mailplat migrate plan {domain}")
            if now not in expected:
                raise InvalidInput(f"the plan of {domain} is {now}, not {' or '.join(sorted(expected))}")
            if state == RUNNING and self._going_back(connection, domain):
                raise InvalidInput(
                    f"{domain} is on its way back: say `mailplat migrate rollback {domain}` again, or --cancel it"
                )
            connection.execute(tables.plan.update().where(tables.plan.c.domain == domain).values(state=state))

    def _going_back(self, connection: Connection, domain: str) -> bool:
        mine = sa.and_(tables.move.c.domain == domain, tables.move.c.rollback)
        return connection.execute(sa.select(sa.literal(1)).where(mine).limit(1)).first() is not None

    def _plan_state(self, connection: Connection, domain: str) -> str | None:
        query = sa.select(tables.plan.c.state).where(tables.plan.c.domain == domain)
        return connection.execute(query).scalar_one_or_none()

    def request_cutover(
        self, domain: str, *, unknown_passwords: bool = False, guard: Guard = lambda connection: None
    ) -> int:
        """Every account that has not moved yet and is not halted; how many. Raises InvalidInput, and asks for none,
        while one of them has no password here, unless `unknown_passwords` approves it; and what `guard` raises."""
        mine = sa.and_(tables.move.c.domain == domain, tables.move.c.moved == 0.0, tables.move.c.halted == "")
        locked_out = (
            sa.select(directory.account.c.local)
            .join(tables.move, tables.move.c.account_id == directory.account.c.id)
            .where(mine, directory.account.c.password_hash == "", ~tables.move.c.unknown_password_allowed)
            .order_by(directory.account.c.key)
        )
        with self.database.write() as connection:
            guard(connection)
            names = list(connection.execute(locked_out).scalars())
            if names and not unknown_passwords:
                raise InvalidInput(
                    f"{domain} cannot be cut over: no password is known here of {', '.join(names[:5])}"
                    f"{f' and {len(names) - 5} more' if len(names) > 5 else ''}; who logs in through mailplat brings"
                    " one, `mailplat account passwd` sets one, --unknown-passwords moves them without"
                )
            values: dict[str, object] = {"cutover": True, "note": ""}
            if unknown_passwords:
                values["unknown_password_allowed"] = True
            return int(connection.execute(tables.move.update().where(mine).values(**values)).rowcount)

    def clear_halts(self, domain: str, *, deletions: int = 0, afresh: Collection[int] = ()) -> int:
        """`deletions`: how many messages may be gone in an account's next round; `afresh`: accounts whose copies are
        thrown away and made again. Somebody may have mended something by hand: everything is compared anew. Raises
        InvalidInput, and clears none, for one that cannot be copied afresh."""
        anew = [self._afresh(domain, account_id) for account_id in afresh]
        with self.database.write() as connection:
            if anew:
                fresh = tables.move.update().where(tables.move.c.account_id.in_(anew))
                connection.execute(fresh.values(afresh=True))
            mine = sa.and_(tables.move.c.domain == domain, tables.move.c.halted != "")
            values = {"halted": "", "quiet": 0, "deletions_allowed": deletions, "verified": "{}"}
            return int(connection.execute(tables.move.update().where(mine).values(**values)).rowcount)

    def _afresh(self, domain: str, account_id: int) -> int:
        found = self.find_move(account_id)
        if found.domain != domain:
            raise InvalidInput(f"--afresh: {found.address} is of {found.domain}, not of {domain}")
        if found.route.state not in COPIED:
            raise InvalidInput(
                f"--afresh: {found.address} is {found.route.state.value}: there is no copy to throw away"
            )
        if found.rolled_back or found.returned:
            raise InvalidInput(
                f"--afresh: {found.address} lived here before it went back: its copy may hold what the backend"
                " has not"
            )
        return account_id

    # moves

    def moves(self, domain: str | None = None, *, among: sa.Select[tuple[str]] | None = None) -> list[Move]:
        """Of one domain, of those that a statement finds, or all."""
        query = _SELECT if domain is None else _SELECT.where(tables.move.c.domain == domain)
        if among is not None:
            query = query.where(tables.move.c.domain.in_(among))
        with self.database.read() as connection:
            return [_to_move(row) for row in connection.execute(query).fetchall()]

    def find_move(self, account_id: int) -> Move:
        with self.database.read() as connection:
            row = connection.execute(_SELECT.where(tables.move.c.account_id == account_id)).one_or_none()
        if row is None:
            raise NotFound(f"account {account_id} has no move")
        return _to_move(row)

    def find_moves(self, accounts: Collection[int]) -> list[Move]:
        """Of those that have one. At most 32,766 accounts."""
        with self.database.read() as connection:
            query = _SELECT.where(tables.move.c.account_id.in_(list(accounts)))
            return [_to_move(row) for row in connection.execute(query).fetchall()]

    def due(self) -> list[Move]:
        """Moves that there may be something to do for."""
        running = sa.and_(tables.plan.c.state == RUNNING, tables.move.c.halted == "")
        # A fence ends, and a way back is gone to its end, whatever the plan says.
        fenced = directory.route.c.state.in_([RouteState.FENCED.value, RouteState.ROLLBACK_FENCED.value])
        back = sa.and_(tables.move.c.rollback, tables.move.c.halted == "")
        unsettled = sa.and_(tables.move.c.rolled_back > 0.0, ~tables.move.c.released)
        query = _SELECT.where(sa.or_(running, fenced, back, unsettled))
        with self.database.read() as connection:
            return [_to_move(row) for row in connection.execute(query).fetchall()]

    def set_naming(self, account_id: int, naming: Naming) -> None:
        """How its clients spell mailbox names, from when it lives here."""
        account = directory.account
        with self._write() as connection:
            connection.execute(
                account.update()
                .where(account.c.id == account_id)
                .values(separator=naming.separator, prefix=naming.prefix)
            )

    # what a backend's UIDLs look like

    def set_uidl_format(self, backend: str, text: str) -> None:
        with self.database.write() as connection:
            connection.execute(tables.backend.delete().where(tables.backend.c.name == backend))
            if text:
                connection.execute(tables.backend.insert().values(name=backend, uidl_format=text))

    def uidl_format(self, backend: str) -> str:
        query = sa.select(tables.backend.c.uidl_format).where(tables.backend.c.name == backend)
        with self.database.read() as connection:
            return connection.execute(query).scalar_one_or_none() or ""
