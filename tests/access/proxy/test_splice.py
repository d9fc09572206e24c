"""Backends that misbehave, and sessions that must end: seen from the client and from the backend."""

import asyncio
import random
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.access import login
from mailplat.access.login import AuthenticationFailed, Forward
from mailplat.access.proxy import connect_imap, connect_pop3, upstream
from mailplat.access.proxy.splice import IMAP_FAREWELL
from mailplat.core.errors import Unavailable
from mailplat.core.route import RouteState
from mailplat.wire.imap.observer import Boundary
from tests.access.backend import Connection, ScriptedBackend, backend
from tests.access.house import DOMAIN, PEER, Client, House
from tests.until import until


@pytest.fixture(autouse=True)
def no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login, "FAILURE_DELAY_S", 0.0)


async def front(house: House, behind: ScriptedBackend) -> None:
    house.add_backend(imap=behind.endpoint, pop3=behind.endpoint)
    house.add_forwarded("anna")
    await house.start_watch()


async def imap_client(house: House) -> Client:
    client = await house.connect(await house.listen(house.imap))
    await client.line()
    assert (await client.tagged("a", f"a LOGIN anna@{DOMAIN} secret"))[-1].startswith(b"a OK")
    return client


async def until_the_end(connection: Connection) -> None:
    await connection.imap_login()
    await connection.listen_to_the_end()


async def test_the_backend_hears_the_clients_own_words(house: House) -> None:
    heard: list[tuple[bytes, bytes]] = []

    async def script(connection: Connection) -> None:
        heard.append(await connection.imap_login())

    async with backend(script) as behind:
        found = await connect_imap(await granted(house, behind, 'Zoë "{3}\\'))
        found.close()
    assert heard == [(f"anna@{DOMAIN}".encode(), 'Zoë "{3}\\'.encode())]


# ends


async def test_at_a_fence_the_client_is_told_and_the_backend_hears_no_more(house: House) -> None:
    async with backend(until_the_end) as behind:
        await front(house, behind)
        client = await imap_client(house)
        client.send("b IDLE")
        [connection] = behind.connections
        await until(lambda: b"IDLE" in connection.seen)
        connection.say(b"+ idling\r\n* 3 EXISTS\r\n")
        assert await client.line() == b"+ idling"
        assert await client.line() == b"* 3 EXISTS"
        route = house.advance("anna", RouteState.SEEDING, RouteState.TRACKING, RouteState.FENCED)
        await house.forwarded.route_changed(route)
        assert len(house.forwarded) == 0  # when the handler has returned nothing is left
        assert await client.rest() == IMAP_FAREWELL
        await connection.ended.wait()


async def test_seeding_and_tracking_disturb_nobody(house: House) -> None:
    async with backend(until_the_end) as behind:
        await front(house, behind)
        client = await imap_client(house)
        await house.forwarded.route_changed(house.advance("anna", RouteState.SEEDING, RouteState.TRACKING))
        client.send("b NOOP")
        [connection] = behind.connections
        await until(lambda: b"b NOOP" in connection.seen)
        assert len(house.forwarded) == 1


@pytest.mark.parametrize(
    "unfinished",
    [
        b"* 1 FETCH (BODY[] {100}\r\nhalf of it\r\n",
        b"* 1 FETCH (FLAGS",
        b"* 1 FETCH (BODY[] {3}\r\nabc",
        b"* 1 EXISTS\r",
    ],
)
async def test_nothing_is_put_into_the_middle_of_a_reply(house: House, unfinished: bytes) -> None:
    """A client would take the last line for a part of its mail."""
    async with backend(until_the_end) as behind:
        await front(house, behind)
        client = await imap_client(house)
        [connection] = behind.connections
        connection.say(unfinished)
        async with asyncio.timeout(20):
            assert await client.reader.readexactly(len(unfinished)) == unfinished
        await house.forwarded.close()
        assert await client.rest() == b""


