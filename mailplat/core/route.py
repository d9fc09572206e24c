"""Where an account lives and who may write it: the one row that every door reads.

State machine (docs/architecture.md draws it). The epoch grows by exactly one with every transition; a write
that carries another epoch than the row's is stale. Transitions not in TRANSITIONS raise.
"""

import enum
from dataclasses import dataclass

from mailplat.core.errors import MailplatError


@dataclass(frozen=True, slots=True)
class ShardHome:
    """The mail is in one of our shards."""

    shard: str

    def __str__(self) -> str:
        return f"shard:{self.shard}"


@dataclass(frozen=True, slots=True)
class BackendHome:
    """The mail is on another platform; doors relay and proxy to it."""

    backend: str

    def __str__(self) -> str:
        return f"backend:{self.backend}"


Home = ShardHome | BackendHome


def parse_home(text: str) -> Home:
    """`shard:NAME` or `backend:NAME`; ValueError otherwise (fail closed: there is no default home)."""
    kind, _, name = text.partition(":")
    if name and kind == "shard":
        return ShardHome(name)
    if name and kind == "backend":
        return BackendHome(name)
    raise ValueError(f"{text!r} is no home; write shard:NAME or backend:NAME")


class RouteState(enum.Enum):
    LEGACY = "legacy"  # home is a backend; doors relay and proxy
    SEEDING = "seeding"  # first copy runs; doors as LEGACY
    TRACKING = "tracking"  # delta rounds run; doors as LEGACY
    READY = "ready"  # converged twice and verified; doors as LEGACY
    FENCED = "fenced"  # nobody writes: SMTP holds, logins wait; until fence_deadline
    NEW = "new"  # home is a shard; doors serve it
    ROLLBACK_FENCED = "rollback-fenced"  # as FENCED, on the way back
    FINAL = "final"  # as NEW, no way back any more
    SHARD_FENCED = "shard-fenced"  # as FENCED, from one shard to another; then NEW or FINAL as before


TRANSITIONS: dict[RouteState, frozenset[RouteState]] = {
    RouteState.LEGACY: frozenset({RouteState.SEEDING}),
    # To itself: another engine takes the move over. The epoch is a new one, and what the first still writes is stale;
    # doors forward before and after it.
    RouteState.SEEDING: frozenset({RouteState.SEEDING, RouteState.TRACKING, RouteState.LEGACY}),
    RouteState.TRACKING: frozenset(
        {RouteState.TRACKING, RouteState.READY, RouteState.FENCED, RouteState.LEGACY}
    ),
    RouteState.READY: frozenset(
        {RouteState.READY, RouteState.FENCED, RouteState.TRACKING, RouteState.LEGACY}
    ),
    RouteState.FENCED: frozenset({RouteState.NEW, RouteState.TRACKING}),
    RouteState.NEW: frozenset({RouteState.ROLLBACK_FENCED, RouteState.FINAL, RouteState.SHARD_FENCED}),
    RouteState.ROLLBACK_FENCED: frozenset({RouteState.LEGACY, RouteState.NEW}),
    # From shard to shard no row says that a copy is under way: a step would end the sessions of the account. Only
    # the fence is one.
    RouteState.FINAL: frozenset({RouteState.FENCED, RouteState.SHARD_FENCED}),
    RouteState.SHARD_FENCED: frozenset({RouteState.NEW, RouteState.FINAL}),
}

FENCES = frozenset({RouteState.FENCED, RouteState.ROLLBACK_FENCED, RouteState.SHARD_FENCED})


class IllegalTransition(MailplatError):
    """A route was asked to make a step that TRANSITIONS does not have."""


def check_transition(old: RouteState, new: RouteState) -> None:
    if new not in TRANSITIONS[old]:
        raise IllegalTransition(f"a route cannot go from {old.value} to {new.value}")


class Door(enum.Enum):
    """What a door does for an account at this instant."""

    SERVE = "serve"  # we hold the mail
    FORWARD = "forward"  # relay (SMTP) or proxy (IMAP, POP3) to home.backend
    HOLD = "hold"  # SMTP: accept into the hold queue; logins: wait until the fence is over


@dataclass(frozen=True, slots=True)
class Route:
    """`route(account, home, epoch, state, fence_deadline)`. `fence_deadline` is Unix time in seconds, 0.0
    outside a fence. While FENCED the home is still the old one; the commit changes it."""

    account_id: int
    home: Home
    epoch: int
    state: RouteState
    fence_deadline: float = 0.0

    @property
    def door(self) -> Door:
        if self.state in FENCES:
            return Door.HOLD
        return Door.SERVE if isinstance(self.home, ShardHome) else Door.FORWARD

    def ends(self, epoch: int) -> bool:
        """Whether a session that is served under `epoch` has to end. A row that is older than the session says
        nothing about it: who waited for a fence logs in before this process has heard of the fence's end."""
        return self.epoch > epoch or (self.epoch == epoch and self.door is not Door.SERVE)


@dataclass(frozen=True, slots=True)
class Residence:
    """An account in a shard under an epoch: what every call on the store takes. A write whose epoch is not
    the one that the shard granted last raises StaleEpoch."""

    account_id: int
    shard: str
    epoch: int
