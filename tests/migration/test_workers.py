"""Several workers of one engine: each account is moved once, whoever is killed, sleeps or forgets."""

import asyncio
import contextlib
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from mailplat.core import disk
from mailplat.core.route import RouteState
from mailplat.directory.tables import route_watcher
from migration import journey
from migration.ledger import PAUSED, RUNNING
from migration.tables import worker
from migration.turns import LEGACY_KIND, Turns
from tests.dovecot import Dovecot
from tests.migration.house import DOMAIN, PATIENCE_S, House, client, content_of, letter
from tests.migration.way_back import Desk, move_here, roll_back
from tests.until import until

pytestmark = [pytest.mark.interop, pytest.mark.timeout(240)]

ROOT = Path(__file__).resolve().parents[2]

# Worker INDEX of COUNT over the platform in ROOT, which stops itself once behind STEP, where one is named: woken, it
# is like any other, whichever thread comes to that step again.
SCRIPT = """
import asyncio, os, signal, sys
from pathlib import Path
from mailplat.core import disk
from migration.role import Migration
from tests.migration.house import House

async def main(root, index, count, stop):
    here = House(Path(root), None, [])
    if stop:
        step, armed = disk.step, [stop]
        def stopping(name):
            step(name)
            if armed == [name]:
                armed.clear()
                print(name, flush=True)
                os.kill(os.getpid(), signal.SIGSTOP)
        disk.step = stopping
    role = Migration(here.platform, part=(int(index), int(count)), ready_every=0.3, waves_every=3600.0)
    await role.run(asyncio.Event())

asyncio.run(main(*sys.argv[1:]))
"""

# Of the house.
LEASE_S = 2.0


class Crew:
    def __init__(self, here: House, root: Path) -> None:
        self.here = here
        self._root = root
        self._processes: list[subprocess.Popen[str]] = []

    def start(self, index: int, count: int = 2, stop: str = "") -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(self._root), str(index), str(count), stop],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._processes.append(process)
        return process

    async def stopped(self, process: subprocess.Popen[str]) -> None:
        """Until it stands behind its step."""
        assert process.stdout is not None
        while True:
            line = await asyncio.to_thread(process.stdout.readline)
            assert line, "it has ended"
            if " " not in line:
                break
        await until(lambda: _is_stopped(process))
        while self._holds_a_lock():  # another of its threads was writing, and nobody else could
            process.send_signal(signal.SIGCONT)
            self._holds_a_lock()  # it gives it back
            process.send_signal(signal.SIGSTOP)
            await until(lambda: _is_stopped(process))

    def _holds_a_lock(self) -> bool:
        files = [self._root / "mailplat.db", self._root / "data/migration/workflows.db"]
        for file in [*files, *self._root.glob("shards/*/index.db")]:
            with contextlib.closing(sqlite3.connect(file, timeout=0.5, isolation_level=None)) as connection:
                try:
                    connection.execute("BEGIN IMMEDIATE")
                except sqlite3.OperationalError:
                    return True
        return False

    def seen(self, process: subprocess.Popen[str]) -> float:
        """When it last said that it lives."""
        index = process.args[4]  # type: ignore[index]
        with self.here.platform.database.read() as connection:
            mine = sa.select(worker.c.seen).where(worker.c.name.endswith(f".{index}"))
            return float(connection.execute(mine).scalar_one_or_none() or 0.0)

    async def wake(self, process: subprocess.Popen[str]) -> None:
        """And let it do its worst for a while."""
        woken = self.here.platform.clock.now()
        process.send_signal(signal.SIGCONT)
        await until(lambda: self.seen(process) > woken + LEASE_S, PATIENCE_S)

    def end(self) -> None:
        for process in self._processes:
            process.kill()
            process.communicate()


def _is_stopped(process: subprocess.Popen[str]) -> bool:
    """By SIGSTOP (proc(5), third field of stat)."""
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(") ")[2][:1] == "T"


@pytest.fixture
def crew(house: Callable[..., House], users: list[str], tmp_path: Path) -> Iterator[Crew]:
    started = Crew(house(*users), tmp_path / "house")
    yield started
    started.end()


@pytest.fixture
def users(_free: list[str]) -> list[str]:
    return [_free.pop() for _ in range(4)]


@pytest.fixture
def crowd(_free: list[str]) -> list[str]:
    """Twice as many as there are connections."""
    return [_free.pop() for _ in range(8)]


def furnish(dovecot: Dovecot, users: list[str], count: int = 30) -> None:
    for user in users:
        with client(dovecot, user) as imap:
            for number in range(count):
                imap.append("INBOX", letter(number))


