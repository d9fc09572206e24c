"""Who is there, on SQLite and PostgreSQL."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mailplat.core.clock import ManualClock
from mailplat.db.engine import Database
from migration.presence import Doubled, Presence
from tests.directory.conftest import database, postgres, postgres_template, sqlite_template

__all__ = ["database", "postgres", "postgres_template", "sqlite_template"]

LEASE = 10.0


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def worker(database: Database, clock: ManualClock, tmp_path: Path) -> Iterator[Callable[..., Presence]]:
    opened: list[Presence] = []

    def make(index: int = 0, folder: str = "here") -> Presence:
        opened.append(Presence(database, clock, tmp_path / folder, index, LEASE))
        return opened[-1]

    yield make
    for each in opened:
        each.release()


def test_each_is_seen_until_its_word_is_too_old(worker: Callable[..., Presence], clock: ManualClock) -> None:
    first, second = worker(0), worker(1)
    first.claim()
    clock.advance(1.0)
    second.claim()
    assert [each.name for each in first.beat(busy=True)] == [first.name, second.name]
    assert [each.busy for each in second.beat(busy=False)] == [True, False]
    clock.advance(LEASE - 1.0)
    second.beat(busy=False)
    clock.advance(1.5)
    assert [each.name for each in second.beat(busy=False)] == [second.name]
    assert [each.name for each in first.beat(busy=False)] == [first.name, second.name], "it has woken up"


def test_the_name_is_the_same_at_the_next_start(worker: Callable[..., Presence]) -> None:
    first = worker()
    first.claim()
    first.leave()
    again = worker()
    again.claim()
    assert again.name == first.name
    assert again.incarnation != first.incarnation


def test_workers_that_start_at_once_have_one_name(worker: Callable[..., Presence]) -> None:
    for attempt in range(10):
        crew = [worker(index, f"new {attempt}") for index in range(6)]
        with ThreadPoolExecutor(len(crew)) as pool:
            list(pool.map(Presence.claim, crew))
        assert len({each.name.partition(".")[0] for each in crew}) == 1


def test_a_second_process_with_the_name_is_refused(worker: Callable[..., Presence]) -> None:
    first, second = worker(), worker()
    first.claim()
    with pytest.raises(Doubled, match="this machine"):
        second.claim()
    first.release()  # as the system does when it is killed: its row says that it lives
    second.claim()
    with pytest.raises(Doubled):
        first.beat(busy=False)


def test_a_copied_data_directory_is_refused_while_the_other_lives(
    worker: Callable[..., Presence], clock: ManualClock, tmp_path: Path
) -> None:
    first = worker()
    first.claim()
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy/name").write_bytes((tmp_path / "here/name").read_bytes())
    copy = worker(folder="copy")
    with pytest.raises(Doubled, match="copied"):
        copy.claim()
    (tmp_path / "copy/name").unlink()  # as the text says
    copy.claim()
    assert copy.name != first.name


def test_one_that_is_gone_from_another_machine_leaves_its_name(
    worker: Callable[..., Presence], clock: ManualClock, tmp_path: Path
) -> None:
    """A node that was restored elsewhere."""
    first = worker()
    first.claim()
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy/name").write_bytes((tmp_path / "here/name").read_bytes())
    clock.advance(LEASE + 1.0)
    copy = worker(folder="copy")
    copy.claim()
    assert copy.name == first.name


def test_the_lock_ends_with_its_process(worker: Callable[..., Presence], tmp_path: Path) -> None:
    script = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True)"
    (tmp_path / "here").mkdir()
    other = subprocess.Popen(
        [sys.executable, "-c", f"{script}; input()", tmp_path / "here/worker-0.lock"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert other.stdout is not None
    other.stdout.readline()
    with pytest.raises(Doubled):
        worker().claim()
    other.kill()
    other.communicate()
    worker().claim()
