"""What the readers' doors count: of accounts that live here, and of those that are passed through."""

import asyncio
from base64 import b64decode, b64encode
from zlib import MAX_WBITS, compressobj

import pytest

from mailplat.access import login
from mailplat.core.route import ShardHome
from mailplat.directory.reading_passes import ReadingPasses
from mailplat.usage import Counts
from mailplat.wire.sasl import derive_keys
from tests.access.backend import Connection, backend
from tests.access.house import DOMAIN, PASSWORD, Client, House, message
from tests.until import until
from tests.wire.scram_client import ScramClient

OLD = "backend:legacy"


@pytest.fixture(autouse=True)
def no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login, "FAILURE_DELAY_S", 0.0)


def counted(house: House) -> dict[str, Counts]:
    """By home; all hours together."""
    found: dict[str, Counts] = {}
    for key, counts in house.login.meter.take(everything=True).items():
        assert key.domain == DOMAIN
        found.setdefault(key.home, Counts()).add(counts)
    return found


async def imap(house: House, name: str = "anna", password: str = PASSWORD) -> tuple[Client, bytes]:
    """And what came for the login."""
    client = await house.connect(await house.listen(house.imap))
    await client.line()
    reply = (await client.tagged("a", f'a LOGIN {name}@{DOMAIN} "{password}"'))[-1]
    return client, reply


async def test_imap_counts_logins_and_what_the_client_gets(house: House) -> None:
    house.add("anna")
    await house.deliver("anna", message(body="x" * 50_000 + "\r\n"))
    client, reply = await imap(house)
    client.send("b EXAMINE INBOX", "c FETCH 1 BODY.PEEK[]", "d LOGOUT")
    received = await client.rest()
    await until(lambda: len(house.imap.sessions) == 0)
    assert counted(house) == {
        "shard:s1": Counts(logins=1, users=1, octets=len(reply) + len(b"\r\n") + len(received))
    }


async def test_compressed_octets_are_counted_as_they_are_sent(house: House) -> None:
    house.add("anna")
    await house.deliver("anna", message(body="x" * 50_000 + "\r\n"))
    client, reply = await imap(house)
    client.send("b COMPRESS DEFLATE")
    agreed = await client.line()
    deflate = compressobj(wbits=-MAX_WBITS)
    client.writer.write(deflate.compress(b"c EXAMINE INBOX\r\nd FETCH 1 BODY.PEEK[]\r\ne LOGOUT\r\n"))
    client.writer.write(deflate.flush())
    received = await client.rest()
    await until(lambda: len(house.imap.sessions) == 0)
    said = len(reply) + len(agreed) + 4 + len(received)
    assert said < 5_000
    # The farewell is gathered when the session is counted, and compressed behind that.
    assert abs(counted(house)["shard:s1"].octets - said) < 50


async def test_pop3_counts_the_same(house: House) -> None:
    house.add("anna")
    await house.deliver("anna", message(body="x" * 20_000 + "\r\n"))
    client = await house.pop3_client()
    client.send("RETR 1", "QUIT")
    received = await client.rest()
    await until(lambda: len(house.pop3) == 0)
    counts = counted(house)["shard:s1"]
    assert (counts.logins, counts.users) == (1, 1)
    assert 0 <= counts.octets - len(received) < 100  # the greeting of the maildrop too


async def test_a_session_that_stays_is_counted_while_it_does(house: House) -> None:
    house.add("anna")
    client, _ = await imap(house)
    before = counted(house)["shard:s1"].octets
    reply = b"\r\n".join(await client.tagged("b", "b NAMESPACE"))
    assert before > 0
    assert counted(house) == {"shard:s1": Counts(octets=len(reply) + 2)}


