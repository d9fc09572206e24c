"""One kind of moves: what is due, and one turn of one account, as one worker has it: what it does and what a failure
leads to."""

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Generic, TypeVar

import structlog

from mailplat.app.wiring import Platform
from mailplat.core.errors import DiskFull, MailplatError, Unavailable
from migration.book import Book, Passage
from migration.certificate import events
from migration.crossing import Paused, Tools
from migration.errors import FenceAborted, Halt, Lost, Throttled, Unreachable
from migration.lease import Held, Lease
from migration.pacing import Pacer, backoff
from migration.turns import Turn, Turns

log = structlog.get_logger("migration")

M = TypeVar("M", bound=Passage)

# The lane of what waits for no connection: fences to be taken back, mail to be let go.
URGENT = "urgent"
# Seconds until an account asks again for a platform that is away. While it is, one account at a time does
# (dispatch.py), and all go on when one was answered.
AWAY_S = 5.0
# Seconds until an account looks again whether its shard has room, at most: that asks nobody but ourselves.
ROOM_S = 15.0
# Seconds until an account tries again whose connection was lost, at most: nobody tells it when its platform is back,
# and all that it asks for is one login.
LOST_S = 30.0
# Turns of it that are handed out at once.
URGENT_ROOM = 64


@dataclass(slots=True)
class Hand(Generic[M]):
    """A turn that this worker is at."""

    turn: Turn
    move: M
    fresh: bool  # the last turn ended: nobody else can be at work on the account
    worked: float  # seconds, without waiting for a connection
    failures: int
    due_at: float
    held: Held  # since before the turn was begun
    away: float = 0.0


