"""Sessions that are carried over, at the moments when something else happens too."""

import asyncio
import socket
import threading
from collections.abc import Sequence
from dataclasses import replace

import pytest

from mailplat.access.imap import carrying
from mailplat.access.imap.sharing import Sharing
from mailplat.access.proxy.parking import Known
from mailplat.access.proxy.splice import IMAP_FAREWELL
from mailplat.core.address import Address
from mailplat.core.limits.imap import ImapLimits
from mailplat.core.route import Residence, RouteState, ShardHome
from mailplat.core.spool import Body
from mailplat.store import Mailbox, Shard
from mailplat.store.types import NewMessage
from tests.access.backend import Connection, backend
from tests.access.house import DOMAIN, PASSWORD, Client, House, message
from tests.access.proxy.test_parking import FENCING, Legacy, limited, proxied, selected
from tests.until import until


async def test_a_client_that_does_not_read_keeps_no_fence_waiting(house: House) -> None:
    """The answer to its login is more than the kernel takes."""
    limited(house, ImapLimits(carry_wait=0.05, write_buffer=1024))
    text = b"[CAPABILITY IMAP4rev1 IDLE] " + b"x" * 60_000

    async def script(connection: Connection) -> None:
        await connection.imap_login(b"OK " + text)
        await connection.listen_to_the_end()

    async with backend(script) as behind:
        house.add_backend(imap=f"127.0.0.1:{behind.port}")
        house.add_forwarded("anna")
        await house.start_watch()
        port = await house.listen(house.imap)
        for listening in house._listeners[-1].sockets:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        narrow = socket.socket()
        narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        narrow.connect(("127.0.0.1", port))
        client = Client(*await asyncio.open_connection(sock=narrow, limit=1 << 20))
        house._clients.append(client)
        await client.line()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        client.send(f"a LOGIN anna@{DOMAIN} secret")
        await until(lambda: len(house.forwarded) == 1)
        route = house.advance("anna", *FENCING)
        async with asyncio.timeout(20):
            await house.forwarded.route_changed(route)
        assert len(house.forwarded) == 0
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert await client.line() == b"a OK " + text


class Same(Legacy):
    """With the messages that are in the shard, under the same numbers."""

    uidvalidity = 1

    def answer(self, command: bytes) -> bytes:
        octets = super().answer(command).replace(b"UIDVALIDITY 7", b"UIDVALIDITY %d" % self.uidvalidity)
        for number in range(1, self.count + 1):
            octets = octets.replace(b"(UID %d" % (7 + number), b"(UID %d" % number)
        return octets


async def copied(house: House, legacy: Same) -> None:
    """What is on the backend is in shard s1."""
    account = house.directory.account(Address("anna", DOMAIN))
    epoch = house.directory.route(account.id).epoch
    residence = Residence(account.id, "s1", epoch)
    shard = house.store.shard("s1")
    shard.grant(account.id, epoch)
    letters = [NewMessage(Body.of(message(str(number)))) for number in range(legacy.count)]
    await house.store.append(residence, "INBOX", letters)
    legacy.uidvalidity = shard.mailbox(residence, "INBOX").uidvalidity