async def moved(here: House, dovecot: Dovecot, users: list[str]) -> None:
    """All, each message once."""
    await here.reach(RouteState.NEW, users=users)
    await until(lambda: all(here.move(user).released for user in users))
    for user in users:
        assert here.content(user) == content_of(dovecot, user)


def nobody_waits_for_the_dead(here: House) -> None:
    """Instead of the seconds until their doors' words are too old."""
    with here.platform.database.write() as connection:
        connection.execute(route_watcher.delete())


async def finish(here: House, dovecot: Dovecot, users: list[str]) -> None:
    """A fence that was taken back wants the word again."""

    def there() -> bool:
        moves = [here.move(user) for user in users]
        assert not (halted := [move.halted for move in moves if move.halted]), halted
        back = (RouteState.TRACKING, RouteState.READY)
        if any(move.route.state in back and not move.cutover for move in moves):
            here.ledger.request_cutover(DOMAIN)
        return all(move.route.state is RouteState.NEW for move in moves)

    await until(there, PATIENCE_S)
    await moved(here, dovecot, users)


async def test_two_share_the_accounts(dovecot: Dovecot, crew: Crew, users: list[str]) -> None:
    furnish(dovecot, users)
    here, both = crew.here, [crew.start(0), crew.start(1)]
    await until(lambda: all(crew.seen(each) for each in both), PATIENCE_S)
    here.plan()
    await here.reach(RouteState.READY, users=users)
    here.ledger.request_cutover(DOMAIN)
    await moved(here, dovecot, users)
    assert all(here.move(user).aborts == 0 for user in users)