async def test_nothing_is_put_into_a_compressed_stream(house: House) -> None:
    async with backend(until_the_end) as behind:
        await front(house, behind)
        client = await imap_client(house)
        client.send("b COMPRESS DEFLATE")
        [connection] = behind.connections
        await until(lambda: b"DEFLATE" in connection.seen)
        await house.forwarded.close()
        assert await client.rest() == b""


async def test_pop3_gets_a_moment_to_come_to_its_quit(house: House) -> None:
    async def script(connection: Connection) -> None:
        await connection.pop3_login()
        await connection.hear()  # QUIT
        connection.say(b"+OK deleted\r\n")

    async with backend(script) as behind:
        await front(house, behind)
        client = await house.pop3_client("anna", "secret")
        ending = asyncio.create_task(house.forwarded.close())
        await asyncio.sleep(0)
        assert await client.ask("QUIT") == b"+OK deleted"
        await ending
        assert await client.rest() == b""


async def test_a_lost_lease_ends_everything_at_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for this process any more: no moment for anybody."""

    async def script(connection: Connection) -> None:
        await connection.pop3_login()
        await connection.listen_to_the_end()

    async with backend(script) as behind:
        await front(house, behind)
        client = await house.pop3_client("anna", "secret")
        monkeypatch.setattr(sys.modules["mailplat.access.proxy.splice"], "POP3_GRACE_S", 1000.0)
        async with asyncio.timeout(10):
            await house.forwarded.lease_lost()
        assert await client.rest() == b""


async def test_without_a_lease_nobody_is_forwarded(house: House) -> None:
    async with backend(until_the_end) as behind:
        house.add_backend(imap=behind.endpoint)
        house.add_forwarded("anna")
        client = await house.connect(await house.listen(house.imap))  # the watch does not run
        await client.line()
        assert (await client.tagged("a", f"a LOGIN anna@{DOMAIN} secret"))[-1].startswith(
            b"a NO [UNAVAILABLE]"
        )
        assert len(house.forwarded) == 0


async def test_an_account_that_moves_during_its_login_is_looked_up_again(house: House) -> None:
    """The backend says OK, but the account is no longer there."""

    async def script(connection: Connection) -> None:
        if len(behind.connections) == 1:
            house.advance("anna", RouteState.SEEDING, RouteState.TRACKING, RouteState.FENCED)
        await until_the_end(connection)

    async with backend(script) as behind:
        await front(house, behind)
        client = await house.connect(await house.listen(house.imap))
        await client.line()
        client.send(f"a LOGIN anna@{DOMAIN} secret")
        await until(lambda: behind.connections and behind.connections[0].ended.is_set())
        assert len(house.forwarded) == 0
        house.advance("anna", RouteState.TRACKING)  # the fence was given up
        assert (await client.tagged("a"))[-1].startswith(b"a OK")
        assert len(behind.connections) == 2


async def test_a_backend_that_closes_ends_the_session(house: House) -> None:
    async def script(connection: Connection) -> None:
        await connection.imap_login()
        connection.say(b"* BYE going down\r\n")

    async with backend(script) as behind:
        await front(house, behind)
        client = await imap_client(house)
        assert await client.rest() == b"* BYE going down\r\n"
        await until(lambda: len(house.forwarded) == 0)


async def test_a_client_that_vanishes_ends_the_session(house: House) -> None:
    async with backend(until_the_end) as behind:
        await front(house, behind)
        client = await imap_client(house)
        client.close()
        await until(lambda: len(house.forwarded) == 0)
        await behind.connections[0].ended.wait()


async def test_a_slow_reader_holds_up_the_backend_and_not_our_memory(house: House) -> None:
    total = 30_000_000
    sent = 0

    async def script(connection: Connection) -> None:
        nonlocal sent
        await connection.imap_login()
        while sent < total:
            connection.say(b"x" * 99_998 + b"\r\n")
            sent += 100_000
            await connection.writer.drain()
        await connection.listen_to_the_end()

    async with backend(script) as behind:
        await front(house, behind)
        client = await imap_client(house)
        previous = -1
        while sent != previous:  # until nothing moves any more
            previous = sent
            await asyncio.sleep(0.2)
        assert sent < total
        received = 0
        async with asyncio.timeout(30):
            while received < total:
                received += len(await client.reader.read(1 << 20))
        assert received == total


# logins at backends that misbehave


async def granted(house: House, behind: ScriptedBackend, password: str = "secret") -> Forward:
    await front(house, behind)
    found = await house.login.login(f"anna@{DOMAIN}", password, PEER, "imap")
    assert isinstance(found, Forward)
    return found


IMAP_REPLIES = {
    b"NO [AUTHENTICATIONFAILED] secret reason": AuthenticationFailed,
    b"NO wrong": AuthenticationFailed,
    b"BAD what": AuthenticationFailed,
    b"NO [UNAVAILABLE] temporary": Unavailable,
    b"NO [INUSE] busy": Unavailable,
    b"no [limit] too many": Unavailable,
}


@pytest.mark.parametrize("reply", IMAP_REPLIES)
async def test_what_an_imap_backend_says_no_with(house: House, reply: bytes) -> None:
    async def script(connection: Connection) -> None:
        await connection.imap_login(reply)

    async with backend(script) as behind:
        with pytest.raises(IMAP_REPLIES[reply]):
            await connect_imap(await granted(house, behind))
    assert len(house.forwarded) == 0


POP3_REPLIES = {
    b"-ERR [AUTH] secret reason": AuthenticationFailed,
    b"-ERR wrong": AuthenticationFailed,
    b"-ERR [SYS/TEMP] later": Unavailable,
    b"-ERR [SYS/PERM] broken": Unavailable,
    b"-ERR [LOGIN-DELAY] slowly": Unavailable,
    b"-ERR [IN-USE] twice": login.MaildropInUse,
}


@pytest.mark.parametrize("reply", POP3_REPLIES)
async def test_what_a_pop3_backend_says_no_with(house: House, reply: bytes) -> None:
    async def script(connection: Connection) -> None:
        await connection.pop3_login(reply)

    async with backend(script) as behind:
        with pytest.raises(POP3_REPLIES[reply]):
            await connect_pop3(await granted(house, behind))
    assert len(house.forwarded) == 0


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"* BYE full\r\n",
        b"+OK pop3\r\n",
        b"\xff\xfe\0",
        b"* OK hi\r\n* BYE no\r\n",
        b"x" * 200_000 + b"\r\n",
        b"* OK half",
    ],
)
@pytest.mark.parametrize("connect", [connect_imap, connect_pop3])
async def test_what_is_no_backend(house: House, said: bytes, connect: object) -> None:
    async def script(connection: Connection) -> None:
        connection.say(said)
        await connection.writer.drain()

    async with backend(script) as behind:
        with pytest.raises(Unavailable):
            await connect(await granted(house, behind))  # type: ignore[operator]
    assert len(house.forwarded) == 0


@pytest.mark.parametrize("connect", [connect_imap, connect_pop3])
async def test_a_backend_that_is_silent(
    house: House, connect: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upstream, "LOGIN_TIMEOUT_S", 0.05)

    async def script(connection: Connection) -> None:
        await connection.listen_to_the_end()

    async with backend(script) as behind:
        with pytest.raises(Unavailable, match="went away during the login"):
            await connect(await granted(house, behind))  # type: ignore[operator]
        await behind.connections[0].ended.wait()


async def test_a_backend_without_the_starttls_that_is_asked_for(house: House) -> None:
    """Never in clear where TLS was configured."""

    async def script(connection: Connection) -> None:
        connection.say(b"* OK hi\r\n")
        line = await connection.hear()
        connection.say(line.split()[0] + b" BAD unknown\r\n")
        await connection.listen_to_the_end()

    async with backend(script) as behind:
        house.add_backend(imap=behind.endpoint, imap_tls="starttls")
        house.add_forwarded("anna")
        await house.start_watch()
        found = await house.login.login(f"anna@{DOMAIN}", "secret", PEER, "imap")
        assert isinstance(found, Forward)
        with pytest.raises(Unavailable, match="STARTTLS"):
            await connect_imap(found)
        assert b"LOGIN" not in behind.connections[0].seen


@pytest.mark.parametrize("password", ["a\r\nDELE 1", "a\0b", "a\nb"])
async def test_no_password_becomes_a_command(house: House, password: str) -> None:
    async def script(connection: Connection) -> None:
        await connection.pop3_login()
        await connection.listen_to_the_end()

    async with backend(script) as behind:
        found = await granted(house, behind, password)
        with pytest.raises(AuthenticationFailed):
            await connect_pop3(found)
        assert behind.connections == []


@pytest.mark.parametrize(
    ("reply", "untagged", "expected"),
    [
        (b"OK [CAPABILITY IMAP4rev1 X] in", b"", b"[CAPABILITY IMAP4rev1 X] in"),
        (b"OK in", b"* CAPABILITY IMAP4rev1 Y\r\n", b"[CAPABILITY IMAP4rev1 Y] in"),
        (b"OK in", b"", b"[CAPABILITY IMAP4rev1 Z] in"),
        (b"OK [ALERT] quota", b"", b"[ALERT] quota"),
    ],
)
async def test_capabilities_of_the_backend_come_with_the_login(
    house: House, reply: bytes, untagged: bytes, expected: bytes
) -> None:
    async def script(connection: Connection) -> None:
        real = connection.say

        def say(octets: bytes) -> None:
            real(untagged + octets if reply in octets else octets)

        connection.say = say  # type: ignore[method-assign]
        await connection.imap_login(reply)
        if line := await connection.hear():
            tag = line.split()[0]
            real(b"* CAPABILITY IMAP4rev1 Z\r\n" + tag + b" OK done\r\n")

    async with backend(script) as behind:
        found = await connect_imap(await granted(house, behind))
        assert found.text == expected
        found.close()
    assert len(house.forwarded) == 0


# where a line ends

_LINES = st.lists(
    st.one_of(
        st.sampled_from([b"* 1 EXISTS\r\n", b"a OK done\r\n", b"* OK {3}x\r\n", b"+ idling\r\n"]),
        st.binary(max_size=40).map(
            lambda octets: b"* 1 FETCH (BODY[] {%d}\r\n%b FLAGS ())\r\n" % (len(octets), octets)
        ),
        st.tuples(st.binary(max_size=9), st.binary(max_size=9)).map(
            lambda pair: (
                b"* 1 FETCH (A {%d+}\r\n%b B ~{%d}\r\n%b)\r\n"
                % (len(pair[0]), pair[0], len(pair[1]), pair[1])
            )
        ),
    ),
    max_size=8,
)


@given(lines=_LINES, seed=st.integers(0, 2**32))
def test_a_line_may_be_said_exactly_between_lines(lines: list[bytes], seed: int) -> None:
    stream = b"".join(lines)
    ends = {sum(map(len, lines[:count])) for count in range(len(lines) + 1)}
    rng = random.Random(seed)
    cuts = sorted([*rng.sample(range(len(stream) + 1), min(len(stream), 12)), len(stream)])
    boundary, at = Boundary(), 0
    for cut in cuts:
        boundary.feed(stream[at:cut])
        at = cut
        assert boundary.between_lines == (at in ends), (stream, at)


def test_a_stream_that_is_not_text_is_left_alone() -> None:
    boundary = Boundary()
    boundary.feed(b"\x00\x01\x02 deflate\r\n")
    assert not boundary.between_lines
    boundary.feed(b"* OK\r\n")
    assert not boundary.between_lines
