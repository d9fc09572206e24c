"""What addresses did that no mail server does: points, which pass with time. Who has many is answered late where he
is refused, and is not let in for a while where he has more: a botnet's member loses its patience long before a server
with a broken script does, and nobody loses mail, because a later try is always welcome.

For one process and one event loop. An address is that of a customer: of IPv6 his /64.
"""

import collections
import math
from collections.abc import Callable
from dataclasses import dataclass

from mailplat.core.limits.smtp import SmtpLimits
from mailplat.core.network import Networks, network_of

# Before the greeting (RFC 5321 3.1), as who has written its whole message beforehand does.
EARLY = 25.0
# A command that is unknown, malformed or out of turn.
MISTAKE = 1.0
# A recipient who is not here: one is a slip of the pen, a hundred are a dictionary.
UNKNOWN_RECIPIENT = 2.0
# A recipient elsewhere, by who may not relay.
RELAY = 5.0
# A message that was taken.
MESSAGE = -10.0

# One more second of delay for so many points beyond `tarpit_points`.
_SLOWER = 10.0


@dataclass(slots=True)
class _Record:
    points: float = 0.0
    at: float = 0.0  # monotonic time of `points`
    waited: bool = False  # it waited for our greeting


class Conduct:
    """Of the most recent `limits.remembered` addresses. Networks in `trusted` have no points."""

    def __init__(self, limits: SmtpLimits, trusted: Networks, monotonic: Callable[[], float]) -> None:
        self._limits = limits
        self._trusted = trusted
        self._now = monotonic
        self._known: collections.OrderedDict[str, _Record] = collections.OrderedDict()

    def note(self, address: str, points: float) -> None:
        if address in self._trusted:
            return
        record = self._record(address)
        record.points = max(0.0, self._left(record) + points)
        record.at = self._now()

    def points(self, address: str) -> float:
        record = self._known.get(_customer(address))
        return 0.0 if record is None else self._left(record)

    def delay(self, address: str) -> float:
        """Seconds that a refusal is held back."""
        beyond = self.points(address) - self._limits.tarpit_points
        return 0.0 if beyond < 0 else min(self._limits.tarpit_delay, 1.0 + beyond / _SLOWER)

    def is_closed(self, address: str) -> bool:
        return self.points(address) >= self._limits.closed_points

    def greet_wait(self, address: str) -> float:
        """Seconds that the greeting is held back, to see whether the client can wait."""
        record = self._known.get(_customer(address))
        if not address or address in self._trusted or (record is not None and record.waited):
            return 0.0
        return self._limits.greet_wait

    def waited(self, address: str) -> None:
        """It need not show it again until it is forgotten."""
        self._record(address).waited = True

    def _record(self, address: str) -> _Record:
        key = _customer(address)
        record = self._known.get(key)
        if record is None:
            record = self._known[key] = _Record()
            if len(self._known) > self._limits.remembered:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        return record

    def _left(self, record: _Record) -> float:
        halves = (self._now() - record.at) / self._limits.forgiven
        return record.points * math.pow(0.5, halves)


def _customer(address: str) -> str:
    return network_of(address) if ":" in address else address
