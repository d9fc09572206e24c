"""The bus between processes, over Redis or Valkey. The only file that imports redis.

The library's defaults are wrong for a mail server and each is overruled here, with a test: a read timeout of 5 s
(a quiet subscription is normal: none there), 10 retries with pauses (a dead server must cost an SMTP command
milliseconds, not seconds: no retry), a pool that raises when it is empty (ours waits), RESP3 (RESP2: hints need
no push types, and no hand-shake for maintenance notices).
"""

import asyncio
import contextlib
import secrets
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from mailplat.bus.contract import Listener, topics
from mailplat.bus.memory import Counters, Listeners, slide
from mailplat.core.clock import Clock, SystemClock
from mailplat.core.errors import InvalidInput
from mailplat.core.hint import Hint

log = structlog.get_logger("bus")

CHANNEL = "mailplat:hint:"
COUNTER = "mailplat:count:"

_REFUSALS = (RedisError, OSError, TimeoutError)


@dataclass(frozen=True, slots=True)
class RedisLimits:
    """Seconds, where nothing else is said."""

    # A counter is asked while an SMTP client waits: beyond this our own count is the better answer.
    command_timeout: float = 0.5
    connect_timeout: float = 0.5
    # How long a server that failed is left alone: one that hangs costs a timeout a second, not one a command.
    rest: float = 1.0
    # Connections for commands; more callers than that wait, for at most command_timeout.
    connections: int = 16
    # Between two attempts to subscribe again.
    reconnect: float = 0.2
    # A subscription this quiet is asked whether it lives: a vanished peer sends no FIN.
    quiet: float = 15.0
    # Topics that wait to be sent, while the server is slow. More are lost: they are only hints.
    outbox: int = 10_000


