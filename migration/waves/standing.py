"""How many accounts of a wave are where, and how much of its error budget is spent."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from mailplat.core.route import RouteState
from migration.ledger import Move
from migration.plan.stored import Stored

MOVED = frozenset({RouteState.NEW, RouteState.FINAL})


@dataclass(frozen=True, slots=True)
class Standing:
    """`moves`: of the domains that stay in the wave; `back`: domains that a person has sent back."""

    moves: Sequence[Move]
    back: frozenset[str]
    failed: Sequence[Move]  # halted, or their fence was taken back since the last `resume`
    budget: float

    @property
    def is_spent(self) -> bool:
        return len(self.failed) > self.budget * len(self.moves)

    @property
    def ready(self) -> int:
        """Moved ones too."""
        return sum(is_ready(each) for each in self.moves)

    @property
    def moved(self) -> int:
        return sum(each.route.state in MOVED for each in self.moves)

    @property
    def copied(self) -> tuple[int, int]:
        """Messages here, of how many."""
        return sum(each.copied for each in self.moves), sum(each.total for each in self.moves)

    def counts(self) -> dict[str, int]:
        return dict(Counter(each.state for each in self.moves))

    def said(self) -> str:
        """Why the budget is spent."""
        first = self.failed[0]
        why = first.halted or f"its fence was taken back {first.aborts} times"
        more = f", and {len(self.failed) - 1} more" if len(self.failed) > 1 else ""
        return (
            f"{len(self.failed)} of {len(self.moves)} accounts are halted or had their fence taken back, "
            f"{self.budget:.1%} may: {first.address}: {why}{more}"
        )


def standing(wave: Stored, moves: Sequence[Move]) -> Standing:
    """`moves`: all of its domains'."""
    staying = set(wave.staying)
    back = frozenset(each.domain for each in moves if each.rollback or _returned(each))
    mine = [each for each in moves if each.domain in staying and each.domain not in back]
    return Standing(mine, back, [each for each in mine if _failed(wave, each)], wave.terms.error_budget)


def _returned(move: Move) -> bool:
    return move.rolled_back > 0.0 and move.route.state is RouteState.LEGACY


def _failed(wave: Stored, move: Move) -> bool:
    if move.halted:
        return True
    return move.route.state not in MOVED and move.aborts > wave.forgiven.get(move.account_id, 0)


def is_ready(move: Move) -> bool:
    return move.route.state is RouteState.READY or move.route.state in MOVED
