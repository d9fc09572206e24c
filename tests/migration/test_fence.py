"""Fences that must end though something else fails. Between shards; every way goes through the same fence."""

import asyncio
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mailplat.core.errors import Unavailable
from mailplat.core.route import Route, RouteState
from migration import fence, transfer
from migration.attendance import Attendance
from migration.errors import FenceAborted
from migration.shardmoves import ShardMoves
from tests.migration.shards import Shards
from tests.until import until

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Shards]:
    opened = Shards(tmp_path / "house", ["ann"])
    yield opened
    opened.close()


async def test_an_engine_that_stops_while_the_fence_is_written_takes_it_back(
    here: Shards, monkeypatch: pytest.MonkeyPatch
) -> None:
    written, go = threading.Event(), threading.Event()
    really_advance, really_leave = ShardMoves.advance, Attendance.leave

    def advance(self: ShardMoves, route: Route, state: RouteState, **values: Any) -> Route:
        new = really_advance(self, route, state, **values)
        if state is RouteState.SHARD_FENCED:
            written.set()
            go.wait(30)
        return new

    async def leave(self: Attendance[Any]) -> None:
        leaving = asyncio.ensure_future(really_leave(self))
        await asyncio.sleep(0)  # its tasks are cancelled by now
        go.set()
        await leaving

    monkeypatch.setattr(ShardMoves, "advance", advance)
    monkeypatch.setattr(Attendance, "leave", leave)
    async with here.engine():
        here.ask("s2", "ann")
        await until(written.is_set)
    assert here.route("ann").state is RouteState.FINAL
    assert here.home("ann") == "s1"


async def test_a_fence_is_taken_back_though_held_mail_cannot_be_counted(
    here: Shards, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The count is for the certificate only."""

    def fails(*_: object) -> None:
        raise Unavailable("the queue cannot be read")

    async def differs(*_: object) -> None:
        raise FenceAborted("as the test wants it")

    with monkeypatch.context() as patch:
        patch.setattr(here.platform.queue, "entries", fails)
        patch.setattr(fence, "_last_delta", differs)
        async with here.engine():
            here.ask("s2", "ann")
            await until(lambda: here.move("ann").aborts == 1)
            assert here.route("ann").state is RouteState.FINAL


async def test_the_reason_of_a_fence_that_was_taken_back_is_told_though_the_queue_is_away(
    here: Shards, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Held mail is let go by the doors too, which see the route."""

    def fails(*_: object) -> None:
        raise Unavailable("the queue cannot be written")

    async def differs(*_: object) -> None:
        raise FenceAborted("as the test wants it")

    said = ""

    def told() -> bool:
        nonlocal said
        said += capsys.readouterr().out
        return "cutover failed" in said

    with monkeypatch.context() as patch:
        patch.setattr(here.platform.queue, "release_account", fails)
        patch.setattr(fence, "_last_delta", differs)
        async with here.engine():
            here.ask("s2", "ann")
            await until(told)
            assert "as the test wants it" in here.move("ann").note
            assert "move interrupted" not in said


async def test_a_target_that_stalls_right_before_the_commit_keeps_nobody_waiting(
    here: Shards, monkeypatch: pytest.MonkeyPatch
) -> None:
    await here.append("ann", count=3)
    before = here.content("ann")
    shard, answers, asked = here.shard("s2"), threading.Event(), threading.Event()
    grant = shard.grant

    def stalls(account_id: int, epoch: int, *more: str) -> None:
        route = here.route("ann")
        if route.state is RouteState.SHARD_FENCED and epoch > route.epoch and not asked.is_set():
            asked.set()
            answers.wait(60)
        grant(account_id, epoch, *more)

    monkeypatch.setattr(shard, "grant", stalls)
    monkeypatch.setattr(transfer, "cut_over", partial(fence.cut_over, length=4.0))
    async with here.engine():
        here.ask("s2", "ann")
        try:
            await until(lambda: here.move("ann").aborts == 1)
            assert asked.is_set()
            assert here.home("ann") == "s1"
        finally:
            answers.set()
        await here.done("ann")
    assert here.content("ann") == before
