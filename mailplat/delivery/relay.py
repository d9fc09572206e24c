"""To a backend or a smart host: pooled connections, bounded for each next hop."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from mailplat.core.address import Address
from mailplat.core.envelope import Envelope, Wish
from mailplat.core.errors import InvalidInput
from mailplat.core.executors import Executors
from mailplat.core.outcome import Outcome
from mailplat.core.reply import Reply
from mailplat.core.spool import Body
from mailplat.delivery.dialogue import Dialogue, Interrupted, Load, Timeouts, open_dialogue

# One read of the spooled message: few thread switches, little memory for each message on its way.
CHUNK = 256 * 1024

_ENDPOINT = re.compile(r"(smtp|lmtp):(\[[0-9A-Fa-f:.]+\]|[^:\[\]]+):([0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class RelayLimits:
    # Connections to one next hop. A legacy platform also has its own senders; Postfix's own default is 20.
    connections: int = 10
    # An idle connection is closed after this many seconds: most servers keep one for minutes, none for less.
    idle: float = 15.0
    # After a failed connection the next ones fail at once for this long: a dead host must not hold every worker.
    rest: float = 5.0
    # Messages over one connection, so that a server behind a balancer changes now and then.
    messages: int = 100
    # Recipients of one transaction: what every server must take (RFC 5321 4.5.3.1.8).
    recipients: int = 100
    timeouts: Timeouts = field(default_factory=Timeouts)


@dataclass(frozen=True, slots=True)
class Endpoint:
    host: str
    port: int
    lmtp: bool


def parse_endpoint(text: str) -> Endpoint:
    """`smtp:host:port` or `lmtp:host:port`, an IPv6 address in brackets. Raises InvalidInput."""
    match = _ENDPOINT.fullmatch(text)
    if match is None or not 0 < int(match[3]) < 65536:
        raise InvalidInput(f"{text!r} is no next hop; write smtp:host:port or lmtp:host:port")
    return Endpoint(match[2].strip("[]"), int(match[3]), match[1] == "lmtp")


class _Hop:
    """One next hop: its idle connections and the right to open more."""

    def __init__(self, limits: RelayLimits) -> None:
        self.free = asyncio.Semaphore(limits.connections)
        self.idle: list[tuple[float, Dialogue]] = []  # since when
        self.down_until = 0.0
        self.refusal = Reply(451, "4.4.1", "")  # of the last failed connection


class RelayTransport:
    """One for a process; for one event loop."""

    def __init__(self, hostname: str, executors: Executors, limits: RelayLimits | None = None) -> None:
        self._hostname = hostname
        self._executors = executors
        self._limits = limits or RelayLimits()
        self._hops: dict[Endpoint, _Hop] = {}

    async def deliver(
        self,
        next_hop: str,
        envelope: Envelope,
        recipients: Sequence[Address],
        body: Body,
        *,
        prefix: bytes = b"",
        commit: Callable[[], None] = lambda: None,
        wishes: Sequence[Wish] = (),
    ) -> list[Outcome]:
        """Prefix and body to each recipient over `next_hop` (parse_endpoint); an outcome for each, in order.
        `wishes` are theirs, in the same order, where there are any.
        `commit` is called before each final dot and may raise to stop there. Cancelled, it drops the
        connection at once; before `commit` nothing was delivered then. Raises InvalidInput."""
        endpoint = parse_endpoint(next_hop)
        outcomes: list[Outcome] = []
        for start in range(0, len(recipients), self._limits.recipients):
            end = start + self._limits.recipients
            some = Load(envelope, recipients[start:end], wishes[start:end], len(prefix) + body.size)
            outcomes += await self._transaction(endpoint, some, body, prefix, commit)
        return outcomes

    async def close(self) -> None:
        """Leave politely."""
        idle = [dialogue for hop in self._hops.values() for _, dialogue in hop.idle]
        self._hops.clear()
        await asyncio.gather(*(dialogue.quit() for dialogue in idle))

    async def close_idle(self) -> None:
        """Close what was idle for too long."""
        limit = time.monotonic() - self._limits.idle
        old = []
        for hop in self._hops.values():
            old += [dialogue for since, dialogue in hop.idle if since < limit]
            hop.idle = [(since, dialogue) for since, dialogue in hop.idle if since >= limit]
        await asyncio.gather(*(dialogue.quit() for dialogue in old))

    async def _transaction(
        self,
        endpoint: Endpoint,
        load: Load,
        body: Body,
        prefix: bytes,
        commit: Callable[[], None],
    ) -> list[Outcome]:
        hop = self._hops.setdefault(endpoint, _Hop(self._limits))
        async with hop.free:
            while True:
                dialogue = self._take(hop)
                reused = dialogue is not None
                if dialogue is None:
                    dialogue = await self._connect(endpoint, hop)
                if dialogue is None:
                    refused = Outcome.from_reply(hop.refusal, f"{endpoint.host}:{endpoint.port}")
                    return [refused] * len(load.recipients)
                chunks = self._chunks(prefix, body)
                outcomes = await dialogue.send(load, chunks, commit)
                await self._keep(hop, dialogue)
                # That the server had closed a kept connection says nothing about the message: once more, anew.
                if reused and dialogue.lost_early:
                    continue
                return outcomes

    async def _connect(self, endpoint: Endpoint, hop: _Hop) -> Dialogue | None:
        """None where it cannot be reached; hop.refusal says why."""
        if time.monotonic() < hop.down_until:
            return None
        try:
            return await open_dialogue(
                endpoint.host,
                endpoint.port,
                self._hostname,
                lmtp=endpoint.lmtp,
                timeouts=self._limits.timeouts,
            )
        except Interrupted as error:
            hop.refusal = error.reply
            hop.down_until = time.monotonic() + self._limits.rest
            return None

    async def _keep(self, hop: _Hop, dialogue: Dialogue) -> None:
        if not dialogue.usable:
            return
        if dialogue.messages < self._limits.messages:
            hop.idle.append((time.monotonic(), dialogue))
        else:
            await dialogue.quit()

    def _take(self, hop: _Hop) -> Dialogue | None:
        limit = time.monotonic() - self._limits.idle
        while hop.idle:
            since, dialogue = hop.idle.pop()
            if since >= limit and not dialogue.closed_by_remote:
                return dialogue
            dialogue.abort()
        return None

    async def _chunks(self, prefix: bytes, body: Body) -> AsyncIterator[bytes]:
        if prefix:
            yield prefix
        with body.open() as source:
            while chunk := await self._executors.run("spool", source.read, CHUNK):
                yield chunk
