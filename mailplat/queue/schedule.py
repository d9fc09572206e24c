"""When to try again and when to give up (RFC 5321 4.5.4.1)."""

import random
from dataclasses import dataclass

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class RetrySchedule:
    """Exponential with jitter; every field is in seconds or a factor, and a setting.

    The first pauses are short because most refusals here are a legacy server that restarts or greylists; the
    longest is what RFC 5321 asks as the least (30 minutes) doubled, so that a host that was down for a day is
    served within the hour."""

    first: float = 15.0
    factor: float = 2.0
    longest: float = 3600.0
    # The part of a pause that is drawn: what failed together does not come back together.
    jitter: float = 0.25
    # RFC 5321 4.5.4.1: at least 4-5 days.
    give_up: float = 5 * DAY_S

    def pause(self, attempts: int, rng: random.Random) -> float:
        """Seconds until the next attempt, `attempts` being how many there were (at least 1)."""
        # The exponent is bounded because a float overflows at 1024 doublings.
        pause = min(self.first * self.factor ** min(attempts - 1, 64), self.longest)
        return pause * (1.0 + self.jitter * (2.0 * rng.random() - 1.0))

    def expired(self, arrived: float, now: float) -> bool:
        return now - arrived > self.give_up
