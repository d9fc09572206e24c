"""A backend that must not keep a fence waiting: when sessions are carried over, and when they end."""

import asyncio
from dataclasses import replace

import pytest

from mailplat.access import login
from mailplat.access.proxy.splice import IMAP_FAREWELL
from mailplat.core.limits.imap import ImapLimits
from mailplat.core.route import RouteState, ShardHome
from tests.access.backend import Connection, backend
from tests.access.house import DOMAIN, Client, House

FENCING = (RouteState.SEEDING, RouteState.TRACKING, RouteState.READY, RouteState.FENCED)


@pytest.fixture(autouse=True)
def no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login, "FAILURE_DELAY_S", 0.0)


class Legacy:
    """A mailbox of `count` messages, whose UIDs rise by `step`; `mute`: a command that is never answered."""

    def __init__(self, count: int, mute: bytes = b"", step: int = 1) -> None:
        self.count, self.mute, self.step = count, mute, step
        self.commands: list[bytes] = []

    async def __call__(self, connection: Connection) -> None:
        await connection.imap_login()
        try:
            while line := await connection.hear():
                tag, _, command = line.rstrip(b"\r\n").partition(b" ")
                self.commands.append(command)
                answer = self.answer(command)
                if command == b"IDLE":
                    connection.say(answer)
                    answer = b""
                    await connection.hear()
                if not self.mute or not command.startswith(self.mute):
                    connection.say(answer + tag + b" OK done\r\n")
        finally:
            connection.ended.set()

    def answer(self, command: bytes) -> bytes:
        if command.startswith(b"SELECT"):
            return b"* FLAGS ()\r\n* %d EXISTS\r\n* OK [UIDVALIDITY 7] Ok\r\n" % self.count
        if command.startswith(b"FETCH"):
            flags = b" FLAGS ()" if b"FLAGS" in command else b""
            numbers = range(1, self.count + 1)
            return b"".join(b"* %d FETCH (UID %d%b)\r\n" % (n, 7 + n * self.step, flags) for n in numbers)
        return b""


async def proxied(house: House, legacy: Legacy, port: int) -> Client:
    house.add_backend(imap=f"127.0.0.1:{port}")
    house.add_forwarded("anna")
    return await selected(house)


async def selected(house: House) -> Client:
    """Logged in, with INBOX selected."""
    await house.start_watch()
    client = await house.connect(await house.listen(house.imap))
    await client.line()
    assert (await client.tagged("a", f"a LOGIN anna@{DOMAIN} secret"))[-1].startswith(b"a OK")
    assert (await client.tagged("b", "b SELECT INBOX"))[-1].startswith(b"b OK")
    return client


def limited(house: House, limits: ImapLimits) -> None:
    house.imap._services = replace(house.imap._services, limits=limits)


async def test_a_mailbox_is_taken_down_and_its_client_waits(house: House) -> None:
    legacy = Legacy(3)
    async with backend(legacy) as behind:
        client = await proxied(house, legacy, behind.port)
        house.advance("anna", *FENCING)
        async with asyncio.timeout(20):
            await behind.connections[0].ended.wait()
        client.send("c NOOP")  # what is sent while the fence stands waits for the next home
        house.advance("anna", RouteState.NEW, home=ShardHome("s1"))
        assert b"\r\n* BYE " in await client.rest()  # the mailbox here has another UIDVALIDITY
    assert legacy.commands[-2:] == [b"FETCH 1:* (UID)", b"FETCH 1:* (UID FLAGS)"]


async def test_a_session_that_does_not_come_to_rest(house: House) -> None:
    limited(house, ImapLimits(carry_wait=0.05))
    legacy = Legacy(3, mute=b"NOOP")
    async with backend(legacy) as behind:
        client = await proxied(house, legacy, behind.port)
        client.send("c NOOP")
        house.advance("anna", *FENCING)
        assert await client.rest() == IMAP_FAREWELL


async def test_a_backend_that_does_not_answer_when_a_mailbox_is_taken_down(house: House) -> None:
    limited(house, ImapLimits(carry_wait=0.05))
    legacy = Legacy(3, mute=b"FETCH")
    async with backend(legacy) as behind:
        client = await proxied(house, legacy, behind.port)
        house.advance("anna", *FENCING)
        assert await client.rest() == IMAP_FAREWELL


@pytest.mark.parametrize("step", [0, -1, 2_000_000_000])
async def test_uids_that_cannot_be(house: House, step: int) -> None:
    legacy = Legacy(3, step=step)
    async with backend(legacy) as behind:
        client = await proxied(house, legacy, behind.port)
        house.advance("anna", *FENCING)
        assert await client.rest() == IMAP_FAREWELL


@pytest.mark.parametrize("count", [3, 4])
async def test_a_mailbox_that_is_too_large(house: House, count: int) -> None:
    limited(house, ImapLimits(carry_messages=3))
    legacy = Legacy(count)
    async with backend(legacy) as behind:
        client = await proxied(house, legacy, behind.port)
        house.advance("anna", *FENCING)
        async with asyncio.timeout(20):
            await behind.connections[0].ended.wait()
        assert any(command.startswith(b"FETCH") for command in legacy.commands) == (count == 3)
        if count > 3:
            assert await client.rest() == IMAP_FAREWELL
