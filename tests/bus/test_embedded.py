"""The private Valkey: no orphan, no stranger, started again when it dies."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mailplat.bus import open_bus
from mailplat.bus.embedded import EmbeddedBus
from tests.until import until

PARENT = """
import sys, time
from pathlib import Path
from mailplat.bus.embedded import EmbeddedBus
server = EmbeddedBus(Path(sys.argv[1]))
server.start()
print(server.pid, flush=True)
time.sleep(60)
"""


def gone(pid: int) -> bool:
    """Ended, or a zombie that nobody reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_it_does_not_outlive_a_killed_supervisor(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert not gone(pid)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    deadline = time.monotonic() + 10
    while not gone(pid):
        assert time.monotonic() < deadline, "orphaned"
        time.sleep(0.01)


async def test_it_is_started_again_when_it_dies(tmp_path: Path) -> None:
    server = EmbeddedBus(tmp_path)
    bus = open_bus(server.start())
    try:
        pid = server.pid
        os.kill(pid, signal.SIGKILL)
        await until(lambda: server.pid not in (0, pid))
        assert await bus.count("k", 600) == 1
    finally:
        await bus.close()
        server.close()


def test_close_leaves_neither_process_nor_socket(tmp_path: Path) -> None:
    server = EmbeddedBus(tmp_path)
    url = server.start()
    pid = server.pid
    server.close()
    server.close()
    assert gone(pid)
    assert not Path(url.removeprefix("unix://")).exists()


def test_a_path_too_long_for_a_socket(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 120)
    server = EmbeddedBus(deep)
    url = server.start()
    server.close()
    assert len(url) < 110
    assert not Path(url.removeprefix("unix://")).parent.exists()


def test_a_server_left_behind_is_ended_first(tmp_path: Path) -> None:
    old, new = EmbeddedBus(tmp_path), EmbeddedBus(tmp_path)
    old.start()
    old._stopping.set()  # its keeper shall not bring it back
    pid = old.pid
    new.start()
    try:
        assert gone(pid)
        assert new.pid != pid
    finally:
        new.close()
        old.close()
