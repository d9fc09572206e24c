"""IMAP sessions that stay connected while their account moves from shard to shard, at our own doors."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mailplat.core.address import Address
from mailplat.core.route import ShardHome
from tests.access.imap.client import Client
from tests.migration.house import DOMAIN, PASSWORD, House, letter
from tests.migration.test_carry import DOORS, Believer, heard
from tests.rig import ONE_WORKER, Rig

pytestmark = pytest.mark.timeout(120)
ANN = Address("ann", DOMAIN)


class Stage:
    def __init__(self, rig: Rig, here: House) -> None:
        self.rig, self.here = rig, here

    async def login(self, select: str = "") -> Client:
        session = await Client.connect(self.rig.ports["imap"])
        await session.ok(f'LOGIN {ANN} "{PASSWORD}"')
        if select:
            await session.ok(select)
        return session

    @property
    def shard(self) -> str:
        directory = self.here.platform.directory
        home = directory.route(directory.account(ANN).id).home
        assert isinstance(home, ShardHome)
        return home.shard

    async def move(self) -> None:
        target = "s2" if self.shard == "s1" else "s1"
        await asyncio.to_thread(self.rig.run, "migrate", "move", str(ANN), "--to", target, "--wait")
        assert self.shard == target


@contextlib.asynccontextmanager
async def staged(tmp_path: Path) -> AsyncIterator[Stage]:
    """An account with five letters in s1; doors and engine run."""
    rig = Rig(tmp_path / "rig", environment=ONE_WORKER)
    here = House(rig.root, None, [])
    here.platform.directory.add_domain(DOMAIN)
    here.platform.directory.add_account(ANN, home=ShardHome("s1"), password_hash=f"{{PLAIN}}{PASSWORD}")
    await asyncio.to_thread(rig.start, *DOORS)
    try:
        async with here.engine():
            stage = Stage(rig, here)
            session = await stage.login()
            for number in range(5):
                await session.append(letter(number))
            await session.ok("LOGOUT")
            yield stage
    finally:
        await asyncio.to_thread(rig.stop)
        here.close()


async def test_an_idle_goes_on_in_the_other_shard_and_back(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        session = await stage.login("SELECT INBOX")
        session.send(b"i IDLE\r\n")
        assert (await session.line()).startswith(b"+")
        for count in (6, 7):
            await stage.move()
            other = await stage.login("SELECT INBOX")
            await other.append(letter(count))
            lines = await heard(session, rf"\* {count} EXISTS")
            assert not any("BYE" in line or "EXPUNGE" in line for line in lines)
        session.send(b"DONE\r\n")
        assert (await heard(session, r"i .*"))[-1] == "i OK IDLE completed"
        assert len(await session.ok("FETCH 1:* (UID)")) == 7


async def test_commands_that_come_meanwhile_are_answered_at_the_new_home(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        bare, session = await stage.login(), await stage.login("SELECT INBOX")
        await session.ok("SEARCH RETURN (SAVE) 2:3")
        other = await stage.login("SELECT INBOX")
        await other.ok("STORE 4 +FLAGS (\\Deleted $Work)")
        await other.ok("EXPUNGE")
        await stage.move()
        session.send(b"x FETCH $ (UID)\r\ny NOOP\r\n")
        lines = await heard(session, r"y OK .*")
        assert lines[:3] == ["* 2 FETCH (UID 2)", "* 3 FETCH (UID 3)", "x OK FETCH completed"]
        assert "* 4 EXPUNGE" in lines
        assert await bare.ok("STATUS INBOX (MESSAGES)") == [b"* STATUS INBOX (MESSAGES 4)"]
        await session.ok("STORE 1 +FLAGS (\\Seen)")
        await bare.append(letter(9))


async def test_a_mailbox_that_was_renamed_is_still_the_selected_one(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        other = await stage.login()
        await other.ok("CREATE Work")
        await other.append(letter(1), "Work")
        session = await stage.login("SELECT Work")
        await other.ok("RENAME Work Play")
        await other.ok("CREATE Work")
        await stage.move()
        assert len(await session.ok("FETCH 1:* (UID)")) == 1


async def test_who_cannot_follow_hears_bye(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        session = await stage.login("SELECT INBOX")
        await session.ok("NOTIFY SET (SELECTED (MessageNew MessageExpunge))")
        half = await stage.login("SELECT INBOX")
        half.send(b"a APPEND INBOX {100}\r\n")
        assert (await half.line()).startswith(b"+")
        half.send(b"not all")
        await stage.move()
        for each in (session, half):
            assert (await heard(each, r"\* BYE .*"))[-1].startswith("* BYE [UNAVAILABLE]")
            await each.closed()


@pytest.mark.parametrize("seed", range(2))
async def test_clients_that_work_all_the_while(tmp_path: Path, seed: int) -> None:
    """A write that the old home refuses inside the fence is answered with BYE: its client comes again. Nobody who
    stays believes anything that is not so."""
    rng = random.Random(seed)
    async with staged(tmp_path) as stage:
        clients = []
        for _ in range(3):
            believer = Believer(await stage.login(), random.Random(rng.random()))
            await believer.command("SELECT INBOX")
            await believer.command("FETCH 1:* (UID FLAGS)")
            clients.append(believer)
        stop = asyncio.Event()
        living = [asyncio.create_task(each.live(stop)) for each in clients]
        try:
            for _ in range(2):
                await stage.move()
        finally:
            stop.set()
            ended = await asyncio.gather(*living, return_exceptions=True)
        for each, end in zip(clients, ended, strict=True):
            if end is None:
                await each.check()
            else:
                assert isinstance(end, EOFError | ConnectionError), end
