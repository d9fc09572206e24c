"""Who gets in, over what, and what the others are told."""

import base64
import ssl

import pytest

from mailplat.access import login
from mailplat.access.pop3 import Pop3Limits
from mailplat.core.route import ShardHome
from tests.access.conftest import MakeHouse
from tests.access.house import PASSWORD, Client, House

BAD = b"-ERR [AUTH] Wrong name or password"


@pytest.fixture(autouse=True)
def no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login, "FAILURE_DELAY_S", 0.0)


async def greeted(house: House) -> Client:
    client = await house.connect(await house.listen(house.pop3))
    assert await client.line() == b"+OK pop3.example.test ready"
    return client


def plain(name: str, password: str, authzid: str = "") -> str:
    return base64.b64encode(f"{authzid}\0{name}\0{password}".encode()).decode()


async def test_user_and_pass(house: House) -> None:
    house.add("anna")
    client = await greeted(house)
    assert await client.ask("user ANNA@Example.Test") == b"+OK Now PASS"
    assert await client.ask(f"pass {PASSWORD}") == b"+OK 0 messages (0 octets)"


async def test_an_unknown_name_and_a_wrong_password_get_one_answer(house: House) -> None:
    house.add("anna")
    for name, password in (("anna", "wrong"), ("nobody", PASSWORD), ("anna", ""), ("anna", PASSWORD + " ")):
        client = await greeted(house)
        assert await client.ask(f"USER {name}@example.test") == b"+OK Now PASS"
        assert await client.ask(f"PASS {password}") == BAD, (name, password)
        assert (await client.ask("STAT")).startswith(b"-ERR")


async def test_passwords_with_spaces_and_beyond_ascii(house: House) -> None:
    for number, password in enumerate((" leading", "two  inside", "Zoë ☃ пароль", '"quoted\\"')):
        house.add(f"user{number}", password=password)
        client = await greeted(house)
        await client.ask(f"USER user{number}@example.test")
        assert (await client.ask(f"PASS {password}")).startswith(b"+OK"), password


async def test_octets_that_are_no_utf8_are_nobody(house: House) -> None:
    client = await greeted(house)
    await client.ask(b"USER \xff\xfe@example.test")
    assert await client.ask(b"PASS x") == BAD
    await client.ask("USER anna@example.test")
    assert await client.ask(b"PASS \xc3") == BAD


async def test_pass_needs_user_each_time(house: House) -> None:
    house.add("anna")
    client = await greeted(house)
    assert await client.ask(f"PASS {PASSWORD}") == b"-ERR USER first"
    await client.ask("USER anna@example.test")
    assert await client.ask("PASS wrong") == BAD
    assert await client.ask(f"PASS {PASSWORD}") == b"-ERR USER first"
    assert await client.ask("USER ") == b"-ERR USER name"


async def test_auth_plain_in_one_line_and_in_two(house: House) -> None:
    house.add("anna")
    client = await greeted(house)
    assert (await client.ask("AUTH PLAIN " + plain("anna@example.test", PASSWORD))).startswith(b"+OK")
    await client.ask("QUIT")
    client = await greeted(house)
    assert await client.ask("auth plain") == b"+ "
    assert (await client.ask(plain("anna@example.test", PASSWORD, "anna@example.test"))).startswith(b"+OK")


async def test_auth_that_fails(house: House) -> None:
    house.add("anna")
    house.add("bert")
    client = await greeted(house)
    assert await client.ask("AUTH PLAIN") == b"+ "
    assert await client.ask("*") == b"-ERR Cancelled"
    assert await client.ask("AUTH PLAIN") == b"+ "
    assert await client.ask("x" * 13_000) == b"-ERR That response is too long"
    for wrong in ("!!!", "AAAA", "=", "", base64.b64encode(b"a\0b").decode()):
        assert await client.ask("AUTH PLAIN") == b"+ "
        assert (await client.ask(wrong)).startswith(b"-ERR Cannot be understood"), wrong
    assert await client.ask("AUTH PLAIN " + plain("anna@example.test", PASSWORD, "bert@example.test")) == BAD
    for other in ("AUTH CRAM-MD5", "AUTH PLAIN a b", "AUTH SCRAM-SHA-256", "AUTH XOAUTH2", "AUTH \xff"):
        assert await client.ask(other) == b"-ERR AUTH knows PLAIN LOGIN here", other
    assert (await client.ask("AUTH PLAIN " + plain("anna@example.test", PASSWORD))).startswith(b"+OK")


async def test_exchanges_that_come_to_no_end_are_counted(house: House) -> None:
    limit = Pop3Limits().bad_commands
    house.add("anna")
    for unfinished in (limit - 1, limit):
        client = await greeted(house)
        for _ in range(unfinished):
            assert await client.ask("AUTH PLAIN") == b"+ "
            assert await client.ask("*") == b"-ERR Cancelled"
        if unfinished < limit:
            assert (await client.ask("AUTH PLAIN " + plain("anna@example.test", PASSWORD))).startswith(b"+OK")
    assert await client.rest() == b""


async def test_a_long_response_is_longer_than_a_command(house: House) -> None:
    house.add("anna", password="p" * 900)
    client = await greeted(house)
    assert await client.ask("AUTH PLAIN") == b"+ "
    assert (await client.ask(plain("anna@example.test", "p" * 900))).startswith(b"+OK")
    assert await client.ask("NOOP " + "x" * 600) == b"-ERR A line has at most 512 octets"


