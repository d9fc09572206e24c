"""The crash table of the package, row by row: a child is killed right after each step, another engine goes on."""

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from mailplat.core.route import BackendHome, RouteState
from mailplat.directory.tables import route_watcher
from tests.dovecot import Dovecot
from tests.migration.engines import Engines
from tests.migration.house import DOMAIN, House, client, content_of, letter
from tests.migration.wire import Wire
from tests.until import until

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

# step -> the state in which a killed engine leaves the route
STEPS = {
    "turn.made": RouteState.LEGACY,
    "turn.offered": RouteState.LEGACY,
    "turn.begun": RouteState.LEGACY,
    "turn.ended": RouteState.NEW,
    "move.seeding": RouteState.SEEDING,
    "cert.digests:1": RouteState.SEEDING,
    "move.batch:1": RouteState.SEEDING,
    "append.rename:30": RouteState.SEEDING,
    "move.tracking": RouteState.TRACKING,
    "move.ready": RouteState.READY,
    "move.fenced": RouteState.FENCED,
    "move.acknowledged": RouteState.FENCED,
    "move.delta": RouteState.FENCED,
    "cert.manifest": RouteState.FENCED,
    "move.granted": RouteState.FENCED,
    "move.committed": RouteState.NEW,
    "move.released": RouteState.NEW,
}


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
    engines: Engines,
) -> None:
    write_letters(dovecot, user, 60)
    here = house(user)
    here.plan()
    here.ledger.request_cutover(DOMAIN)
    assert await asyncio.to_thread(engines.run, tmp_path / "house", step) == -signal.SIGKILL
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
