"""One line of the table."""

from dataclasses import dataclass


@dataclass
class Figure:
    """`better` says which way is good; `ratio` is ours divided by the peer's, above 1.0 when ours is better."""

    work: str
    unit: str
    peer_name: str
    ours: float
    peer: float | None

    @property
    def ratio(self) -> float | None:
        return self.ours / self.peer if self.peer else None
