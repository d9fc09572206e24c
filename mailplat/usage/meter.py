"""Counting in one process. For the event loop; nothing here waits or raises."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from mailplat.core.clock import Clock, SystemClock
from mailplat.core.outcome import Result
from mailplat.usage.counts import LATE_S, Counts

HOUR_S = 3600

# Seconds after which the octets of a session that is still open are counted: a client that downloads everything again
# is seen while it does, and 20,000 silent ones are looked at once a minute (4 ms).
OPEN_EVERY_S = 60.0

# Accounts of which a process knows that they are counted for this hour; some 100 octets each. Beyond it one may be
# counted twice.
REMEMBERED = 50_000

# Rows that wait for a database that is away: a day of 4,000 domains. Then the eldest hours are given up.
MOST_ROWS = 100_000


class Key(NamedTuple):
    domain: str  # A-labels, lower case
    hour: int  # Unix time of its beginning
    home: str  # as str(core.route.Home)


class Tap:
    """The octets of one session. `read` says how many there were so far; close() when it is over, idempotent."""

    __slots__ = ("_meter", "_read", "counted", "domain", "home")

    def __init__(self, meter: "Meter", domain: str, home: str, read: Callable[[], int]) -> None:
        self._meter = meter
        self._read = read
        self.domain = domain
        self.home = home
        self.counted = read()

    def fresh(self) -> int:
        """Octets since it was asked last."""
        now = self._read()
        fresh, self.counted = now - self.counted, now
        return fresh

    def close(self) -> None:
        self._meter.close_tap(self)


class Meter:
    """One for a process, shared by its doors and its deliveries."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._counts: dict[Key, Counts] = {}
        self._taps: set[Tap] = set()
        self._looked = self._clock.monotonic()
        self._met: set[tuple[int, bool]] = set()
        self._met_hour = 0

    def login(self, account_id: int, domain: str, home: object) -> None:
        """That succeeded."""
        counts = self._of(domain, home)
        counts.logins += 1
        counts.users += self._first(account_id, refused=False)

    def refusal(self, account_id: int, domain: str, home: object) -> None:
        """Of a password, a proof or a token."""
        counts = self._of(domain, home)
        counts.refused += 1
        counts.prompted += self._first(account_id, refused=True)

    def delivery(self, domain: str, home: object, result: Result, delay: float = 0.0) -> None:
        """What became of an attempt for one recipient; `delay` in seconds since our 250."""
        counts = self._of(domain, home)
        if result is Result.DEFERRED:
            counts.deferred += 1
        elif result is Result.FAILED:
            counts.failed += 1
        else:
            counts.delivered += 1
            counts.delay_ms += round(max(0.0, delay) * 1000)
            for late in LATE_S:
                if delay <= late:
                    break
                name = f"later_{late}"
                setattr(counts, name, getattr(counts, name) + 1)

    def open_tap(self, domain: str, home: object, read: Callable[[], int]) -> Tap:
        """A session begins; what `read` says now is not counted."""
        tap = Tap(self, domain, str(home), read)
        self._taps.add(tap)
        return tap

    def close_tap(self, tap: Tap) -> None:
        if tap in self._taps:
            self._taps.discard(tap)
            self._draw(tap)

    def take(self, *, everything: bool = False) -> dict[Key, Counts]:
        """What was counted since the last time; it is the caller's now. `everything`: of open sessions too, whenever
        they were looked at last."""
        now = self._clock.monotonic()
        if everything or now - self._looked >= OPEN_EVERY_S:
            self._looked = now
            for tap in self._taps:
                self._draw(tap)
        taken, self._counts = self._counts, {}
        return taken

    def give_back(self, counts: Mapping[Key, Counts]) -> int:
        """What could not be kept is counted again, the youngest hours first; how many rows had no room."""
        lost = 0
        for key, each in sorted(counts.items(), key=lambda one: -one[0].hour):
            known = self._counts.get(key)
            if known is not None:
                known.add(each)
            elif len(self._counts) < MOST_ROWS:
                self._counts[key] = each
            else:
                lost += 1
        return lost

    def _draw(self, tap: Tap) -> None:
        if fresh := tap.fresh():
            self._of(tap.domain, tap.home).octets += fresh

    def _of(self, domain: str, home: object) -> Counts:
        key = Key(domain, self._hour(), str(home))
        counts = self._counts.get(key)
        if counts is None:
            counts = self._counts[key] = Counts()
        return counts

    def _first(self, account_id: int, *, refused: bool) -> int:
        """1 where this process has not counted the account for this hour, else 0."""
        hour, one = self._hour(), (account_id, refused)
        if hour != self._met_hour or len(self._met) >= REMEMBERED:
            self._met.clear()
            self._met_hour = hour
        if one in self._met:
            return 0
        self._met.add(one)
        return 1

    def _hour(self) -> int:
        return int(self._clock.now()) // HOUR_S * HOUR_S