async def test_a_small_account_is_ready_after_one_turn_however_many_wait(
    dovecot: Dovecot, crowd: list[str], house: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    furnish(dovecot, crowd, 3)
    here = house(*crowd)
    monkeypatch.setattr(journey, "SHORT_S", PATIENCE_S)
    begun: list[str] = []
    step = disk.step

    def noted(name: str) -> None:
        step(name)
        if name == "turn.begun":
            begun.append(name)

    monkeypatch.setattr(disk, "step", noted)
    async with here.engine(ready_every=3600.0):
        here.plan()
        await here.reach(RouteState.READY)
    assert len(begun) == len(crowd)


@pytest.mark.parametrize("step", ["turn.begun", "move.batch", "move.acknowledged", "move.committed"])
async def test_another_goes_on_when_one_is_killed(
    dovecot: Dovecot, crew: Crew, users: list[str], step: str
) -> None:
    """It does not come back; its turns are handed over when its lease is over."""
    furnish(dovecot, users)
    here = crew.here
    here.plan()
    here.ledger.request_cutover(DOMAIN)
    armed = crew.start(1, stop=step)
    await crew.stopped(armed)
    armed.kill()
    armed.wait()
    crew.start(0)
    nobody_waits_for_the_dead(here)
    await finish(here, dovecot, users)


@pytest.mark.parametrize("step", ["move.batch", "move.ready", "move.delta", "move.granted", "move.committed"])
async def test_failure_mode_2_a_sleeper_that_wakes_changes_nothing(
    dovecot: Dovecot, crew: Crew, users: list[str], step: str
) -> None:
    """Research §7: DBOS rejects a zombie's workflow, but not what it does beside. What ours do carries an epoch."""
    furnish(dovecot, users)
    here = crew.here
    here.plan()
    here.ledger.request_cutover(DOMAIN)
    sleeper = crew.start(1, stop=step)
    await crew.stopped(sleeper)
    crew.start(0)
    nobody_waits_for_the_dead(here)
    await finish(here, dovecot, users)
    await crew.wake(sleeper)
    assert sleeper.poll() is None, "it goes on as one of the crew"
    await moved(here, dovecot, users)


@pytest.mark.parametrize("step", ["back.appended", "back.batch", "move.fenced", "move.delta", "back.let-go"])
async def test_a_sleeper_on_the_way_back_changes_nothing(
    dovecot: Dovecot, crew: Crew, users: list[str], step: str
) -> None:
    """What it says to the legacy platform carries no epoch: it says nothing any more."""
    user = users[0]
    furnish(dovecot, users, 8)
    here = crew.here
    await move_here(here)
    desk = Desk(here, user)
    flagged = desk.uids()[0]
    for number in range(100, 104):
        await desk.deliver(number)
    desk.flag(flagged, "\\Flagged")
    sleeper = await sleep_through_the_way_back(crew, users, step)
    with client(dovecot, user) as imap:  # users go on there
        imap.select_folder("INBOX")
        imap.set_flags([flagged], ["\\Answered"])
        imap.append("INBOX", letter(300))
    there = {each: content_of(dovecot, each) for each in users}
    await crew.wake(sleeper)
    assert {each: content_of(dovecot, each) for each in users} == there
    here.ledger.set_plan(DOMAIN, RUNNING, expected={PAUSED})
    here.ledger.request_cutover(DOMAIN)
    await finish(here, dovecot, users)


@pytest.mark.parametrize("step", ["back.let-go", "back.removed"])
async def test_a_sleeper_behind_the_way_back_forgets_nothing_of_the_next_move(
    dovecot: Dovecot, crew: Crew, users: list[str], step: str
) -> None:
    furnish(dovecot, users, 8)
    here = crew.here
    turns = Turns(here.platform.database)
    await move_here(here)
    sleeper = await sleep_through_the_way_back(crew, users, step)
    here.ledger.set_plan(DOMAIN, RUNNING, expected={PAUSED})
    await here.reach(RouteState.READY)
    here.ledger.set_plan(DOMAIN, PAUSED, expected={RUNNING})  # no round would mend it
    await until(lambda: not any(turn.runner for turn in turns.of(LEGACY_KIND).values()), PATIENCE_S)
    known = [here.ledger.watermarks(here.accounts[each].id) for each in users]
    assert all(known)
    await crew.wake(sleeper)
    assert [here.ledger.watermarks(here.accounts[each].id) for each in users] == known
    here.ledger.set_plan(DOMAIN, RUNNING, expected={PAUSED})
    here.ledger.request_cutover(DOMAIN)
    await finish(here, dovecot, users)


async def sleep_through_the_way_back(crew: Crew, users: list[str], step: str) -> subprocess.Popen[str]:
    """Who stands behind the step, while another brings all back."""
    roll_back(crew.here)
    sleeper = crew.start(1, stop=step)
    await crew.stopped(sleeper)
    crew.start(0)
    nobody_waits_for_the_dead(crew.here)
    await until_all_back(crew.here, users)
    return sleeper


async def until_all_back(here: House, users: list[str]) -> None:
    """A fence that was taken back wants the word again."""

    def back() -> bool:
        moves = [here.move(each) for each in users]
        assert not (halted := [move.halted for move in moves if move.halted]), halted
        if any(move.route.state is RouteState.NEW and not move.rollback for move in moves):
            roll_back(here)
        return all(move.route.state is RouteState.LEGACY and move.released for move in moves)

    await until(back, PATIENCE_S)


async def test_without_the_engines_database_nothing_is_lost(
    dovecot: Dovecot, crew: Crew, users: list[str], tmp_path: Path
) -> None:
    """Research §7: the truth is in our own tables."""
    furnish(dovecot, users)
    here = crew.here
    here.plan()
    armed = crew.start(0, count=1, stop="move.batch")
    await crew.stopped(armed)
    armed.kill()
    armed.wait()
    files = sorted((tmp_path / "house/data/migration").glob("workflows.db*"))
    assert files
    for file in files:
        file.unlink()
    crew.start(0, count=1)
    await here.reach(RouteState.READY, users=users)
    here.ledger.request_cutover(DOMAIN)
    await finish(here, dovecot, users)


async def test_an_account_that_ends_one_worker_after_the_other_is_halted(
    dovecot: Dovecot, user: str, house: Callable[..., House]
) -> None:
    here = house(user)
    here.plan()
    turns, account_id = Turns(here.platform.database), here.accounts[user].id
    name = turns.make(LEGACY_KIND, [account_id])[account_id].name
    for number in range(here.platform.settings.migration.workers.deaths + 2):
        turns.begin(name, f"worker {number}, which ends here")
    async with here.engine():
        assert "workers in a row" in await here.halted(user)
        here.ledger.clear_halts(DOMAIN)  # by then the cause is mended
        await here.reach(RouteState.READY)


async def test_a_turn_that_the_engine_loses_is_handed_out_again(
    dovecot: Dovecot,
    user: str,
    house: Callable[..., House],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    here = house(user)
    here.plan()
    queue = tmp_path / "house/data/migration/workflows.db"
    said = ""

    def lost() -> bool:
        nonlocal said
        with contextlib.closing(sqlite3.connect(queue, timeout=5)) as connection, connection:
            connection.execute("DELETE FROM workflow_status WHERE status = 'ENQUEUED'")
        said += capsys.readouterr().out
        return "a turn was lost" in said

    async with here.engine(ready_every=0.05):
        await here.reach(RouteState.READY)
        await until(lost, PATIENCE_S)
        with client(dovecot, user) as imap:
            imap.append("INBOX", letter(7))
        here.ledger.request_cutover(DOMAIN)
        await here.reach(RouteState.NEW)
    assert here.content(user) == content_of(dovecot, user)
