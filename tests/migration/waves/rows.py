"""Waves over rows alone: no legacy platform, no engine. Tests say what the engine would have done."""

import json
from pathlib import Path

import sqlalchemy as sa

from mailplat.core.address import Address
from mailplat.core.clock import Clock, ManualClock
from mailplat.core.route import BackendHome, RouteState, ShardHome
from mailplat.directory import Backend
from migration import tables as moves
from migration.ledger import Ledger, Move
from migration.plan.applying import apply
from migration.plan.document import PlanTerms, WaveTerms
from migration.plan.states import WaveState
from migration.plan.stored import Stored
from migration.waves.ledger import WaveLedger
from migration.waves.runner import Waves
from tests.migration.house import House

PEOPLE = ("anna", "bob")

_WAY = (RouteState.SEEDING, RouteState.TRACKING, RouteState.READY, RouteState.FENCED, RouteState.NEW)


class Standing:
    """`first` and `second`: domains of two waves, w1 and w2; `unplanned.test` is in none. `terms`: of both waves."""

    def __init__(
        self,
        root: Path,
        *,
        first: tuple[str, ...] = ("a.test", "b.test"),
        second: tuple[str, ...] = ("c.test",),
        clock: Clock | None = None,
        **terms: object,
    ) -> None:
        self.house = House(root, None, [])
        self.platform = self.house.platform
        if clock is not None:
            self.platform.clock = clock  # type: ignore[assignment]
        self.moves = Ledger(self.platform.database, self.platform.clock)
        self.waves = WaveLedger(self.platform.database, self.platform.clock)
        self.runner = Waves(self.platform)
        self.directory = self.platform.directory
        if not self.directory.domains():
            self.directory.add_backend(Backend("old", imap="127.0.0.1:1"))
            for domain in (*first, *second, "unplanned.test"):
                self.directory.add_domain(domain)
                for name in PEOPLE:
                    self.add(name, domain)
            waves = [
                WaveTerms(name=f"w{number}", position=number, domains=list(domains), **terms)  # type: ignore[arg-type]
                for number, domains in enumerate((first, second), start=1)
            ]
            apply(self.platform.database, self.platform.clock, PlanTerms(plan="old", wave=waves), "anna")

    @property
    def clock(self) -> ManualClock:
        assert isinstance(self.platform.clock, ManualClock)
        return self.platform.clock

    def add(self, name: str, domain: str, password: str = "{PLAIN}x") -> None:
        self.directory.add_account(Address(name, domain), home=BackendHome("old"), password_hash=password)

    def look(self, times: int = 1) -> None:
        for _ in range(times):
            self.runner.look()

    def wave(self, name: str = "w1") -> Stored:
        return self.waves.wave(name)

    def state(self, name: str = "w1") -> WaveState:
        return self.wave(name).state

    def of(self, domain: str) -> list[Move]:
        return self.moves.moves(domain)

    def plan_of(self, domain: str) -> str | None:
        with self.platform.database.read() as connection:
            mine = sa.select(moves.plan.c.state).where(moves.plan.c.domain == domain)
            return connection.execute(mine).scalar_one_or_none()

    def copy(self, domain: str) -> None:
        """Every account with a move becomes READY."""
        for move in self.of(domain):
            self._walk(move, RouteState.READY)

    def cut_over(self, domain: str) -> None:
        """Who was asked to."""
        for move in self.of(domain):
            if move.cutover and move.route.state is RouteState.READY:
                self._walk(move, RouteState.NEW)
                now = self.platform.clock.now()
                self.moves.set(move.account_id, cutover=False, moved=now, released=True)
                with self.platform.database.write() as connection:  # where its way back begins
                    connection.execute(
                        moves.origin.insert().values(
                            account_id=move.account_id,
                            object_id="x",
                            name="INBOX",
                            wire=b"INBOX",
                            uidvalidity=1,
                            first=1,
                            below=1,
                            modseq=1,
                            seen_modseq=1,
                            messages=0,
                        )
                    )

    def work(self) -> None:
        """What an engine does to all that run."""
        for wave in self.waves.waves():
            for domain in wave.terms.domains:
                if self.plan_of(domain) == "running":
                    self.copy(domain)
                    self.cut_over(domain)

    def _walk(self, move: Move, until: RouteState) -> None:
        route = move.route
        if route.state in (RouteState.NEW, until):
            return
        begin = 0 if route.state is RouteState.LEGACY else _WAY.index(route.state) + 1
        for state in _WAY[begin : _WAY.index(until) + 1]:
            home = ShardHome("s1") if state is RouteState.NEW else None
            deadline = 4e9 if state is RouteState.FENCED else 0.0
            route = self.directory.advance(route, state, home=home, fence_deadline=deadline)
        self.moves.set(move.account_id, began=1.0, verified=json.dumps({}))

    def close(self) -> None:
        self.house.close()
