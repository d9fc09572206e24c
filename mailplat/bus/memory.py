"""The bus of one process, and the parts that the bus between processes builds on."""

import threading
from collections import OrderedDict
from collections.abc import Iterable

from mailplat.bus.contract import Listener, topics
from mailplat.core.clock import Clock, SystemClock
from mailplat.core.hint import Hint

# Counters kept in one process: 200 bytes each. Above it the one that was used longest ago is forgotten, so that
# a million source addresses cost 20 MB and not the machine.
MAX_COUNTERS = 100_000


def slide(current: int, previous: int, elapsed: float) -> int:
    """A sliding window from two fixed ones: the previous counts by the part of it that is still inside.
    `elapsed` is the part of the current window that is over, 0..1."""
    return current + int(previous * (1.0 - elapsed))


class Listeners:
    """The listeners of this process, by topic. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_topic: dict[str, set[Listener]] = {}

    def add(self, listener: Listener) -> bool:
        """True where it is the topic's first."""
        with self._lock:
            there = self._by_topic.setdefault(listener.topic, set())
            there.add(listener)
            return len(there) == 1

    def remove(self, listener: Listener) -> bool:
        """True where it was the topic's last."""
        with self._lock:
            there = self._by_topic.get(listener.topic, set())
            there.discard(listener)
            if there:
                return False
            return self._by_topic.pop(listener.topic, None) is not None

    def hears(self, topic: str) -> bool:
        with self._lock:
            return topic in self._by_topic

    def topics(self) -> set[str]:
        with self._lock:
            return set(self._by_topic)

    def fire(self, wanted: Iterable[str]) -> int:
        """Fire each listener of these topics; how many of them could not be woken."""
        with self._lock:
            found = [listener for topic in wanted for listener in self._by_topic.get(topic, ())]
        return sum(not listener.fire() for listener in found)


class Counters:
    """Rate counters of one process; for the event loop's thread."""

    def __init__(self, clock: Clock, limit: int = MAX_COUNTERS) -> None:
        self._clock = clock
        self._limit = limit
        self._windows: OrderedDict[tuple[str, float], tuple[int, int, int]] = OrderedDict()

    def add(self, key: str, window_s: float, amount: int) -> int:
        number, elapsed = divmod(self._clock.now() / window_s, 1.0)
        window = int(number)
        last, current, previous = self._windows.pop((key, window_s), (window, 0, 0))
        if last != window:
            current, previous = 0, current if last == window - 1 else 0
        current += amount
        self._windows[key, window_s] = (window, current, previous)
        if len(self._windows) > self._limit:
            self._windows.popitem(last=False)
        return slide(current, previous, elapsed)


class MemoryBus:
    """Everything within this process; a hint is heard at once and never lost."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.lost = 0
        self._listeners = Listeners()
        self._counters = Counters(clock or SystemClock())

    def publish(self, hint: Hint) -> None:
        self.lost += self._listeners.fire(topics(hint))

    def listen(self, topic: str) -> Listener:
        listener = Listener(topic, self._listeners.remove)
        self._listeners.add(listener)
        return listener

    async def count(self, key: str, window_s: float, amount: int = 1) -> int:
        return self._counters.add(key, window_s, amount)

    async def start(self) -> None:
        """Nothing to begin."""

    async def close(self) -> None:
        """Nothing to end: listeners are their owners' to close."""
