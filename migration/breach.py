"""What a gate says of a domain that has moved."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Breach:
    """A measure of a moved domain is worse than it can be by chance. `was` and `expected` are rates."""

    domain: str
    measure: str
    was: float
    expected: float
    reason: str
