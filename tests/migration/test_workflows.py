"""The DBOS door, with files of SQLite and with PostgreSQL; each worker a process of its own."""

import asyncio
import contextlib
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from mailplat.core.executors import Executors
from migration import workflows
from migration.workflows import SCHEMA, VERSION, Offer, Workflows
from tests.postgres import postgres
from tests.until import until

__all__ = ["postgres"]

pytestmark = pytest.mark.timeout(120)

ROOT = Path(__file__).resolve().parents[2]

# Begins each turn that comes and ends none.
WORKER = """
import asyncio, sys
from mailplat.core.executors import Executors
from migration.workflows import Workflows

async def main(url, name):
    async def handler(turn):
        print(turn, flush=True)
        await asyncio.Event().wait()
    await Workflows(url, name, Executors(), handler, lane_turns=4).open()
    print("open", flush=True)
    await asyncio.Event().wait()

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'workflows.db'}"
        return
    server = request.getfixturevalue("postgres")
    yield server
    engine = sa.create_engine(sa.make_url(server).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        connection.exec_driver_sql(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
    engine.dispose()


class Here:
    """This process as a worker."""

    def __init__(self, url: str, name: str, handler: Callable[[str], object] = lambda turn: None) -> None:
        self.turns: list[str] = []

        async def take(turn: str) -> None:
            self.turns.append(turn)
            handler(turn)

        self.workflows = Workflows(url, name, Executors(), take, lane_turns=4)


@contextlib.asynccontextmanager
async def opened(url: str, name: str = "n.0") -> AsyncIterator[Here]:
    here = Here(url, name)
    await here.workflows.open()
    try:
        yield here
    finally:
        await here.workflows.close()


@contextlib.contextmanager
def worker(url: str, name: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, url, name], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


async def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return (await asyncio.to_thread(process.stdout.readline)).strip()


async def until_over(workflows: Workflows) -> None:
    async with asyncio.timeout(20):
        while any((await workflows.under_way()).values()):  # noqa: ASYNC110 - the last ends are being written down
            await asyncio.sleep(0.02)


def offers(*names: str, lane: str = "a") -> list[Offer]:
    return [Offer(name, lane, 2) for name in names]


async def test_a_turn_that_is_offered_twice_is_taken_once(url: str) -> None:
    async with opened(url) as here:
        await here.workflows.offer(offers("legacy/1/1"))
        await until(lambda: here.turns)
        await here.workflows.offer(offers("legacy/1/1", "legacy/2/1"))
        await until(lambda: "legacy/2/1" in here.turns)
    assert here.turns == ["legacy/1/1", "legacy/2/1"]


async def test_what_a_killed_worker_had_is_its_own_at_the_next_start(url: str) -> None:
    with worker(url, "n.0") as first:
        assert await line(first) == "open"
        async with opened(url, "n.1") as here:
            names = [f"legacy/{number}/1" for number in range(1, 9)]
            await here.workflows.offer(offers(*names))
            theirs = [await line(first) for _ in range(4)]
        first.send_signal(signal.SIGKILL)
        first.wait()
    async with opened(url, "n.0") as again:
        await until(lambda: set(theirs) <= set(again.turns))
    assert len(again.turns) == len(set(again.turns))


async def test_what_a_sleeping_worker_has_is_handed_to_another_and_not_done_twice_by_the_engine(
    url: str,
) -> None:
    with worker(url, "n.0") as sleeper:
        assert await line(sleeper) == "open"
        async with opened(url, "n.1") as here:
            names = [f"legacy/{number}/1" for number in range(1, 9)]  # four of a lane for each worker
            await here.workflows.offer(offers(*names))
            theirs = [await line(sleeper) for _ in range(4)]
            await until(lambda: len(here.turns) == 4)
            sleeper.send_signal(signal.SIGSTOP)
            under_way = await here.workflows.under_way()
            assert sorted(under_way.get("n.0", [])) == sorted(theirs)
            await here.workflows.hand_over(theirs)
            await until(lambda: sorted(here.turns) == names)
            sleeper.send_signal(signal.SIGCONT)
            await until_over(here.workflows)


async def test_without_its_tables_it_begins_anew(url: str) -> None:
    async with opened(url) as here:
        await here.workflows.offer(offers("legacy/1/1"))
        await until(lambda: here.turns)
    _forget(url)
    async with opened(url) as again:
        assert not any((await again.workflows.under_way()).values())
        await again.workflows.offer(offers("legacy/1/1"))
        await until(lambda: again.turns)


def _forget(url: str) -> None:
    if url.startswith("sqlite"):
        path = Path(sa.make_url(url).database or "")
        for each in path.parent.glob("workflows.db*"):
            each.unlink()
        return
    engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        connection.exec_driver_sql(f"DROP SCHEMA {SCHEMA} CASCADE")
    engine.dispose()


async def test_a_damaged_file_is_set_aside(tmp_path: Path) -> None:
    file = tmp_path / "workflows.db"
    file.write_bytes(b"this is not what it was" * 1000)
    async with opened(f"sqlite:///{file}") as here:
        await here.workflows.offer(offers("legacy/1/1"))
        await until(lambda: here.turns)
    assert (tmp_path / "workflows.db.damaged").read_bytes().startswith(b"this is not")


async def test_who_comes_first_by_priority(url: str) -> None:
    async with opened(url) as here:
        few = [Offer(f"legacy/{number}/1", "a", 2) for number in range(40)]
        await here.workflows.offer([*few, Offer("legacy/99/1", "a", 1)])
        await until(lambda: len(here.turns) == 41)
    assert here.turns.index("legacy/99/1") < 39


async def test_a_prepared_worker_takes_nothing_until_it_is_open(url: str) -> None:
    here = Here(url, "n.0")
    await here.workflows.prepare()
    assert not here.workflows.is_open
    await here.workflows.open()
    await here.workflows.offer(offers("t.1"))
    await until(lambda: here.turns == ["t.1"])
    await here.workflows.close()


async def test_what_is_over_is_forgotten(url: str) -> None:
    async with opened(url) as here:
        await here.workflows.offer(offers(*(f"legacy/{number}/1" for number in range(9))))
        await until(lambda: len(here.turns) == 9)

        await here.workflows.tidy()
        assert _rows(url) <= 4, "at most those whose end is being written down"


def _rows(url: str) -> int:
    made = sa.make_url(url)
    sqlite = made.get_backend_name() == "sqlite"
    engine = sa.create_engine(made if sqlite else made.set(drivername="postgresql+psycopg"))
    table = "workflow_status" if sqlite else f"{SCHEMA}.workflow_status"
    with engine.begin() as connection:
        found = connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one()
    engine.dispose()
    return int(found)


async def test_the_version_is_pinned(url: str) -> None:
    """Left to itself DBOS takes a hash of the sources, and a release strands what the last one began."""
    from dbos import DBOS

    async with opened(url):
        assert DBOS.application_version == VERSION
        assert DBOS.executor_id == "n.0"


async def test_a_worker_that_is_stopped_in_its_start_holds_up_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workflows, "START_S", 0.1)
    lock = os.open(tmp_path / "workflows.db.lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    async with opened(f"sqlite:///{tmp_path / 'workflows.db'}") as here:
        await here.workflows.offer([Offer("legacy/1/1", "backend:a", 2)])
        await until(lambda: here.turns == ["legacy/1/1"])
    os.close(lock)
