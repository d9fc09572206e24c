"""The fence of a rollback, seen from the doors: a letter and a login that come inside it wait, and are the legacy
platform's when it is over."""

import asyncio
import smtplib
from collections.abc import Callable
from pathlib import Path

import pytest

from mailplat.core.route import Door, Route, RouteState
from mailplat.directory.watch import RouteWatch
from tests.dovecot import Dovecot
from tests.e2e.corpus import read_imap
from tests.migration.house import DOMAIN, PASSWORD, House, backend_of, client, content_of, letter
from tests.migration.way_back import roll_back, until_back
from tests.rig import ONE_WORKER, Rig
from tests.until import until

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]


class Inside:
    """A door of the test's own process: acts inside the fence; only then is the fence acknowledged."""

    def __init__(self, act: Callable[[], object]) -> None:
        self._act = act
        self.acted = False

    async def route_changed(self, route: Route) -> None:
        if route.state is RouteState.ROLLBACK_FENCED and not self.acted:
            self.acted = True
            assert route.door is Door.HOLD
            await self._act()  # type: ignore[misc]

    async def lease_lost(self) -> None: ...


async def test_what_comes_inside_the_fence_is_the_legacy_platforms(
    tmp_path: Path, dovecot: Dovecot, user: str
) -> None:
    rig = Rig(tmp_path / "rig", environment=ONE_WORKER)
    here = House(rig.root, backend_of(dovecot, pop3=""), [user])
    with client(dovecot, user) as imap:
        imap.append("INBOX", letter(1))
    here.plan()
    here.ledger.request_cutover(DOMAIN)

    def send(number: int) -> None:
        with smtplib.SMTP("127.0.0.1", rig.ports["smtp"], timeout=60) as smtp:
            smtp.sendmail("sender@elsewhere.test", [user], letter(number))

    def read() -> dict[int, bytes]:
        return read_imap(rig.ports["imap"], user, PASSWORD)

    logins: list[asyncio.Task[dict[int, bytes]]] = []

    async def inside() -> None:
        logins.append(asyncio.create_task(asyncio.to_thread(read)))
        await asyncio.to_thread(send, 3)
        await until(lambda: here.platform.queue.counts()["held"] == 1)
        assert not logins[0].done(), "a login waits"

    watch = RouteWatch(here.platform.directory, here.platform.bus, here.platform.executors)
    door = Inside(inside)
    watch.register(door)
    await asyncio.to_thread(rig.start)
    watching = asyncio.create_task(watch.run())
    try:
        await here.reach(RouteState.NEW)
        await asyncio.to_thread(send, 2)
        await until(lambda: len(here.content(user)["INBOX"][1]) == 2)
        roll_back(here)
        await until_back(here, user)
        assert door.acted
        assert len(await logins[0]) >= 2, "it waited, and went through to the legacy platform"
        await until(lambda: len(content_of(dovecot, user)["INBOX"][1]) == 3, 30)
        mail = await asyncio.to_thread(read)  # through mailplat, from there
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await asyncio.to_thread(rig.stop)
        here.close()
    assert [sum(each.endswith(letter(number)) for each in mail.values()) for number in (1, 2, 3)] == [1, 1, 1]
