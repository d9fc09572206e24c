"""What every bus offers, and the listener that they share."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from mailplat.core.hint import Hint, MailboxChanged, QueueChanged, RouteChanged


def topics(hint: Hint) -> tuple[str, ...]:
    """Where a hint is heard. "account:ID": this account's mailboxes or route; "routes": any route;
    "queue": the queue."""
    match hint:
        case MailboxChanged(account_id=account_id):
            return (f"account:{account_id}",)
        case RouteChanged(account_id=account_id):
            return (f"account:{account_id}", "routes")
        case QueueChanged():
            return ("queue",)


class Listener:
    """ "Something happened on this topic since you last waited", coalesced. Belongs to the event loop that
    made it and to one task at a time; `fire` may come from any thread."""

    def __init__(self, topic: str, on_close: "Callable[[Listener], object]") -> None:
        self.topic = topic
        self._loop = asyncio.get_running_loop()
        self._on_close = on_close
        self._fired = False
        self._waiter: asyncio.Future[None] | None = None
        self._closed = False

    @property
    def pending(self) -> bool:
        """True where wait() would return at once."""
        return self._fired

    async def wait(self, timeout: float | None = None) -> bool:
        """True as soon as something happened since the last wait() returned True; False after `timeout`
        seconds."""
        if not self._fired:
            self._waiter = self._loop.create_future()
            try:
                await asyncio.wait((self._waiter,), timeout=timeout)
            finally:
                self._waiter = None
        fired, self._fired = self._fired, False
        return fired

    def fire(self) -> bool:
        """Wake the waiter, or the next one. False where nobody can be woken any more (closed loop)."""
        if self._fired or self._closed:
            return not self._closed
        self._fired = True
        try:
            self._loop.call_soon_threadsafe(self._wake)
        except RuntimeError:  # the loop of a process that is going down
            return False
        return True

    def close(self) -> None:
        """Idempotent. A task that still waits is left to its timeout or its cancellation."""
        if not self._closed:
            self._closed = True
            self._on_close(self)

    def _wake(self) -> None:
        # `_fired` is false here when the waiter saw the change before this callback had its turn.
        if self._fired and self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Bus(Protocol):
    lost: int
    """Hints that this process could not send."""

    def publish(self, hint: Hint) -> None:
        """Thread-safe; never blocks, never raises; may be lost, and is then counted in `lost`."""
        ...

    def listen(self, topic: str) -> Listener:
        """Hear a topic from now on, in the running event loop. Listen first, then read, then wait."""
        ...

    async def count(self, key: str, window_s: float, amount: int = 1) -> int:
        """Add `amount` to the rate counter `key` and return its total over the last `window_s` seconds
        (sliding, estimated from two fixed windows). Never raises: see the package on failing open."""
        ...

    async def start(self) -> None:
        """Begin to receive. Publishing and listening before it are allowed."""
        ...

    async def close(self) -> None: ...