class RedisBus:
    """`url`: redis://, rediss:// or unix:///SOCKET, as the library reads them. Raises InvalidInput for one
    that it cannot read; whether a server is there shows later, and the platform works without it."""

    def __init__(self, url: str, clock: Clock | None = None, limits: RedisLimits | None = None) -> None:
        self.lost = 0
        self.subscriptions = 0  # how often this process connected to hear hints
        self._limits = limits = limits or RedisLimits()
        self._clock = clock or SystemClock()
        self._number = secrets.token_hex(8).encode()
        shared: dict[str, Any] = {
            "protocol": 2,
            "retry": Retry(NoBackoff(), 0),
            "socket_connect_timeout": limits.connect_timeout,
            "timeout": limits.command_timeout,  # for a free connection
        }
        try:
            commands = BlockingConnectionPool.from_url(
                url, max_connections=limits.connections, socket_timeout=limits.command_timeout, **shared
            )
            # socket_timeout=None: blocking reads wait as long as it is quiet.
            hints = BlockingConnectionPool.from_url(url, max_connections=1, socket_timeout=None, **shared)
        except ValueError as error:
            raise InvalidInput(f"bus.url: {error}") from error
        self._commands: Redis = Redis(connection_pool=commands)
        self._hints: Redis = Redis(connection_pool=hints)
        self._listeners = Listeners()
        self._counters = Counters(self._clock)
        self._lock = threading.Lock()
        self._outbox: dict[str, None] = {}
        self._unsettled: dict[str, None] = {}  # topics that may have to be subscribed or unsubscribed
        self._asked: set[str] = set()
        self._pubsub: PubSub | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._work = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._rest_until = 0.0

    # -- the door

    def publish(self, hint: Hint) -> None:
        wanted = topics(hint)
        self._listeners.fire(wanted)
        with self._lock:
            for topic in wanted:
                if len(self._outbox) < self._limits.outbox or topic in self._outbox:
                    self._outbox[topic] = None
                else:
                    self.lost += 1
        self._poke()

    def listen(self, topic: str) -> Listener:
        listener = Listener(topic, self._forget)
        if self._listeners.add(listener):
            self._settle(topic)
        return listener

    async def count(self, key: str, window_s: float, amount: int = 1) -> int:
        ours = self._counters.add(key, window_s, amount)
        loop = asyncio.get_running_loop()
        if loop.time() < self._rest_until:
            return ours
        number, elapsed = divmod(self._clock.now() / window_s, 1.0)
        name = f"{COUNTER}{key}:{window_s:g}:"
        try:
            async with self._commands.pipeline(transaction=False) as pipeline:
                pipeline.incrby(f"{name}{int(number)}", amount)
                pipeline.expire(f"{name}{int(number)}", int(2 * window_s) + 2)
                pipeline.get(f"{name}{int(number) - 1}")
                current, _, previous = await pipeline.execute()
        except _REFUSALS as error:
            self._rest_until = loop.time() + self._limits.rest
            log.warning("counter not shared, this process counts alone", error=str(error))
            return ours
        # A server that was restarted forgot; what this process has seen stays true.
        return max(ours, slide(current, int(previous or 0), elapsed))

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._tasks = [asyncio.create_task(self._send()), asyncio.create_task(self._receive())]

    async def close(self) -> None:
        # Asked until they end: the library sends with wait_for, and that of Python 3.11 swallows a cancellation that
        # comes together with the end of what it waits for.
        while running := [task for task in self._tasks if not task.done()]:
            for task in running:
                task.cancel()
            await asyncio.wait(running, timeout=0.1)
        self._tasks = []
        self._loop = None
        await self._commands.aclose(close_connection_pool=True)
        await self._hints.aclose(close_connection_pool=True)

    # -- from any thread

    def _forget(self, listener: Listener) -> None:
        if self._listeners.remove(listener):
            self._settle(listener.topic)

    def _settle(self, topic: str) -> None:
        with self._lock:
            self._unsettled[topic] = None
        self._poke()

    def _poke(self) -> None:
        loop = self._loop
        if loop is not None and not self._work.is_set():
            with contextlib.suppress(RuntimeError):  # a loop that is going down sends nothing more
                loop.call_soon_threadsafe(self._work.set)

    # -- sending

    async def _send(self) -> None:
        while True:
            self._work.clear()
            await self._send_hints()
            await self._send_subscriptions()
            await self._work.wait()

    async def _send_hints(self) -> None:
        with self._lock:
            outbox, self._outbox = self._outbox, {}
        if not outbox:
            return
        try:
            async with self._commands.pipeline(transaction=False) as pipeline:
                for topic in outbox:
                    pipeline.publish(CHANNEL + topic, self._number)
                await pipeline.execute()
        except _REFUSALS as error:
            self.lost += len(outbox)
            log.warning("hints lost", hints=len(outbox), error=str(error))

    async def _send_subscriptions(self) -> None:
        pubsub = self._pubsub
        if pubsub is None:  # _receive subscribes to everything when it has connected
            return
        with self._lock:
            unsettled, self._unsettled = self._unsettled, {}
        wanted = {topic for topic in unsettled if self._listeners.hears(topic)}
        more, less = wanted - self._asked, (unsettled.keys() - wanted) & self._asked
        self._asked = (self._asked | more) - less
        try:
            if more:
                await pubsub.subscribe(*_channels(more))
            if less:
                await pubsub.unsubscribe(*_channels(less))
        except _REFUSALS as error:
            log.warning("subscription not sent", error=str(error))
            with self._lock:  # _receive notices the broken connection too and begins anew
                self._unsettled.update(dict.fromkeys(more | less))

    # -- receiving

    async def _receive(self) -> None:
        while True:
            pubsub = self._hints.pubsub()
            try:
                await self._hear(pubsub)
            except _REFUSALS as error:
                log.warning("hints interrupted", error=str(error))
            finally:
                self._pubsub = None
                with contextlib.suppress(*_REFUSALS):
                    await pubsub.aclose()  # type: ignore[no-untyped-call]
            await asyncio.sleep(self._limits.reconnect)

    async def _hear(self, pubsub: PubSub) -> None:
        """Until the connection breaks. The confirmation of a subscription counts as a hint: something may
        have happened before it, or in the gap of a reconnect (which the library may do by itself)."""
        with self._lock:
            self._unsettled.clear()
            self._asked = self._listeners.topics()
        # The empty topic keeps the connection a subscription while nobody listens.
        await pubsub.subscribe(CHANNEL, *_channels(self._asked))
        self.subscriptions += 1
        self._pubsub = pubsub
        self._work.set()  # a topic added since then
        asked_alive = False
        while True:
            message = await pubsub.get_message(timeout=self._limits.quiet)
            if message is not None:
                asked_alive = False
                topic = message["channel"].decode()[len(CHANNEL) :] if message["channel"] else ""
                if message["type"] == "subscribe" or (
                    message["type"] == "message" and message["data"] != self._number
                ):
                    self._listeners.fire((topic,))
            elif asked_alive:
                raise RedisConnectionError("the server does not answer")
            else:
                asked_alive = True
                await pubsub.ping()


def _channels(wanted: Iterable[str]) -> list[str]:
    return [CHANNEL + topic for topic in wanted]
