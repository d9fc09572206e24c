"""Hands out turns: one worker of all does it, the one that has been there for longest.

Whether an account is due is seen in the ledgers, each time anew; which turns are handed out is remembered, and
compared with what the engine (workflows.py) says every few seconds. What it has lost is handed out again; what a
worker had that is gone is handed to another."""

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from mailplat.app.wiring import Platform
from mailplat.core import disk
from migration.attendance import URGENT, Attendance
from migration.book import Passage
from migration.turns import Turn, Turns, parse
from migration.workflows import Offer, Workflows

log = structlog.get_logger("migration")

# Seconds between comparisons with what the engine has under way: how long turns of a worker that is gone wait beyond
# its lease.
COMPARE_S = 2.0
# Seconds between two times that what is over is forgotten.
TIDY_S = 60.0
# Seconds without a turn after which the engine is closed: it looks at its queue several times a second.
IDLE_S = 30.0


@dataclass(slots=True)
class Board:
    """Of one kind of moves."""

    kind: Attendance[Any]
    turns: dict[int, Turn] = field(default_factory=dict)  # as they were last seen
    out: dict[int, str] = field(default_factory=dict)  # lane of those that are handed out
    reached: dict[str, float] = field(
        default_factory=dict
    )  # by lane: Unix time of the last answer of what was away