class Attendance(ABC, Generic[M]):
    """`rest`: seconds until an account that is as far as it can be is looked at again."""

    kind: ClassVar[str]

    def __init__(
        self,
        platform: Platform,
        ledger: Book,
        turns: Turns,
        runner: str,
        lease: Lease,
        rest: float,
        *,
        on_halt: Mapping[str, Any] | None = None,
    ) -> None:
        self.platform = platform
        self.turns = turns
        self.clock = platform.clock
        self.rest = rest
        self.workers = 1  # that share what one platform bears
        self.waiting: Collection[str] = ()  # lanes with turns that no worker has taken yet
        self._runner = runner
        self._lease = lease
        self._on_halt = dict(on_halt or {})
        self.tools = Tools(
            ledger=ledger,
            executors=platform.executors,
            clock=platform.clock,
            bus=platform.bus,
            queue=platform.queue,
        )
        self._hands: dict[str, Hand[M]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.running: frozenset[int] = frozenset()
        self._leaving = False

    # what the worker that hands out turns asks

    @abstractmethod
    async def due(self) -> Sequence[M]:
        """Every move that may want a turn."""

    @abstractmethod
    def wants(self, move: M, turn: Turn) -> bool:
        """Now."""

    @abstractmethod
    def overdue(self, move: M) -> bool:
        """Whoever has its turn seems to hang, and others must not wait for it."""

    @abstractmethod
    def lane(self, move: M) -> str:
        """Turns of one lane share what limits them."""

    @abstractmethod
    def room(self, lane: str) -> int:
        """Turns of it that are handed out at once: more than are worked at, so that a worker that has ended one need
        not wait for the next to be handed out."""

    def priority(self, move: M) -> int:
        """1 comes first."""
        return 2

    # what a worker does with them

    @abstractmethod
    async def find(self, accounts: Collection[int]) -> Sequence[M]: ...

    @abstractmethod
    def may_run(self, move: M) -> bool:
        """False where it is to stop between two batches."""

    @abstractmethod
    async def attend(self, hand: Hand[M]) -> bool:
        """True when there is more to do at once."""

    def crowded(self, move: M) -> bool:
        """Others wait for what it uses, in this worker or for any."""
        return self.lane(move) in self.waiting or self.pacer(move).crowded

    @abstractmethod
    def pacer(self, move: M) -> Pacer: ...

    @property
    def busy(self) -> bool:
        return bool(self._tasks)

    def enter(self) -> None:
        """Take turns from now on."""
        self._leaving = False

    async def look(self) -> None:
        """Whether what is under way is still wanted, and still this worker's."""
        hands = list(self._hands.values())
        accounts = {hand.turn.account_id for hand in hands}
        if not accounts:
            return
        found = await self.find(accounts)
        now = await self.tools.book(self.turns.of, self.kind, accounts)
        # One that lost its turn may still end beside the one that has it.
        mine = {each for each, turn in now.items() if any(hand.turn.same(turn) for hand in hands)}
        self.running = frozenset(
            each.account_id for each in found if each.account_id in mine and self.may_run(each)
        )

    async def take(self, name: str) -> None:
        """A turn that was handed to this worker, to its end; one that it is at already is waited for."""
        if self._leaving:
            return  # handed out anew: the ledger knows that it did not end
        task = self._tasks.get(name)
        if task is None:
            task = self._tasks[name] = asyncio.create_task(self._take(name))
            task.add_done_callback(lambda _: self._tasks.pop(name, None))
        await asyncio.wait({task})

    async def leave(self) -> None:
        """Every account is left between two batches, and no fence stays behind."""
        self._leaving = True
        self.running = frozenset()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _take(self, name: str) -> None:
        held = self._lease.hold()
        try:
            begun = await self.tools.book(self.turns.begin, name, self._runner)
            if begun is None:
                return
            turn, fresh = begun
            moves = await self.find([turn.account_id])
        except Unavailable as error:
            log.warning("a turn cannot begin", turn=name, reason=str(error))
            return
        hand = None
        if moves:
            hand = Hand(turn, moves[0], fresh, turn.worked, turn.failures, turn.due_at, held, turn.away)
        try:
            if hand is not None and self.wants(hand.move, turn):
                self._hands[name] = hand
                self.running |= {turn.account_id} if self.may_run(hand.move) else set()
                with structlog.contextvars.bound_contextvars(account=hand.move.address):
                    await self._work(hand)
        finally:
            self._hands.pop(name, None)
            # Also of one that was broken off: whoever has it next need not think that we may still be at it.
            await asyncio.shield(self._end(turn, hand))

    async def _end(self, turn: Turn, hand: Hand[M] | None) -> None:
        values: dict[str, Any] = {"due_at": 0.0, "worked": 0.0, "failures": 0}
        if hand:
            values = {name: getattr(hand, name) for name in ("due_at", "worked", "failures", "away")}
        try:
            ended = await self.tools.book(self.turns.end, turn, **values)
        except Unavailable as error:
            log.warning("the ledger cannot be written", turn=turn.name, reason=str(error))
            return
        if not ended:
            log.warning("a turn was taken from this worker", turn=turn.name)

    async def _work(self, hand: Hand[M]) -> None:
        move = hand.move
        began, hand.worked = self.clock.monotonic(), 0.0
        try:
            if hand.turn.deaths > self.platform.settings.migration.workers.deaths:
                raise Halt(
                    f"{hand.turn.deaths} workers in a row ended while they were at it, and nothing else ends them:"
                    " see their logs and the system's (memory?)"
                )
            more = await self.attend(hand)
            while more and not self.crowded(move) and await self._go_on(hand):
                more = await self.attend(hand)
            hand.failures = 0
            hand.due_at = 0.0 if more else self.clock.now() + self.rest
        except Paused:
            hand.due_at = 0.0
        except FenceAborted as error:
            log.warning("cutover failed", account=move.address, reason=str(error))
            hand.due_at = self.clock.now() + self.rest_after_abort(move)
        except Halt as error:
            log.error("move halted", account=move.address, reason=str(error))
            await self.note(hand, halted=str(error), **self._on_halt)
        except MailplatError as error:
            await self._retry(hand, error)
        except Exception as error:
            log.exception("move failed by a bug", account=move.address)
            await self._retry(hand, error)
        finally:
            hand.worked = hand.worked or self.clock.monotonic() - began

    async def _go_on(self, hand: Hand[M]) -> bool:
        """With the account as it is now, where there is still something to do."""
        moves = await self.find([hand.move.account_id])
        if not moves or self._leaving or not self.wants(moves[0], replace(hand.turn, due_at=0.0)):
            return False
        hand.move = moves[0]
        return True

    def rest_after_abort(self, move: M) -> float:
        return self.rest

    async def reached(self, hand: Hand[M]) -> None:
        """The platform has answered."""
        hand.away = 0.0
        if hand.turn.away:
            hand.turn = await self.tools.book(self.turns.reached, hand.turn)

    async def failed(self, move: M, error: Exception) -> None:
        """Before it is tried again."""

    async def _retry(self, hand: Hand[M], error: Exception) -> None:
        move = hand.move
        if isinstance(
            error, Unreachable
        ):  # no fault of the account: whoever hands out turns asks for it with few
            wait, hand.away = AWAY_S * random.uniform(0.5, 1.0), self.clock.now()
        else:
            hand.failures += 1
            wait = backoff(hand.failures)
            if isinstance(error, DiskFull):
                wait = min(wait, ROOM_S)
            elif isinstance(error, Lost):
                wait = min(wait, LOST_S)
        hand.due_at = self.clock.now() + wait
        log.warning("move interrupted", account=move.address, reason=str(error), again_in_s=round(wait, 1))
        try:
            if not await self.tools.book(self.turns.holds, hand.turn):
                return  # another worker is at it; what this one met says nothing
        except Unavailable as unread:
            log.warning("the ledger cannot be read", account=move.address, reason=str(unread))
            return
        await self.note(hand, note=f"{type(error).__name__}: {error}")
        if isinstance(error, Throttled):
            await self._note_throttled(move, error)
        try:
            await self.failed(move, error)
        except MailplatError as second:
            log.warning("move cannot be tidied up", account=move.address, reason=str(second))

    async def _note_throttled(self, move: M, error: Throttled) -> None:
        detail = {"text": str(error)[:300], "retry_after_s": error.retry_after}
        try:
            await self.tools.book(
                events.note,
                self.platform.database,
                move.account_id,
                self.clock.now(),
                events.THROTTLED,
                **detail,
            )
        except Unavailable as unwritten:
            log.warning("the ledger cannot be written", account=move.address, reason=str(unwritten))

    async def note(self, hand: Hand[M], **values: object) -> None:
        ledger = self.tools.ledger.guarded(self.turns.guard(hand.turn))
        try:
            await self.tools.book(ledger.set, hand.move.account_id, **values)
        except Unavailable as error:
            log.warning("the ledger cannot be written", account=hand.move.address, reason=str(error))
