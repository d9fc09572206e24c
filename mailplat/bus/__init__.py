"""Hints ("look again") and rate counters between connections and processes.

    contract  what every bus offers: Bus, Listener, topics
    memory    one process
    redis     several processes or machines, over Redis or Valkey: the only file that imports redis
    embedded  a private Valkey on a Unix socket for the workers of one machine

On the wire: one pub/sub channel for each topic, "mailplat:hint:TOPIC", whose messages carry only the number of
the sending bus (to ignore its own echo); one counter for each key and window, "mailplat:count:KEY:WINDOW".

Invariants. `publish` never blocks, never raises, and reaches the listeners of its own process even when the
server is gone. A listener fires after every gap in which a hint could have been missed: once its subscription
is confirmed, and again after each reconnect; whoever woke reads the database, so a false alarm costs one read
and a lost hint costs nothing. Counters fail open to this process's own count: limits stay, only wider.
What must never happen: mail lost, or a decision about who owns an account, because of a hint or a counter.
"""

from mailplat.bus.contract import Bus, Listener, topics
from mailplat.bus.memory import MemoryBus
from mailplat.core.errors import InvalidInput

__all__ = ["Bus", "Listener", "MemoryBus", "open_bus", "topics"]


def open_bus(url: str, workers: int = 1) -> Bus:
    """The bus that `bus.url` names: "" or "memory:" within one process; redis://, rediss:// or unix:// a
    server. Raises InvalidInput for anything else, and for memory between several workers."""
    if url in ("", "memory:"):
        if workers > 1:
            raise InvalidInput(
                f"bus.url {url!r} does not reach from one process to another and there are {workers} workers; "
                "leave it empty for a private Valkey, or use redis://HOST"
            )
        return MemoryBus()
    if url.partition(":")[0] in ("redis", "rediss", "unix"):
        from mailplat.bus.redis import RedisBus  # here, because most commands never need that library

        return RedisBus(url)
    raise InvalidInput(f"bus.url {url!r}: use memory:, redis://HOST, rediss://HOST or unix:///SOCKET")