async def test_a_connection_that_is_somebody_elses_then(house: House) -> None:
    """UNAUTHENTICATE (RFC 8437)."""
    house.add("anna")
    house.add("bert", ShardHome("s2"))
    client, _ = await imap(house)
    await client.tagged("b", "b NAMESPACE")
    await client.tagged("c", "c UNAUTHENTICATE")
    first = counted(house)
    assert first.keys() == {"shard:s1"}
    await client.tagged("d", f'd LOGIN bert@{DOMAIN} "{PASSWORD}"')
    reply = b"\r\n".join(await client.tagged("e", "e NAMESPACE"))
    second = counted(house)
    assert second.keys() == {"shard:s2"}
    assert second["shard:s2"].logins == 1
    assert second["shard:s2"].octets > len(reply)


async def test_refused_passwords_of_accounts_that_there_are(house: House) -> None:
    house.add("anna")
    _, reply = await imap(house, password="wrong")
    assert b"AUTHENTICATIONFAILED" in reply
    await imap(house, password="wrong")
    await imap(house, name="nobody")
    assert counted(house) == {"shard:s1": Counts(refused=2, prompted=1)}


@pytest.mark.parametrize("protocol", ["imap", "pop3"])
async def test_a_wrong_proof_is_a_wrong_password(house: House, protocol: str) -> None:
    house.directory.set_domain(DOMAIN, scram=True)
    account = house.add("anna")
    house.login._scram.put(house.directory.account(account.address), derive_keys(PASSWORD))
    await house.login.enrolment.look()
    client = await house.connect(await house.listen(house.imap if protocol == "imap" else house.pop3))
    await client.line()
    scram = ScramClient(f"anna@{DOMAIN}", "wrong")
    command = b"a AUTHENTICATE" if protocol == "imap" else b"AUTH"
    challenge = await client.ask(command + b" SCRAM-SHA-256 " + b64encode(scram.first()))
    refused = await client.ask(b64encode(scram.final(b64decode(challenge[2:]))))
    assert refused.startswith((b"a NO [AUTHENTICATIONFAILED]", b"-ERR [AUTH]"))
    assert counted(house) == {"shard:s1": Counts(refused=1, prompted=1)}


async def test_what_is_passed_through_is_counted_at_the_backend(house: House) -> None:
    letter = b"* 1 FETCH (BODY[] {30000}\r\n" + b"x" * 30_000 + b")\r\n"

    async def script(connection: Connection) -> None:
        await connection.imap_login()
        await connection.hear()
        connection.say(letter)
        await connection.hear()

    async with backend(script) as behind:
        house.add_backend(imap=behind.endpoint, pop3=behind.endpoint)
        house.add_forwarded("anna")
        await house.start_watch()
        client, _ = await imap(house)
        client.send("b FETCH 1 BODY[]")
        async with asyncio.timeout(20):
            await client.reader.readexactly(len(letter))
        assert counted(house)[OLD] == Counts(logins=1, users=1, octets=len(letter))
        client.close()
        await until(lambda: len(house.forwarded) == 0)
    assert counted(house) == {}


async def test_a_backend_that_says_no_is_counted_too(house: House) -> None:
    async def script(connection: Connection) -> None:
        await connection.imap_login(b"NO [AUTHENTICATIONFAILED] no")
        await connection.listen_to_the_end()

    async with backend(script) as behind:
        house.add_backend(imap=behind.endpoint)
        house.add_forwarded("anna")
        await house.start_watch()
        await imap(house, password="wrong")
    assert counted(house) == {OLD: Counts(refused=1, prompted=1)}


async def test_what_the_platform_reads_is_nobodys_use(house: House) -> None:
    account = house.add("anna")
    client = await house.connect(await house.listen(house.imap))
    await client.line()
    port = client.writer.get_extra_info("sockname")[1]
    passes = ReadingPasses(house.database, house.clock)
    secret = passes.issue(account.id, f"anna@{DOMAIN}", "an admin", "127.0.0.1", port)
    assert (await client.tagged("a", f"a LOGIN anna@{DOMAIN} {secret}"))[-1].startswith(b"a OK")
    await client.tagged("b", "b EXAMINE INBOX")
    assert counted(house) == {}
