"""The crash table of the package, row by row: a child is killed right after each step, another engine goes on."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mailplat.core.route import BackendHome, RouteState
from mailplat.directory.tables import route_watcher
from tests.dovecot import Dovecot
from tests.migration.house import DOMAIN, House, client, content_of, letter
from tests.until import until

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

# A process that has imported everything and forks an engine for each line "ROOT STEP" that it reads: the engine runs
# until it dies after that step, or until the account has moved. It answers with how the engine ended.
SERVER = """
import asyncio, os, sys
from pathlib import Path
from mailplat.core import disk
from tests.migration.house import House
from tests.until import until

async def main(root):
    here = House(Path(root), None, [])
    async with here.engine():
        await until(lambda: all(move.released for move in here.ledger.moves()), 60)
    here.close()

for line in sys.stdin:
    root, step = line.split()
    if (child := os.fork()) == 0:
        os.environ[disk.DIE_AT] = step
        disk._armed.update(disk._plan())
        sys.stdout = sys.stderr
        asyncio.run(main(root))
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""

# step -> the state in which a killed engine leaves the route
STEPS = {
    "move.seeding": RouteState.SEEDING,
    "move.batch:1": RouteState.SEEDING,
    "append.rename:30": RouteState.SEEDING,
    "move.tracking": RouteState.TRACKING,
    "move.ready": RouteState.READY,
    "move.fenced": RouteState.FENCED,
    "move.acknowledged": RouteState.FENCED,
    "move.delta": RouteState.FENCED,
    "move.granted": RouteState.FENCED,
    "move.committed": RouteState.NEW,
}


@pytest.fixture(scope="module")
def engines() -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        [sys.executable, "-c", SERVER],
        cwd=Path(__file__).resolve().parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        yield server
        assert server.stdin is not None
        server.stdin.close()


def run_engine(engines: "subprocess.Popen[str]", root: Path, step: str) -> int:
    assert engines.stdin is not None
    assert engines.stdout is not None
    engines.stdin.write(f"{root} {step}\n")
    engines.stdin.flush()
    return int(engines.stdout.readline())


def write_letters(dovecot: Dovecot, user: str, count: int) -> None:
    with client(dovecot, user) as imap:
        imap.create_folder("Archive")
        for number in range(count):
            imap.append(("INBOX", "Archive")[number % 2], letter(number), flags=["\\Seen", "$Work"])


@pytest.mark.parametrize("step", STEPS)
async def test_killed_at(
    step: str,
    dovecot: Dovecot,
    user: str,
    house: Callable[..., House],
    tmp_path: Path,
    engines: "subprocess.Popen[str]",
) -> None:
    write_letters(dovecot, user, 60)
    here = house(user)
    here.plan()
    here.ledger.request_cutover(DOMAIN)
    assert await asyncio.to_thread(run_engine, engines, tmp_path / "house", step) == -signal.SIGKILL
    with here.platform.database.write() as connection:  # instead of the 3 s until nobody waits for the dead
        connection.execute(route_watcher.delete())
    left = here.move(user)
    assert left.route.state is STEPS[step]
    if left.route.state is not RouteState.NEW:
        assert left.route.home == BackendHome("old"), "the users are on the legacy platform"
        with client(dovecot, user) as imap:
            imap.append("INBOX", letter(1000))
    async with here.engine():
        if left.route.state is RouteState.FENCED:  # taken back; the word for the cutover must come again
            await here.reach(RouteState.TRACKING, RouteState.READY)
            assert here.move(user).aborts == 1
            here.ledger.request_cutover(DOMAIN)
        await here.reach(RouteState.NEW)
        await until(lambda: here.move(user).released)
    assert here.content(user) == content_of(dovecot, user)


async def test_the_source_dies_in_the_middle_and_comes_back(
    dovecot: Dovecot, user: str, house: Callable[..., House]
) -> None:
    """Everything that was stored stays; nothing is stored twice; the rest comes when the source does."""
    write_letters(dovecot, user, 60)
    async with Wire(dovecot.imap_port) as wire:
        here = house(user, imap=f"127.0.0.1:{wire.port}", pop3="")
        here.plan()
        wire.cut_after = 12_000  # octets: in the middle of a batch
        async with here.engine():
            await wire.cut.wait()
            wire.cut_after = None
            here.ledger.request_cutover(DOMAIN)
            await here.reach(RouteState.NEW)
        assert here.content(user) == content_of(dovecot, user)


class Wire:
    """A TCP proxy that can cut its connections after so many octets of the server's."""

    def __init__(self, port: int) -> None:
        self._there = port
        self.cut_after: int | None = None
        self.cut = asyncio.Event()

    async def __aenter__(self) -> "Wire":
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listener.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._there)
        await asyncio.gather(
            self._pass(reader, there_writer, None), self._pass(there_reader, writer, there_writer)
        )

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, other: asyncio.StreamWriter | None
    ) -> None:
        passed = 0
        try:
            while chunk := await reader.read(4096):
                passed += len(chunk)
                if other is not None and self.cut_after is not None and passed > self.cut_after:
                    self.cut.set()
                    other.transport.abort()
                    writer.transport.abort()
                    return
                writer.write(chunk)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()
