"""Through our doors to a real Dovecot: what a client of an account that has not moved yet sees."""

import asyncio
import imaplib
import poplib
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailplat.access import login
from mailplat.access.proxy import connect_imap, connect_pop3
from mailplat.core.envelope import Peer
from tests.access.house import DOMAIN, Client, House, message
from tests.dovecot import Dovecot
from tests.until import until

# Each needs care on its way to the backend.
PASSWORDS = {"anna": "plain", "bert": 'two  spaces "and\\quotes"', "cleo": "Zoë ☃", "dora": "{5}"}

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module")
def dovecot(
    tmp_path_factory: pytest.TempPathFactory, certificate: tuple[Path, Path, Path]
) -> Iterator[Dovecot]:
    server = Dovecot(
        tmp_path_factory.mktemp("dovecot"),
        users=[(f"{name}@{DOMAIN}", password) for name, password in PASSWORDS.items()],
        tls=(certificate[0], certificate[1]),
    )
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login, "FAILURE_DELAY_S", 0.0)


@pytest.fixture
async def front(house: House, dovecot: Dovecot) -> House:
    """All four accounts live on Dovecot."""
    house.add_backend(imap=f"127.0.0.1:{dovecot.imap_port}", pop3=f"127.0.0.1:{dovecot.pop3_port}")
    for name in PASSWORDS:
        house.add_forwarded(name)
    await house.start_watch()
    return house


@pytest.mark.parametrize("name", PASSWORDS)
async def test_the_clients_own_name_and_password_are_used(front: House, name: str) -> None:
    imap, pop3 = await front.listen(front.imap), await front.listen(front.pop3)

    def run() -> None:
        with imaplib.IMAP4("127.0.0.1", imap, timeout=20) as client:
            client.authenticate("PLAIN", lambda _: f"\0{name}@{DOMAIN}\0{PASSWORDS[name]}".encode())
            client._encoding = "utf-8"
            assert client.append("INBOX", "", None, message(name))[0] == "OK"
            client.select()
            assert client.fetch("1", "(BODY.PEEK[])")[1][0][1] == message(name)
        pop = poplib.POP3("127.0.0.1", pop3, timeout=20)
        pop.encoding = "utf-8"
        pop.user(f"{name}@{DOMAIN}")
        pop.pass_(PASSWORDS[name])
        assert pop.stat()[0] == 1
        assert b"\r\n".join(pop.retr(1)[1]) + b"\r\n" == message(name)
        pop.dele(1)
        pop.quit()

    await asyncio.to_thread(run)


async def test_after_login_the_capabilities_are_the_backends(front: House) -> None:
    client = await front.connect(await front.listen(front.imap))
    greeting = await client.line()
    [tagged] = await client.tagged("a", f"a LOGIN anna@{DOMAIN} plain")
    assert tagged.startswith(b"a OK [CAPABILITY ")
    assert b"IMAP4rev1" in tagged
    assert tagged.split(b"]")[0] != greeting.split(b"]")[0]
    asked = await client.tagged("b", "b CAPABILITY")
    assert set(asked[0].split()[2:]) == set(tagged.partition(b"[CAPABILITY ")[2].partition(b"]")[0].split())


@pytest.mark.parametrize("tls", ["none", "starttls", "implicit"])
async def test_every_way_to_reach_a_backend(house: House, dovecot: Dovecot, tls: str) -> None:
    implicit = tls == "implicit"
    house.add_backend(
        imap=f"127.0.0.1:{dovecot.imaps_port if implicit else dovecot.imap_port}",
        pop3=f"127.0.0.1:{dovecot.pop3s_port if implicit else dovecot.pop3_port}",
        imap_tls=tls,
        pop3_tls=tls,
    )
    house.add_forwarded("anna")
    await house.start_watch()
    client = await house.connect(await house.listen(house.imap))
    await client.line()
    assert (await client.tagged("a", f"a LOGIN anna@{DOMAIN} plain"))[-1].startswith(b"a OK")
    assert (await client.tagged("b", "b STATUS INBOX (MESSAGES)"))[0].startswith(b"* STATUS")
    pop = await house.pop3_client("anna", "plain")
    assert (await pop.ask("STAT")).startswith(b"+OK")
    assert (await pop.ask("QUIT")).startswith(b"+OK")


async def test_a_wrong_password_is_the_backends_no_in_our_words(front: House) -> None:
    client = await front.connect(await front.listen(front.imap))
    await client.line()
    [reply] = await client.tagged("a", f"a LOGIN anna@{DOMAIN} wrong")
    [unknown] = await client.tagged("a", f"a LOGIN nobody@{DOMAIN} wrong")
    assert reply == unknown
    assert reply.startswith(b"a NO [AUTHENTICATIONFAILED]")
    pop = await front.connect(await front.listen(front.pop3))
    await pop.line()
    await pop.ask(f"USER anna@{DOMAIN}")
    assert await pop.ask("PASS wrong") == b"-ERR [AUTH] Wrong name or password"


