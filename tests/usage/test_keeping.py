"""From memory into the table: what a database that is away, a crash and a stop mean for the figures."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from mailplat.core.clock import ManualClock
from mailplat.core.disk import DIE_AT
from mailplat.core.errors import InDoubt
from mailplat.core.executors import Executors
from mailplat.core.route import ShardHome
from mailplat.db.engine import Database
from mailplat.usage import Counts, Meter, UsageBook, UsageKeeper
from mailplat.usage.keeping import DAY_S
from mailplat.usage.meter import HOUR_S, Key
from tests.until import until

HERE = ShardHome("s1")


@pytest.fixture
def executors() -> Executors:
    return Executors()


def keeper(
    meter: Meter, database: Database, executors: Executors, clock: ManualClock, every: float = 0.01
) -> UsageKeeper:
    return UsageKeeper(meter, UsageBook(database), executors, clock, every=every, days=2.0)


def logins(database: Database) -> int:
    return sum(row.counts.logins for row in UsageBook(database).read(0, 1e12))


async def test_it_writes_by_itself_and_old_hours_go(database: Database, executors: Executors) -> None:
    clock = ManualClock()
    meter = Meter(clock)
    old = int(clock.now() - 2 * DAY_S) // HOUR_S * HOUR_S
    UsageBook(database).add({Key("a.test", old, "shard:s1"): Counts(logins=1000)})
    task = asyncio.create_task(keeper(meter, database, executors, clock).run())
    meter.login(1, "a.test", HERE)
    await until(lambda: logins(database) == 1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_stop_loses_nothing(database: Database, executors: Executors) -> None:
    clock = ManualClock()
    meter = Meter(clock)
    sent = 0
    meter.open_tap("a.test", HERE, lambda: sent)
    task = asyncio.create_task(keeper(meter, database, executors, clock, every=3600.0).run())
    await asyncio.sleep(0)
    sent = 42
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    (row,) = UsageBook(database).read(0, 1e12)
    assert row.counts == Counts(octets=42)


async def test_what_a_locked_database_does_not_take_comes_later(
    tmp_path: Path, sqlite_template: Path, executors: Executors
) -> None:
    shutil.copy(sqlite_template, tmp_path / "platform.db")
    clock, impatient = (
        ManualClock(),
        Database(f"sqlite:///{tmp_path}/platform.db", busy_timeout=0.01),
    )
    meter = Meter(clock)
    keeping = keeper(meter, impatient, executors, clock)
    other = Database(f"sqlite:///{tmp_path}/platform.db")
    meter.login(1, "a.test", HERE)
    with other.write():
        await keeping.flush()
    assert logins(other) == 0
    meter.login(1, "a.test", HERE)
    await keeping.flush()
    assert logins(other) == 2
    for each in (impatient, other):
        each.close()


async def test_what_is_in_doubt_is_not_counted_twice(
    tmp_path: Path, sqlite_template: Path, executors: Executors
) -> None:
    class Doubtful(UsageBook):
        def add(self, counts: Mapping[Key, Counts]) -> None:
            super().add(counts)
            raise InDoubt("the commit came, its answer did not")

    shutil.copy(sqlite_template, tmp_path / "platform.db")
    database, clock = Database(f"sqlite:///{tmp_path}/platform.db"), ManualClock()
    meter = Meter(clock)
    keeping = UsageKeeper(meter, Doubtful(database), executors, clock, every=1.0, days=2.0)
    meter.login(1, "a.test", HERE)
    await keeping.flush()
    await keeping.flush()
    assert logins(database) == 1
    database.close()


_COUNT_AND_FLUSH = """
import asyncio, sys
from mailplat.core.clock import SystemClock
from mailplat.core.executors import Executors
from mailplat.core.route import ShardHome
from mailplat.db.engine import Database
from mailplat.usage import Meter, UsageBook, UsageKeeper

async def main():
    clock = SystemClock()
    meter = Meter(clock)
    keeper = UsageKeeper(meter, UsageBook(Database(sys.argv[1])), Executors(), clock, every=1.0, days=2.0)
    meter.login(1, "a.test", ShardHome("s1"))
    await keeper.flush()

asyncio.run(main())
"""


def test_killed_right_after_the_commit_it_is_there_once(tmp_path: Path, sqlite_template: Path) -> None:
    """The crash table's row `usage.added`."""
    shutil.copy(sqlite_template, tmp_path / "platform.db")
    url = f"sqlite:///{tmp_path}/platform.db"
    command = [sys.executable, "-c", _COUNT_AND_FLUSH, url]
    killed = subprocess.run(command, env={**os.environ, DIE_AT: "usage.added"}, check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    database = Database(url)
    assert logins(database) == 1
    subprocess.run(command, check=True, timeout=60)
    assert logins(database) == 2
    database.close()
