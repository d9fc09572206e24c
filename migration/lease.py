"""Until when this worker cannot have been taken for gone: to those that know no epochs it speaks only so long. Who
slept past its lease, be it for a moment, may find everything as it was, and its turns another's."""

from collections.abc import Callable

from mailplat.core.clock import Clock
from mailplat.core.errors import Unavailable

# Raises Unavailable where the worker may have been taken for gone since this was made.
Held = Callable[[], None]


def always() -> None:
    """Of what is only read."""


class Lease:
    """Counts from when it is made, and anew from each word that the worker lives (presence.py). From any thread."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._until = clock.monotonic() + seconds
        self._lapses = 0

    def renew(self, said: float) -> None:
        """`said`: monotonic time before the word was given."""
        if said >= self._until:
            self._lapses += 1
        self._until = max(self._until, said + self._seconds)

    def hold(self) -> Held:
        """Ask it before each command to somebody else; between the answer and the command lies no wait."""
        lapses = self._lapses

        def check() -> None:
            if self._lapses != lapses or self._clock.monotonic() >= self._until:
                raise Unavailable(
                    f"this worker has not said for {self._seconds:g} s that it lives: what it was at may be"
                    " another's by now"
                )

        return check
