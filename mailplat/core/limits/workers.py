"""When a worker of the migration's engine counts as gone, and an account as one that ends workers."""

from dataclasses import dataclass

from mailplat.core.limits import limit


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """Read by migration/presence.py and attendance.py."""

    # Seconds that a worker's word counts; it says it five times as often. Long enough that a busy machine does not
    # lose its turns, short enough that another takes back a fence before its cap of 30 s.
    lease: float = limit(10.0, least=1.0, most=60.0)
    # Workers in a row that did not end an account's turn, after which a person has to look: what ends a worker that
    # often lies in the account. One that is killed by chance is killed over others too.
    deaths: int = limit(20, least=1)
