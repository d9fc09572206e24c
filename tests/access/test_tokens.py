"""OAUTHBEARER and XOAUTH2 at the doors, over a real server of introspection."""

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator
from typing import Any

import pytest

from mailplat.access import introspection, login
from mailplat.access.introspection import Introspection, OAuthSettings
from mailplat.core.clock import ManualClock
from mailplat.core.errors import InvalidInput, Unavailable
from mailplat.core.route import BackendHome
from mailplat.wire.sasl.oauth import MAX_TOKEN
from tests.access.authorization import Authorization
from tests.access.conftest import MakeHouse
from tests.access.house import DOMAIN, Client, House
from tests.until import until

ANNA = f"anna@{DOMAIN}"
PROTOCOLS = ("imap", "pop3")
REFUSED = {
    "imap": b"a NO [AUTHENTICATIONFAILED] Invalid user name or password",
    "pop3": b"-ERR [AUTH] Wrong name or password",
}
NOT_NOW = {"imap": b"a NO [UNAVAILABLE]", "pop3": b"-ERR [SYS/TEMP]"}


@pytest.fixture(autouse=True)
def no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login, "FAILURE_DELAY_S", 0.0)


@pytest.fixture
async def server() -> AsyncIterator[Authorization]:
    server = Authorization()
    await server.start()
    server.tokens["good"] = {"active": True, "username": ANNA, "scope": "openid mail"}
    yield server
    await server.stop()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def settings(server: Authorization, **changes: Any) -> OAuthSettings:
    return OAuthSettings(f"http://127.0.0.1:{server.port}/introspect?x=1", "mail plat", "se:cret", **changes)


@pytest.fixture
def tokens(server: Authorization, clock: ManualClock) -> Introspection:
    return Introspection(settings(server), clock)


@pytest.fixture
def house(houses: MakeHouse, server: Authorization) -> House:
    return houses(tokens=settings(server))


async def connect(house: House, protocol: str) -> Client:
    client = await house.connect(await house.listen(house.imap if protocol == "imap" else house.pop3))
    await client.line()
    return client


async def show(client: Client, protocol: str, token: str, name: str = ANNA, xoauth2: bool = False) -> bytes:
    """The final reply; the challenge that tells why is answered as RFC 7628 3.2.3 says."""
    first = f"user={name}\x01" if xoauth2 else f"n,a={name},\x01host=x\x01"
    initial = base64.b64encode(f"{first}auth=Bearer {token}\x01\x01".encode()).decode()
    verb = "a AUTHENTICATE" if protocol == "imap" else "AUTH"
    mechanism = "XOAUTH2" if xoauth2 else "OAUTHBEARER"
    reply = await client.ask(f"{verb} {mechanism} {initial}")
    if reply.startswith(b"+ "):
        assert json.loads(base64.b64decode(reply[2:]))["status"] in ("invalid_token", "401")
        reply = await client.ask(base64.b64encode(b"\x01"))
    return reply


@pytest.mark.parametrize("xoauth2", [False, True])
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_token_opens_the_mailbox_of_its_owner(
    house: House, server: Authorization, protocol: str, xoauth2: bool
) -> None:
    house.add("anna")
    house.add("bert")
    client = await connect(house, protocol)
    assert await show(client, protocol, "bad", xoauth2=xoauth2) == REFUSED[protocol]
    other = f"bert@{DOMAIN}"
    assert await show(client, protocol, "good", other, xoauth2=xoauth2) == REFUSED[protocol]
    reply = await show(client, protocol, "good", ANNA.upper(), xoauth2=xoauth2)
    assert reply.startswith((b"a OK", b"+OK")), reply
    assert server.asked[0] == {
        "token": "bad",
        "token_type_hint": "access_token",
        "target": "POST /introspect?x=1",
        "authorization": "Basic " + base64.b64encode(b"mail+plat:se%3Acret").decode(),
    }
    assert [each["token"] for each in server.asked] == ["bad", "good"]  # the third from memory


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_offered_where_an_endpoint_is_configured(
    house: House, houses: MakeHouse, protocol: str
) -> None:
    words = {"imap": "a CAPABILITY", "pop3": "CAPA"}
    without = await connect(houses(), protocol)
    clients = [(await connect(house, protocol), True), (without, False)]
    for client, offered in clients:
        lines = await (client.tagged("a", words["imap"]) if protocol == "imap" else client.multi("CAPA"))
        text = b" ".join(lines)
        assert (b"OAUTHBEARER" in text, b"XOAUTH2" in text) == (offered, offered)
    reply = await show(without, protocol, "good")
    assert reply.startswith((b"a NO [CANNOT]", b"-ERR AUTH knows PLAIN LOGIN"))


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_an_endpoint_that_is_away_is_no_refusal(
    house: House, server: Authorization, protocol: str
) -> None:
    house.add("anna")
    client = await connect(house, protocol)
    await server.stop()
    assert (await show(client, protocol, "good")).startswith(NOT_NOW[protocol])
    await server.start()
    assert (await show(client, protocol, "good")).startswith((b"a OK", b"+OK"))


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_mailbox_on_a_backend_cannot_be_opened_by_token(
    house: House, server: Authorization, protocol: str
) -> None:
    house.add_backend()
    house.add("anna", BackendHome("legacy"))
    reply = await show(await connect(house, protocol), protocol, "good")
    assert reply.startswith(b"a NO [CANNOT]" if protocol == "imap" else b"-ERR [SYS/PERM]")
    assert b"takes a password only" in reply