class Dispatch:
    def __init__(
        self,
        platform: Platform,
        turns: Turns,
        workflows: Workflows,
        kinds: Sequence[Attendance[Any]],
        begins: Callable[[], Awaitable[None]],
    ) -> None:
        """`begins`: called when there is something to hand out, and was not for long."""
        self._begins = begins
        self._executors = platform.executors
        self._clock = platform.clock
        self._turns = turns
        self._workflows = workflows
        self._boards = {each.kind: Board(each) for each in kinds}
        self._leads = False
        self._workers: Collection[str] = ()
        self.asked = 0.0  # seconds that the ledgers took the last time
        self._compared = self._tidied = self._used = 0.0

    @property
    def busy(self) -> bool:
        """The engine is used, or was a moment ago."""
        return self._leads and self._clock.monotonic() - self._used < IDLE_S

    def follow(self) -> None:
        """Another worker does it."""
        self._leads = False

    async def look(self, workers: Collection[str]) -> None:
        """`workers`: names of those that live. Raises Unavailable."""
        if not self._leads:
            await self._begin()
        self._workers = workers
        now = self._clock.monotonic()
        if self._workflows.is_open and now - self._compared >= COMPARE_S:
            await self._compare()
        self.asked = 0.0
        for board in self._boards.values():
            await self._see_ended(board)
            await self._hand_out(board)
            if board.out:
                self._used = now
        if self._workflows.is_open and now - self._tidied >= TIDY_S:
            await self._executors.run("migration", self._turns.tidy)
            await self._workflows.tidy()
            self._tidied = now

    async def _begin(self) -> None:
        for board in self._boards.values():
            board.turns = await self._executors.run("migration", self._turns.of, board.kind.kind)
            board.out = {}
        self._compared, self._used = 0.0, self._clock.monotonic() - IDLE_S
        self._leads = True

    async def _see_ended(self, board: Board) -> None:
        if not board.out:
            return
        now = await self._executors.run("migration", self._turns.of, board.kind.kind, list(board.out))
        for account_id in list(board.out):
            turn, before = now.get(account_id), board.turns[account_id]
            if turn is not None and before.away and not turn.away:
                board.reached[board.out[account_id]] = self._clock.now()
            if turn is None or turn.number != before.number:
                del board.out[account_id]
            if turn is None:
                board.turns.pop(account_id, None)
            else:
                board.turns[account_id] = turn

    async def _hand_out(self, board: Board) -> None:
        began = self._clock.monotonic()
        moves = await board.kind.due()
        self.asked += self._clock.monotonic() - began
        missing = [each.account_id for each in moves if each.account_id not in board.turns]
        if missing:
            made = await self._executors.run("migration", self._turns.make, board.kind.kind, missing)
            board.turns |= made
        await self._see_back(board, moves)
        chosen = await self._choose(board, moves)
        if not chosen:
            return
        if not self._workflows.is_open:
            self._used = self._clock.monotonic()  # every word of this worker says so from here on
            await self._begins()
            await self._workflows.open()
            await self._compare()  # some may be handed out since an earlier time
        offers = []
        for move in chosen:
            lane, turn = board.kind.lane(move), board.turns[move.account_id]
            if move.account_id in board.out:
                continue
            board.out[move.account_id] = lane
            offers.append(Offer(turn.name, lane, board.kind.priority(move)))
        await self._workflows.offer(offers)
        disk.step("turn.offered")

    async def _see_back(self, board: Board, moves: Sequence[Passage]) -> None:
        """Nobody waits any longer for a platform that has answered: not those that could not reach it, and not those
        whose connections it lost when it went."""
        kind, turns = board.kind, board.turns
        lanes = {kind.lane(each) for each in moves if turns[each.account_id].away}
        lanes -= {kind.lane(each) for each in moves if _is_away(board, each)}
        back = [
            each.account_id
            for each in moves
            if each.account_id not in board.out
            and (turns[each.account_id].away or turns[each.account_id].failures)
            and kind.lane(each) in lanes
        ]
        if back:
            board.turns |= await self._executors.run("migration", self._turns.back, kind.kind, back)

    async def _choose(self, board: Board, moves: Sequence[Passage]) -> list[Passage]:
        """Who is due and has room; first who must be first, then who has waited for longest."""
        kind = board.kind
        taken = Counter(board.out.values())
        away = {kind.lane(each) for each in moves if _is_away(board, each)}
        wanting = []
        for move in moves:
            turn = board.turns[move.account_id]
            if move.account_id in board.out:
                if not kind.overdue(move) or not await self._renew(board, turn):
                    continue
            elif not kind.wants(move, turn):
                continue
            wanting.append((kind.priority(move), turn.due_at, move))
        wanting.sort(key=lambda each: each[:2])
        chosen = []
        for _, _, move in wanting:
            lane = kind.lane(move)
            # While a platform is away one account asks for all.
            if taken[lane] < (1 if lane in away else kind.room(lane)):
                taken[lane] += 1
                chosen.append(move)
        return chosen

    async def _renew(self, board: Board, turn: Turn) -> bool:
        """Nobody will end it any more, or nobody is to."""
        board.out.pop(turn.account_id, None)
        new = await self._executors.run("migration", self._turns.renew, turn)
        if new is None:
            found = await self._executors.run("migration", self._turns.of, turn.kind, [turn.account_id])
            board.turns |= found
            return False
        board.turns[turn.account_id] = new
        return True

    async def _compare(self) -> None:
        self._compared = self._clock.monotonic()
        under_way = await self._workflows.under_way()
        await self._hand_over(under_way)
        known = {name for names in under_way.values() for name in names}
        for board in self._boards.values():
            await self._see_ended(board)
            for account_id in list(board.out):
                turn = board.turns[account_id]
                if turn.name not in known:
                    log.info("a turn was lost; it is handed out again", turn=turn.name)
                    await self._renew(board, turn)
        self._adopt(known)

    async def _hand_over(self, under_way: Mapping[str, Sequence[str]]) -> None:
        for worker, names in under_way.items():
            if worker and worker not in self._workers:
                log.warning(
                    "a worker is gone; its turns are handed to others", worker=worker, turns=len(names)
                )
                await self._workflows.hand_over(names)
                disk.step("turn.handed-over")

    def _adopt(self, names: Collection[str]) -> None:
        """Handed out by whoever did it before."""
        for name in names:
            kind, account_id, _ = parse(name)
            board = self._boards.get(kind)
            turn = board.turns.get(account_id) if board else None
            if board and turn and turn.name == name and account_id not in board.out:
                board.out[account_id] = ""


def _is_away(board: Board, move: Passage) -> bool:
    """Its platform could not be reached and has not answered anybody since."""
    since, lane = board.turns[move.account_id].away, board.kind.lane(move)
    return since > board.reached.get(lane, 0.0) and lane != URGENT
