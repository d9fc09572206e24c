"""Who may connect, and how many at once, before any work is done for them; and the messages being stored."""

import asyncio
import collections
from collections.abc import Coroutine
from typing import Protocol

import structlog

from mailplat.core.limits.smtp import SmtpLimits
from mailplat.core.network import Networks, network_of
from mailplat.core.reply import Reply
from mailplat.ingress.conduct import Conduct

log = structlog.get_logger("ingress")

BUSY = Reply(421, "4.7.0", "Too many connections, try again later")
BUSY_FOR_YOU = Reply(421, "4.7.0", "Too many connections from your address")
BUSY_FOR_YOUR_NETWORK = Reply(421, "4.7.0", "Too many connections from your network")
CLOSED_FOR_YOU = Reply(421, "4.7.0", "Too many errors from your address, try again later")
SHUTTING_DOWN = Reply(421, "4.3.2", "Service is shutting down, try again")


class Guest(Protocol):
    """A connection."""

    def wind_down(self) -> None: ...

    def abort(self) -> None: ...


class Gate:
    """All connections of one process and the messages being stored for them. Lives in one event loop. `trusted`
    networks have only the limit of all connections together."""

    def __init__(self, limits: SmtpLimits, trusted: Networks, conduct: Conduct) -> None:
        self.connections: set[Guest] = set()
        self.storing: set[asyncio.Task[list[Reply]]] = set()
        self.quiet = asyncio.Event()  # nobody connected, nothing being stored
        self.quiet.set()
        self.closed = False
        self.conduct = conduct
        self._limits = limits
        self._trusted = trusted
        self._from: collections.Counter[str] = collections.Counter()

    def enter(self, connection: Guest) -> Reply | None:
        """Count a connection in, whoever it is from, or say why not."""
        if self.closed:
            return SHUTTING_DOWN
        if len(self.connections) >= self._limits.connections:
            log.warning("connection refused", limit=self._limits.connections)
            return BUSY
        self.connections.add(connection)
        self.quiet.clear()
        return None

    def leave(self, connection: Guest) -> None:
        self.connections.discard(connection)
        self._settle()

    def admit(self, address: str) -> Reply | None:
        """Count in whom a connection is from, or say why not."""
        if address not in self._trusted:
            network = network_of(address)
            for key, most, refusal in (
                (address, self._limits.connections_per_address, BUSY_FOR_YOU),
                (network, self._limits.connections_per_network, BUSY_FOR_YOUR_NETWORK),
            ):
                if self._from[key] >= most:
                    log.warning("connection refused", peer=address, limit=most)
                    return refusal
            if self.conduct.is_closed(address):
                log.info("connection refused", peer=address, points=round(self.conduct.points(address)))
                return CLOSED_FOR_YOU
            if network != address:
                self._from[network] += 1
        self._from[address] += 1
        return None

    def release(self, address: str) -> None:
        """Whoever `admit` let in has left."""
        keys = {address} if address in self._trusted else {address, network_of(address)}
        for key in keys:
            self._from[key] -= 1
            if self._from[key] <= 0:
                del self._from[key]

    def keep(self, work: Coroutine[None, None, list[Reply]]) -> asyncio.Task[list[Reply]]:
        """Run to its end whatever becomes of the connection; draining waits for it."""
        task = asyncio.get_running_loop().create_task(work)
        self.storing.add(task)
        self.quiet.clear()
        task.add_done_callback(self._kept)
        return task

    def _kept(self, task: asyncio.Task[list[Reply]]) -> None:
        self.storing.discard(task)
        self._settle()

    def _settle(self) -> None:
        if not self.connections and not self.storing:
            self.quiet.set()
