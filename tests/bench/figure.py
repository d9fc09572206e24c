"""One line of the table."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Target:
    """What must be reached: of the ratio, or of our own figure where the peer's says nothing about what is good."""

    limit: float
    way: Literal["at most", "at least"]
    of: Literal["ratio", "figure"] = "ratio"

    def __str__(self) -> str:
        sign = "<=" if self.way == "at most" else ">="
        return f"{sign} {self.limit:g}" + (" times" if self.of == "ratio" else "")


@dataclass
class Figure:
    """`ratio` is ours divided by the peer's: of a rate, above 1.0 is better; of a time, below."""

    work: str
    unit: str
    peer_name: str
    ours: float
    peer: float | None
    target: Target | None = None

    @property
    def ratio(self) -> float | None:
        return self.ours / self.peer if self.peer else None

    @property
    def reached(self) -> bool | None:
        """None where there is no target, or no peer to compare with."""
        if self.target is None:
            return None
        found = self.ratio if self.target.of == "ratio" else self.ours
        if found is None:
            return None
        return found <= self.target.limit if self.target.way == "at most" else found >= self.target.limit
