"""What slows down who guesses passwords: failures counted by name, address and network; and how many connections of
one network may stand before the door.

A wrong password is answered late, a right one never: whoever shares an address with a guesser (a company, carrier
NAT) gets in as fast as ever. Late answers alone would not slow down somebody who tries on a thousand connections at
once; therefore connections that have not logged in are limited by network. Together they bound the rate: a network
past its free failures gets at most `waiting` / `MAX_DELAY_S` answers a second from each worker.
"""

import asyncio
import collections
from collections.abc import Sequence
from dataclasses import dataclass

from mailplat.admin import metrics
from mailplat.bus import Bus
from mailplat.core.errors import LimitReached
from mailplat.core.network import Networks, network_of

FAILURE_WINDOW_S = 60.0

# Failed logins of one name from one address within the window before each further answer is delayed. A person who
# mistypes never notices, a dictionary does.
FREE_FAILURES = 3


@dataclass(frozen=True, slots=True)
class ThrottleLimits:
    """An admin changes them through settings, [auth]."""

    # Failures a minute of one address, whatever the names: an office whose 20 programs all have an old password.
    address_failures: int = 20
    # Of one network: some such offices. Beyond it is somebody who goes through the addresses of his /64.
    network_failures: int = 100
    # Connections of one network that have not logged in, in one worker: a thousand clients behind one NAT that all
    # come back within a second are let in in turns, each login takes a fraction of one.
    waiting: int = 200
    # Of webmail and proxies, which speak for all users: neither counts there, but the failures of a name do.
    trusted: Sequence[str] = ()


class Throttle:
    """One per process; the failures are counted on the bus, for all processes together."""

    def __init__(self, bus: Bus, limits: ThrottleLimits) -> None:
        """Raises ValueError for a trusted network that is none."""
        self._bus = bus
        self._limits = limits
        self._trusted = Networks(limits.trusted)
        self._waiting: collections.Counter[str] = collections.Counter()

    async def excess(self, name: str, address: str) -> int:
        """Count a failure. By how many the limit is passed that is passed furthest; 0 where none is."""
        keys = [("name", f"login:{address}:{name.casefold()[:200]}", FREE_FAILURES)]
        if address not in self._trusted:
            keys += [
                ("address", f"login-address:{address}", self._limits.address_failures),
                ("network", f"login-network:{network_of(address)}", self._limits.network_failures),
            ]
        counts = await asyncio.gather(*(self._bus.count(key, FAILURE_WINDOW_S) for _, key, _ in keys))
        worst = 0
        for (cause, _, free), count in zip(keys, counts, strict=True):
            if count > free:
                metrics.throttled.labels(cause).inc()
                worst = max(worst, count - free)
        return worst

    def admit(self, address: str) -> "Ticket":
        """A connection that has not logged in. Raises LimitReached when its network has its fill of them."""
        network = "" if address in self._trusted else network_of(address)
        if network:
            if self._waiting[network] >= self._limits.waiting:
                metrics.throttled.labels("connections").inc()
                raise LimitReached(
                    f"{network} has {self._limits.waiting} connections that have not logged in, the limit is "
                    "auth.unauthenticated_per_network"
                )
            self._waiting[network] += 1
        return Ticket(self, network)

    def release(self, network: str) -> None:
        self._waiting[network] -= 1
        if self._waiting[network] <= 0:
            del self._waiting[network]

    def waiting(self) -> int:
        """Connections that have not logged in, without those of trusted networks."""
        return self._waiting.total()


class Ticket:
    """A place before the door. `close` gives it back: when somebody is logged in, or gone; idempotent."""

    __slots__ = ("_network", "_throttle")

    def __init__(self, throttle: Throttle, network: str) -> None:
        self._throttle = throttle
        self._network = network

    def close(self) -> None:
        network, self._network = self._network, ""
        if network:
            self._throttle.release(network)