async def test_a_client_that_goes_in_the_middle_of_auth(house: House) -> None:
    client = await greeted(house)
    assert await client.ask("AUTH PLAIN") == b"+ "
    client.writer.write_eof()
    assert await client.rest() == b""


async def test_what_mechanisms_are_there(house: House) -> None:
    client = await greeted(house)
    assert (await client.multi("AUTH"))[1:] == [b"PLAIN", b"LOGIN"]


async def test_capabilities(house: House) -> None:
    house.add("anna")
    client = await greeted(house)
    before = (await client.multi("CAPA"))[1:]
    names = {line.split()[0] for line in before}
    assert names == {
        b"TOP",
        b"UIDL",
        b"RESP-CODES",
        b"AUTH-RESP-CODE",
        b"PIPELINING",
        b"EXPIRE",
        b"UTF8",
        b"LANG",
        b"USER",
        b"SASL",
        b"IMPLEMENTATION",
    }
    assert b"EXPIRE NEVER" in before
    assert b"UTF8 USER" in before
    assert b"SASL PLAIN LOGIN" in before
    await client.ask("USER anna@example.test")
    await client.ask(f"PASS {PASSWORD}")
    assert (await client.multi("CAPA"))[1:] == before  # RFC 2449 5


async def test_utf8(house: House) -> None:
    house.add("anna")
    client = await greeted(house)
    assert (await client.ask("UTF8 now")).startswith(b"-ERR")
    assert await client.ask("UTF8") == b"+OK UTF8 enabled"
    await client.ask("USER anna@example.test")
    await client.ask(f"PASS {PASSWORD}")
    assert (await client.ask("UTF8")).startswith(b"-ERR")  # RFC 6856 2.1: before the login only


async def test_no_password_in_clear(houses: MakeHouse, server_tls: ssl.SSLContext) -> None:
    house = houses(tls=server_tls)
    house.add("anna")
    client = await greeted(house)
    names = {line.split()[0] for line in (await client.multi("CAPA"))[1:]}
    assert not {b"USER", b"SASL"} & names
    assert b"STLS" in names
    client.send(
        "USER anna@example.test",
        f"PASS {PASSWORD}",
        "AUTH PLAIN",
        "AUTH PLAIN " + plain("anna@example.test", PASSWORD),
    )
    for _ in range(4):
        assert await client.line() == b"-ERR Passwords only under TLS: use STLS first"
    assert (await client.multi("AUTH"))[1:] == []


async def test_stls(houses: MakeHouse, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    house = houses(tls=server_tls)
    house.add("anna")
    client = await greeted(house)
    assert await client.ask("UTF8") == b"+OK UTF8 enabled"
    assert await client.ask("STLS") == b"+OK Begin TLS negotiation now"
    await client.start_tls(client_tls)
    names = {line.split()[0] for line in (await client.multi("CAPA"))[1:]}
    assert {b"USER", b"SASL"} <= names
    assert b"STLS" not in names
    assert await client.ask("STLS") == b"-ERR TLS is active already"
    [session] = house.pop3._sessions
    assert session.peer.tls.startswith("TLSv1")
    assert not session.utf8  # RFC 2595 4: forgotten
    await client.ask("USER anna@example.test")
    assert (await client.ask(f"PASS {PASSWORD}")).startswith(b"+OK")


async def test_octets_behind_stls_are_never_read_as_commands(
    houses: MakeHouse, server_tls: ssl.SSLContext
) -> None:
    """CVE-2011-0411: whoever can write into the connection before TLS could speak in the client's name after it."""
    house = houses(tls=server_tls)
    client = await greeted(house)
    client.send("STLS", "USER mallory@example.test")
    assert await client.rest() == b"-ERR Octets behind STLS before the handshake\r\n"


async def test_stls_where_there_is_no_certificate(house: House) -> None:
    client = await greeted(house)
    assert await client.ask("STLS") == b"-ERR TLS is not offered here"
    assert await client.ask("QUIT") == b"+OK Bye"


async def test_implicit_tls(
    houses: MakeHouse, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    import asyncio

    house = houses(tls=server_tls)
    house.add("anna")
    port = await house.listen(house.pop3, implicit_tls=True)
    client = Client(*await asyncio.open_connection("127.0.0.1", port, ssl=client_tls))
    assert (await client.line()).startswith(b"+OK")
    await client.ask("USER anna@example.test")
    assert (await client.ask(f"PASS {PASSWORD}")).startswith(b"+OK")
    assert (await client.ask("QUIT")).startswith(b"+OK")


async def test_too_many_failures_end_the_connection(houses: MakeHouse) -> None:
    house = houses(pop3=Pop3Limits(login_failures=2))
    client = await greeted(house)
    for _ in range(2):
        client.send("USER anna@example.test", "PASS x")
    client.send("NOOP")
    assert (await client.rest()).split(b"\r\n")[-2] == BAD


async def test_a_route_to_a_shard_that_is_not_here(house: House) -> None:
    house.add("anna", ShardHome("s9"))
    client = await greeted(house)
    await client.ask("USER anna@example.test")
    assert (await client.ask(f"PASS {PASSWORD}")).startswith(b"-ERR [SYS/TEMP]")