async def test_what_was_sent_behind_the_login_is_passed_on(front: House) -> None:
    imap = await front.connect(await front.listen(front.imap))
    imap.send(f"a LOGIN anna@{DOMAIN} plain", "b SELECT INBOX", "c NOOP", "d LOGOUT")
    said = await imap.rest()
    assert all(tag + b" OK" in said for tag in (b"a", b"b", b"c", b"d"))
    pop = await front.connect(await front.listen(front.pop3))
    pop.send(f"USER anna@{DOMAIN}", "PASS plain", "STAT", "UIDL", "QUIT")
    assert (await pop.rest()).count(b"+OK") == 6


async def test_the_backend_knows_whose_client_it_is(front: House, dovecot: Dovecot) -> None:
    """Else one who guesses passwords would slow down everybody behind the proxy."""
    granted = await front.login.login(f"anna@{DOMAIN}", "plain", Peer("192.0.2.99", 4711), "imap")
    assert isinstance(granted, login.Forward)
    for connect in (connect_imap, connect_pop3):
        (await connect(granted)).close()
    await until(lambda: dovecot.log().count("rip=192.0.2.99") >= 2)


async def test_a_client_that_closes_its_side_gets_its_answers(front: House) -> None:
    client = await front.connect(await front.listen(front.imap))
    client.send(f"a LOGIN anna@{DOMAIN} plain", "b STATUS INBOX (UIDNEXT)", "c LOGOUT")
    client.writer.write_eof()
    assert b"c OK" in await client.rest()


@pytest.mark.parametrize("tls", ["none", "starttls"])
async def test_quit_of_a_client_in_a_hurry_still_deletes(house: House, dovecot: Dovecot, tls: str) -> None:
    house.add_backend(
        imap=f"127.0.0.1:{dovecot.imap_port}", pop3=f"127.0.0.1:{dovecot.pop3_port}", pop3_tls=tls
    )
    house.add_forwarded("anna")
    await house.start_watch()
    port = await house.listen(house.pop3)
    (await append(house, message("to go"))).close()
    client = await house.connect(port)
    client.send(f"USER anna@{DOMAIN}", "PASS plain", "DELE 1", "QUIT")
    for _ in range(3):  # up to the reply to PASS
        await client.line()
    client.writer.close()
    await until(lambda: not len(house.forwarded))
    pop = await house.pop3_client("anna", "plain")
    assert await pop.ask("STAT") == b"+OK 0 0"


async def append(house: House, octets: bytes) -> Client:
    """Into anna's INBOX on Dovecot, through our IMAP door."""
    client = await house.connect(await house.listen(house.imap))
    await client.line()
    await client.tagged("a", f"a LOGIN anna@{DOMAIN} plain")
    client.send(f"b APPEND INBOX {{{len(octets)}+}}")
    client.writer.write(octets + b"\r\n")
    assert (await client.tagged("b"))[-1].startswith(b"b OK")
    return client


async def test_a_large_message_both_ways(front: House) -> None:
    octets = message("large", ("x" * 78 + "\r\n") * 40_000)
    client = await append(front, octets)
    await client.tagged("c", "c SELECT INBOX")
    client.send("d FETCH * BODY.PEEK[]")
    async with asyncio.timeout(20):
        line = await client.line()
        while b"{%d}" % len(octets) not in line:
            line = await client.line()
        assert await client.reader.readexactly(len(octets)) == octets
    await client.tagged("d")
    await client.tagged("e", "e STORE * +FLAGS (\\Deleted)")
    await client.tagged("f", "f EXPUNGE")


async def test_a_backend_that_is_down(house: House) -> None:
    house.add_backend(imap="127.0.0.1:1", pop3="127.0.0.1:1")
    house.add_forwarded("anna")
    await house.start_watch()
    client = await house.connect(await house.listen(house.imap))
    await client.line()
    [reply] = await client.tagged("a", f"a LOGIN anna@{DOMAIN} plain")
    assert reply.startswith(b"a NO [UNAVAILABLE]")
    assert b"127.0.0.1" not in reply
    pop = await house.connect(await house.listen(house.pop3))
    await pop.line()
    await pop.ask(f"USER anna@{DOMAIN}")
    assert (await pop.ask("PASS plain")).startswith(b"-ERR [SYS/TEMP]")
