"""kill -9 of a worker around each commit of a delivery: nothing lost; nothing doubled where we own both ends."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mailplat.core.disk import DIE_AT
from tests.delivery.house import House, stored
from tests.delivery.remote import Remote, listening
from tests.delivery.test_worker import RELAYED, empty
from tests.until import until

CHILD = """
import asyncio, sys
from pathlib import Path
from tests.delivery.house import House
from tests.delivery.test_worker import empty
from tests.until import until

async def main() -> None:
    house = House(Path(sys.argv[1]), lease_s=0.2)
    async with house.working():
        await until(lambda: empty(house))

asyncio.run(main())
"""


async def killed_worker(root: Path, step: str) -> None:
    """Runs a worker in a process of its own until it dies at `step`."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        CHILD,
        str(root),
        env={**os.environ, DIE_AT: step},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    _, said = await child.communicate()
    assert child.returncode == -signal.SIGKILL, said.decode()


@pytest.mark.parametrize("step", ["append.dirsync", "attempt.outcome", "settle.commit"])
async def test_local_mail_arrives_exactly_once(tmp_path: Path, step: str) -> None:
    house = House(tmp_path)
    house.add("bert", "s1"), house.add("cleo", "s2")
    await house.accept("bert", "cleo")
    house.close()
    await killed_worker(tmp_path, step)
    house = House(tmp_path)
    try:
        async with house.working():
            await until(lambda: empty(house))
        assert house.inbox("bert", "s1") == house.inbox("cleo", "s2") == [stored()]
    finally:
        house.close()


@pytest.mark.parametrize(("step", "copies"), [("lease.commit", 1), ("attempt.outcome", 2)])
async def test_relayed_mail_is_doubled_at_one_instant_only(tmp_path: Path, step: str, copies: int) -> None:
    """Between the remote's 250 and our commit: the row of the crash table that SMTP has no remedy for."""
    async with listening(Remote()) as remote:
        house = House(tmp_path)
        house.add_backend(remote.next_hop)
        house.add("bert", "legacy")
        await house.accept("bert")
        house.close()
        await killed_worker(tmp_path, step)
        house = House(tmp_path)
        try:
            async with house.working():
                await until(lambda: empty(house))
            assert remote.kept == [RELAYED] * copies
        finally:
            house.close()