async def test_the_owner_of_a_token_must_have_an_account(house: House) -> None:
    assert await show(await connect(house, "imap"), "imap", "good") == REFUSED["imap"]
    house.directory.set_account(house.add("anna").id, active=False)
    assert await show(await connect(house, "imap"), "imap", "good") == REFUSED["imap"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_the_longest_token_and_one_that_is_longer(
    house: House, server: Authorization, protocol: str
) -> None:
    house.add("anna")
    longest = "x" * MAX_TOKEN
    server.tokens[longest] = {"active": True, "username": ANNA}
    client = await connect(house, protocol)
    begin = "a AUTHENTICATE OAUTHBEARER" if protocol == "imap" else "AUTH OAUTHBEARER"
    for token, expected in (
        (longest + "x", (b"a BAD Cannot be understood", b"-ERR Cannot be understood")),
        (longest, (b"a OK", b"+OK")),
    ):
        assert await client.ask(begin) == b"+ "
        reply = await client.ask(base64.b64encode(f"n,a={ANNA},\x01auth=Bearer {token}\x01\x01".encode()))
        assert reply.startswith(expected), reply


async def test_a_yes_is_remembered_for_a_while(
    server: Authorization, tokens: Introspection, clock: ManualClock
) -> None:
    assert [await tokens.owner("good") for _ in range(3)] == [ANNA] * 3
    assert len(server.asked) == 1
    clock.advance(59)
    await tokens.owner("good")
    assert len(server.asked) == 1
    clock.advance(1)
    server.tokens.clear()  # taken back meanwhile
    assert await tokens.owner("good") is None
    assert [await tokens.owner("good") for _ in range(2)] == [None] * 2
    assert len(server.asked) == 4  # a no is not remembered


async def test_never_beyond_the_end_of_the_token(
    server: Authorization, tokens: Introspection, clock: ManualClock
) -> None:
    server.tokens["short"] = {"active": True, "username": ANNA, "exp": clock.now() + 10}
    server.tokens["over"] = {"active": True, "username": ANNA, "exp": clock.now()}
    assert await tokens.owner("short") == ANNA
    assert await tokens.owner("over") is None
    clock.advance(10)
    assert await tokens.owner("short") is None


async def test_nothing_is_remembered_where_the_setting_says_so(
    server: Authorization, clock: ManualClock
) -> None:
    tokens = Introspection(settings(server, cache=0.0), clock)
    server.tokens["short"] = {"active": True, "username": ANNA, "exp": clock.now() + 10}
    assert [await tokens.owner("short") for _ in range(2)] == [ANNA] * 2
    assert len(server.asked) == 2


async def test_what_is_remembered_is_bounded(
    server: Authorization, tokens: Introspection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(introspection, "CACHE_ENTRIES", 2)
    for number in range(3):
        server.tokens[f"t{number}"] = {"active": True, "username": ANNA}
        await tokens.owner(f"t{number}")
    await tokens.owner("t2")
    await tokens.owner("t1")
    assert len(server.asked) == 3
    await tokens.owner("t0")
    assert len(server.asked) == 4


async def test_scope_and_claim(server: Authorization, clock: ManualClock) -> None:
    tokens = Introspection(settings(server, scope="mail", claim="email"), clock)
    server.tokens = {
        "right": {"active": True, "email": ANNA, "scope": "openid mail"},
        "other": {"active": True, "email": ANNA, "scope": "openid mailing"},
        "none": {"active": True, "email": ANNA},
        "nameless": {"active": True, "username": ANNA, "scope": "mail"},
        "string": {"active": "true", "email": ANNA, "scope": "mail"},
    }
    assert [await tokens.owner(token) for token in ("right", "other", "none", "string")] == [
        ANNA,
        None,
        None,
        None,
    ]
    with pytest.raises(Unavailable, match=r"oauth\.claim"):
        await tokens.owner("nameless")


async def test_what_is_no_answer(server: Authorization, tokens: Introspection) -> None:
    limit = introspection.MAX_ANSWER
    longest = json.dumps({"active": True, "username": ANNA, "x": ""})
    server.body = longest.replace('""', f'"{"x" * (limit - len(longest))}"').encode()
    assert len(server.body) == limit
    assert await tokens.owner("long") == ANNA
    server.body += b" "
    for body in (server.body, b"", b"[]", b"<html>", b"\xff"):
        server.body = body
        with pytest.raises(Unavailable):
            await tokens.owner("good")
    server.body = None
    for status in (301, 401, 500):
        server.status = status
        with pytest.raises(Unavailable, match=str(status)):
            await tokens.owner("good")


async def test_an_answer_that_does_not_come(server: Authorization, clock: ManualClock) -> None:
    tokens = Introspection(settings(server, timeout=0.02), clock)
    server.silent = True
    with pytest.raises(Unavailable, match="no answer in time"):
        await tokens.owner("good")


async def test_no_more_wait_than_can_be_answered(
    server: Authorization, tokens: Introspection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(introspection, "MAX_WAITING", 0)
    monkeypatch.setattr(introspection, "MAX_CONCURRENT", 0)
    with pytest.raises(Unavailable, match="wait for their introspection"):
        await tokens.owner("good")
    monkeypatch.setattr(introspection, "MAX_WAITING", 1)
    assert await tokens.owner("good") == ANNA


async def test_over_https(clock: ManualClock, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    server = Authorization()
    server.tokens["good"] = {"active": True, "username": ANNA}
    await server.start(server_tls)
    url = f"https://127.0.0.1:{server.port}/"
    assert await Introspection(OAuthSettings(url, "x", tls=client_tls), clock).owner("good") == ANNA
    with pytest.raises(Unavailable, match="certificate verify failed"):
        await Introspection(OAuthSettings(url, "x"), clock).owner("good")
    assert len(server.asked) == 1  # who it is was checked before the token went out
    await server.stop()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://x/",
        "https://",
        "https://user:pw@x/",
        "x",
        "https://x:port/",
        "https://x:70000/",
        "https://x/a b",
        "https://x/ä",
        "https://" + "a" * 64 + ".test/",
        "https://x]/",
    ],
)
def test_what_is_no_endpoint(url: str, clock: ManualClock) -> None:
    with pytest.raises(InvalidInput, match=r"oauth\.introspection_url"):
        Introspection(OAuthSettings(url, "x"), clock)


def test_a_secret_is_in_no_repr(server: Authorization) -> None:
    assert "se:cret" not in repr(settings(server))


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("overlong", [False, True])
async def test_a_guess_is_counted_whoever_hangs_up(
    house: House, protocol: str, overlong: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While its refusal is on the way, or by a line that nobody reads to its end."""
    counted = count_failures(house, monkeypatch)
    client = await connect(house, protocol)
    initial = base64.b64encode(b"n,,\x01auth=Bearer guess\x01\x01").decode()
    verb = "a AUTHENTICATE" if protocol == "imap" else "AUTH"
    if overlong:
        assert (await client.ask(f"{verb} OAUTHBEARER {initial}")).startswith(b"+ ")
        assert (await client.ask("x" * 13_000)).startswith((b"a BAD", b"-ERR"))
    else:
        client.send(f"{verb} OAUTHBEARER {initial}")
        client.writer.write_eof()
        await client.rest()
    await until(lambda: counted)
    assert len(counted) == 1


async def test_a_token_in_the_middle_of_its_introspection(
    house: House, server: Authorization, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client has gone before the answer comes; the answer counts all the same."""
    counted = count_failures(house, monkeypatch)
    asked, answer = asyncio.Event(), asyncio.Event()
    owner = house.login.owner

    async def slowly(token: str) -> str | None:
        asked.set()
        await answer.wait()
        return await owner(token)

    monkeypatch.setattr(house.login, "owner", slowly)
    client = await connect(house, "imap")
    client.send(
        "a AUTHENTICATE OAUTHBEARER " + base64.b64encode(b"n,,\x01auth=Bearer guess\x01\x01").decode()
    )
    await asked.wait()
    client.close()
    answer.set()
    await until(lambda: counted)
    assert len(counted) == 1


def count_failures(house: House, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of failures that the throttle is told of from now on."""
    names: list[str] = []
    excess = house.login.throttle.excess

    async def counted(name: str, address: str) -> int:
        names.append(name)
        return await excess(name, address)

    monkeypatch.setattr(house.login.throttle, "excess", counted)
    return names


@pytest.mark.parametrize(
    ("audience", "claim", "opens"),
    [
        ("mail", "mail", True),
        ("mail", ["web", "mail"], True),
        ("mail", "mailbox", False),
        ("mail", ["web"], False),
        ("mail", None, False),
        ("mail", {"mail": 1}, False),
        ("", "web", True),
        ("", None, True),
    ],
)
async def test_audience(
    server: Authorization, clock: ManualClock, audience: str, claim: object, opens: bool
) -> None:
    server.tokens["t"] = {"active": True, "username": ANNA, **({} if claim is None else {"aud": claim})}
    tokens = Introspection(settings(server, audience=audience), clock)
    assert await tokens.owner("t") == (ANNA if opens else None)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("end", ["*", "!"])
async def test_a_guess_is_counted_however_it_ends(house: House, protocol: str, end: str) -> None:
    client = await connect(house, protocol)
    initial = base64.b64encode(b"n,,\x01auth=Bearer guess\x01\x01").decode()
    verb = "a AUTHENTICATE" if protocol == "imap" else "AUTH"
    assert (await client.ask(f"{verb} OAUTHBEARER {initial}")).startswith(b"+ ")
    assert (await client.ask(end)).startswith(REFUSED[protocol])
