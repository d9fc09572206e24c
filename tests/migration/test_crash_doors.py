"""The crash table's last rows, seen from the doors: a login that waits and a letter that is held while the engine, or
the whole platform, is killed right after the fence was taken back or the account released."""

import asyncio
import imaplib
import signal
import smtplib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from mailplat.core.route import BackendHome, Route, RouteState, ShardHome
from mailplat.directory.tables import route_watcher
from mailplat.directory.watch import RouteWatch
from mailplat.queue.rows import LEASED, recipient
from migration.certificate import events
from tests.dovecot import Dovecot
from tests.e2e.corpus import read_imap
from tests.migration.engines import Engines
from tests.migration.house import DOMAIN, PASSWORD, House, backend_of, client, content_of, letter
from tests.migration.wire import Wire
from tests.rig import Rig
from tests.until import until

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

DOORS = ("--role", "ingress", "--role", "access", "--role", "queue", "--role", "admin")
HELD = letter(4711)


class Acting:
    """A door of the test's own process: acts inside the fence; only then is the fence acknowledged."""

    def __init__(self, act: Callable[[], Awaitable[None]]) -> None:
        self._act = act
        self._acted = False

    async def route_changed(self, route: Route) -> None:
        if route.state is RouteState.FENCED and not self._acted:
            await self._act()
            self._acted = True

    async def lease_lost(self) -> None: ...


class Scene:
    """A platform, a legacy platform behind a wire, one account on its way."""

    def __init__(self, rig: Rig, here: House, user: str, wire: Wire) -> None:
        self.rig, self.here, self.user, self.wire = rig, here, user, wire
        self.account_id = here.accounts[user].id
        self.login: asyncio.Task[dict[int, bytes]] | None = None

    async def fenced(self, cut: bool) -> None:
        """What users do inside the fence; with `cut` the source goes away inside it."""
        self.login = asyncio.create_task(asyncio.to_thread(self.read))
        await asyncio.to_thread(self.send)
        await until(lambda: self.here.platform.queue.counts()["held"] == 1)
        assert not self.login.done(), "a login waits"
        if cut:
            self.wire.cut_all()

    def read(self) -> dict[int, bytes]:
        return read_imap(self.rig.ports["imap"], self.user, PASSWORD)

    def send(self) -> None:
        with smtplib.SMTP("127.0.0.1", self.rig.ports["smtp"], timeout=60) as smtp:
            smtp.sendmail("sender@elsewhere.test", [self.user], HELD)

    async def start_again(self) -> None:
        """After a crash, without an engine; what the dead process had is taken over as after its time."""
        with self.here.platform.database.write() as connection:
            connection.execute(route_watcher.delete())  # DEAD_AFTER_S
            connection.execute(
                recipient.update().where(recipient.c.state == LEASED).values(due=0.0)
            )  # LEASE_S
        await asyncio.to_thread(self.rig.start, *DOORS)

    async def no_longer_held(self) -> None:
        await until(lambda: self.here.platform.queue.count_account(self.account_id) == 0, 30)

    async def kill_at(self, step: str, engines: Engines | None) -> None:
        """Run until the engine has died there: a process of its own, or the platform with every role in it."""
        aborted = step == "move.aborted"
        watch = RouteWatch(self.here.platform.directory, self.here.platform.bus, self.here.platform.executors)
        watch.register(Acting(lambda: self.fenced(cut=aborted)))
        watching = asyncio.create_task(watch.run())
        try:
            if engines is None:
                self.rig.environment["MAILPLAT_DIE_AT"] = step
                await asyncio.to_thread(self.rig.start)
                assert self.rig.process is not None
                assert await asyncio.to_thread(self.rig.process.wait, 60) == -signal.SIGKILL
                self.rig.process = None
                del self.rig.environment["MAILPLAT_DIE_AT"]
            else:
                await asyncio.to_thread(self.rig.start, *DOORS)
                assert await asyncio.to_thread(engines.run, self.rig.root, step) == -signal.SIGKILL
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


@pytest.fixture
async def scene(tmp_path: Path, dovecot: Dovecot, user: str) -> AsyncIterator[Scene]:
    async with Wire(dovecot.imap_port) as wire:
        rig = Rig(tmp_path / "rig", environment={"MAILPLAT_PLATFORM__WORKERS": "1"})
        here = House(rig.root, backend_of(dovecot, imap=f"127.0.0.1:{wire.port}", pop3=""), [user])
        with client(dovecot, user) as imap:
            for number in range(30):
                imap.append("INBOX", letter(number), flags=["\\Seen", "$Work"])
        here.plan()
        here.ledger.request_cutover(DOMAIN)
        yield Scene(rig, here, user, wire)
        here.close()
        if rig.process is not None:
            await asyncio.to_thread(rig.stop)


def copies(mail: dict[int, bytes]) -> int:
    return sum(octets.endswith(HELD) for octets in mail.values())


@pytest.mark.parametrize("apart", [True, False], ids=["engine killed", "platform killed"])
async def test_a_fence_is_taken_back_and_the_engine_dies(
    scene: Scene, dovecot: Dovecot, engines: Engines, apart: bool
) -> None:
    here, user = scene.here, scene.user
    await scene.kill_at("move.aborted", engines if apart else None)
    left = here.move(user)
    assert (left.route.state, left.route.home) == (RouteState.TRACKING, BackendHome("old"))
    assert (left.aborts, left.cutover) == (1, False)
    assert "fence taken back: the source closed the connection" in left.note
    assert scene.login is not None
    if apart:
        assert len(await scene.login) >= 30, "it waited, and went through to the legacy platform"
    else:
        with pytest.raises((OSError, imaplib.IMAP4.abort)):  # its door died
            await scene.login
        await scene.start_again()
    await scene.no_longer_held()  # no engine runs: doors and queue read the row
    assert copies(await asyncio.to_thread(scene.read)) == 1
    async with here.engine():
        await here.reach(RouteState.READY)
        here.ledger.request_cutover(DOMAIN)
        await here.reach(RouteState.NEW)
        await until(lambda: here.move(user).released)
    assert here.content(user) == content_of(dovecot, user)
    mail = await asyncio.to_thread(scene.read)
    assert (len(mail), copies(mail)) == (31, 1)


async def test_the_account_is_released_and_the_engine_dies(
    scene: Scene, dovecot: Dovecot, engines: Engines
) -> None:
    here, user = scene.here, scene.user
    await scene.kill_at("move.released", engines)
    left = here.move(user)
    assert (left.route.state, left.route.home) == (RouteState.NEW, ShardHome(left.shard))
    assert left.released
    assert scene.login is not None
    assert len(await scene.login) >= 30, "it waited, and was served here"
    ((_, kind, detail),) = events.of(here.platform.database, scene.account_id)
    assert (kind, detail["messages"]) == ("held", 1)
    await scene.no_longer_held()
    with client(dovecot, user) as imap:  # somebody who does not know that the account moved
        imap.append("INBOX", letter(31))
    async with here.engine():
        await until(lambda: here.move(user).strays == 1, 30)
    mail = await asyncio.to_thread(scene.read)
    assert (len(mail), copies(mail)) == (32, 1)
    there = content_of(dovecot, user)["INBOX"][1]
    assert len(there) == 31, "the letter that was held is here alone"
    assert {octets for _, _, octets in there.values()} < set(mail.values())