async def test_a_second_move_before_the_session_has_arrived(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It still has its mailbox selected, and its commands are answered."""
    opening, go = threading.Event(), threading.Event()
    really = carrying._open

    def waits(shard: Shard, residence: Residence, name: str, known: Sequence[Known]) -> object:
        opening.set()
        go.wait(30)
        return really(shard, residence, name, known)

    monkeypatch.setattr(carrying, "_open", waits)
    legacy = Same(3)
    async with backend(legacy) as behind:
        house.add_backend(imap=f"127.0.0.1:{behind.port}")
        house.add_forwarded("anna")
        await copied(house, legacy)
        client = await selected(house)
        house.advance("anna", *FENCING)
        async with asyncio.timeout(20):
            await behind.connections[0].ended.wait()
        client.send("c FETCH 1:* (UID)")
        house.advance("anna", RouteState.NEW, home=ShardHome("s1"))
        await until(opening.is_set)
        [session] = house.imap.sessions._all
        try:
            house.advance("anna", RouteState.SHARD_FENCED)
            await until(lambda: session.ending != "")
            house.advance("anna", RouteState.NEW)
        finally:
            go.set()
        lines = await client.tagged("c")
        assert [line for line in lines if b"FETCH (UID" in line] == [
            b"* %d FETCH (UID %d)" % (n, n) for n in (1, 2, 3)
        ]
        assert lines[-1].startswith(b"c OK")
        assert (await client.tagged("d", "d CLOSE"))[-1].startswith(b"d OK")


class Returned(Legacy):
    """`late`: what it says behind the answer to the command of that name, to a session that comes back."""

    def __init__(self, count: int, command: bytes, late: bytes) -> None:
        super().__init__(count)
        self.command, self.late = command, late
        self.back = False

    def answer(self, command: bytes) -> bytes:
        if command == b"IDLE" and not self.back:
            return b"+ idling\r\n"
        return super().answer(command) + (self.late if self.back and command == self.command else b"")


async def test_flags_that_change_while_a_session_returns(house: House) -> None:
    """A server tells them behind the FETCH that is under way, without a UID (RFC 3501 7.4.2)."""
    legacy = Returned(3, b"FETCH 1:* (UID FLAGS)", b"* 2 FETCH (FLAGS (\\Seen))\r\n")
    async with backend(legacy) as behind:
        client = await proxied(house, legacy, behind.port)
        house.advance("anna", *FENCING)
        async with asyncio.timeout(20):
            await behind.connections[0].ended.wait()
        legacy.back = True
        house.advance("anna", RouteState.TRACKING)
        lines = await client.tagged("c", "c NOOP")
        assert lines[:-1] == [b"* 2 FETCH (UID 9 FLAGS (\\Seen))"]


async def test_flags_that_change_while_a_mailbox_is_taken_down(house: House) -> None:
    """The client hears of them: they are not news at the next home. With a UID, as after ENABLE QRESYNC."""
    late = b"* 2 FETCH (UID 9 FLAGS (\\Seen))"
    legacy = Returned(3, b"FETCH 1:* (UID FLAGS)", late + b"\r\n")
    async with backend(legacy) as behind:
        client = await proxied(house, legacy, behind.port)
        legacy.back = True
        house.advance("anna", *FENCING)
        assert await client.line() == late


async def test_a_backend_that_cannot_be_followed_while_a_session_returns(house: House) -> None:
    """BYE, and nothing under the tag of a login that was answered long ago."""
    legacy = Returned(3, b"IDLE", b"* OK " + b"x" * 100_000 + b"\r\n+ idling\r\n")
    async with backend(legacy) as behind:
        client = await proxied(house, legacy, behind.port)
        client.send("c IDLE")
        assert await client.line() == b"+ idling"
        house.advance("anna", *FENCING)
        async with asyncio.timeout(20):
            await behind.connections[0].ended.wait()
        legacy.back = True
        house.advance("anna", RouteState.TRACKING)
        assert await client.rest() == IMAP_FAREWELL


async def test_a_name_that_is_somebody_elses_here(house: House) -> None:
    """Whose mailbox may be known of and not read: BYE, and nothing under the tag of a login answered long ago."""
    sharing = Sharing(house.directory, house.store, house.executors, house.clock)
    house.imap._services = replace(house.imap._services, sharing=sharing)
    house.add("bob")
    legacy = Legacy(3)
    async with backend(legacy) as behind:
        client = await proxied(house, legacy, behind.port)
        bob = await house.connect(await house.listen(house.imap))
        await bob.line()
        assert (await bob.tagged("a", f'a LOGIN bob@{DOMAIN} "{PASSWORD}"'))[-1].startswith(b"a OK")
        assert (await bob.tagged("b", f"b SETACL INBOX anna@{DOMAIN} l"))[-1].startswith(b"b OK")
        assert (await client.tagged("c", f"c SELECT user/bob@{DOMAIN}/INBOX"))[-1].startswith(b"c OK")
        house.advance("anna", *FENCING)
        async with asyncio.timeout(20):
            await behind.connections[0].ended.wait()
        house.advance("anna", RouteState.NEW, home=ShardHome("s1"))
        assert (await client.rest()).splitlines()[-1] == IMAP_FAREWELL.strip()


async def test_at_a_shutdown_the_client_of_a_forwarded_session_is_told(house: House) -> None:
    """As app/worker.py drains its doors."""
    async with backend(Legacy(3)) as behind:
        client = await proxied(house, Legacy(3), behind.port)
        await asyncio.gather(house.imap.close(), house.forwarded.close())
        assert await client.rest() == IMAP_FAREWELL


async def test_at_a_shutdown_the_client_that_waits_behind_a_fence_is_told(house: House) -> None:
    async with backend(Legacy(3)) as behind:
        client = await proxied(house, Legacy(3), behind.port)
        await client.tagged("b", "b SELECT INBOX")
        house.advance("anna", *FENCING)
        async with asyncio.timeout(20):
            await behind.connections[0].ended.wait()  # it waits for its next home
        await asyncio.gather(house.imap.close(), house.forwarded.close())
        assert (await client.rest()).splitlines()[-1] == IMAP_FAREWELL.strip()


async def test_a_shutdown_while_a_session_leaves_its_shard(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.add("anna")
    house.residence("anna")
    shard, looking, go = house.store.shard("s1"), threading.Event(), threading.Event()
    really = shard.mailboxes

    def waits(residence: Residence) -> list[Mailbox]:
        looking.set()
        go.wait(30)
        return really(residence)

    await house.start_watch()
    client = await house.connect(await house.listen(house.imap))
    await client.line()
    assert (await client.tagged("a", f'a LOGIN anna@{DOMAIN} "{PASSWORD}"'))[-1].startswith(b"a OK")
    assert (await client.tagged("b", "b SELECT INBOX"))[-1].startswith(b"b OK")
    monkeypatch.setattr(shard, "mailboxes", waits)
    house.advance("anna", RouteState.SHARD_FENCED)
    await until(looking.is_set)
    [session] = house.imap.sessions._all
    closing = asyncio.create_task(house.imap.close())
    await until(lambda: "shutting down" in session.ending)
    go.set()
    await closing
    assert b"* BYE [UNAVAILABLE] Server is shutting down" in await client.rest()
