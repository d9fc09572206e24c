"""A reading pass opens one login, from one connection, over IMAP, for a short while; its session changes nothing."""

import pytest

from mailplat.access import login
from mailplat.access.imap.command import registry
from mailplat.access.imap.reading import READING
from mailplat.core.clock import ManualClock
from mailplat.core.route import BackendHome
from mailplat.directory import Backend
from mailplat.directory.audit import Audit
from mailplat.directory.reading_passes import LIFETIME_S, ReadingPasses
from tests.access.conftest import MakeHouse
from tests.access.house import DOMAIN, Client, House

REFUSED = b"a NO [AUTHENTICATIONFAILED] Invalid user name or password"


@pytest.fixture(autouse=True)
def no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login, "FAILURE_DELAY_S", 0.0)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def house(houses: MakeHouse, clock: ManualClock) -> House:
    made = houses(clock=clock)
    made.anna = made.add("anna")  # type: ignore[attr-defined]
    return made


async def connect(house: House, port: int | None = None) -> tuple[Client, int]:
    """And its own port."""
    client = await house.connect(port or await house.listen(house.imap))
    await client.line()
    return client, client.writer.get_extra_info("sockname")[1]


def issue(house: House, port: int, address: str = "127.0.0.1") -> str:
    passes = ReadingPasses(house.database, house.clock)
    return passes.issue(house.anna.id, f"anna@{DOMAIN}", "an admin", address, port)  # type: ignore[attr-defined]


async def log_in(client: Client, secret: str, name: str = "anna") -> bytes:
    return (await client.tagged("a", f"a LOGIN {name}@{DOMAIN} {secret}"))[-1]


async def test_it_opens_one_login_and_is_audited(house: House) -> None:
    door = await house.listen(house.imap)
    client, port = await connect(house, door)
    secret = issue(house, port)
    assert (await log_in(client, secret)).startswith(b"a OK")
    (line,) = Audit(house.database).entries(action="migrate.read")
    assert (line.who, line.subject, line.after["port"]) == ("an admin", f"anna@{DOMAIN}", port)
    assert secret not in str(line)
    await client.tagged("b", "b LOGOUT")
    second, _ = await connect(house, door)
    assert await log_in(second, secret) == REFUSED


async def test_it_opens_nothing_to_another_connection_account_or_address_or_later(
    house: House, clock: ManualClock
) -> None:
    house.add("bert")
    client, port = await connect(house)
    assert await log_in(client, issue(house, port + 1)) == REFUSED
    assert await log_in(client, issue(house, port, "192.0.2.1")) == REFUSED
    assert await log_in(client, issue(house, port), "bert") == REFUSED
    assert await log_in(client, issue(house, port), "nobody") == REFUSED
    late = issue(house, port)
    clock.advance(LIFETIME_S)
    assert await log_in(client, late) == REFUSED


async def test_it_opens_no_pop3_and_goes_to_no_backend(house: House) -> None:
    client = await house.connect(await house.listen(house.pop3))
    await client.line()
    port = client.writer.get_extra_info("sockname")[1]
    await client.ask(f"USER anna@{DOMAIN}")
    assert (await client.ask(f"PASS {issue(house, port)}")).startswith(b"-ERR [AUTH]")
    house.directory.add_backend(Backend("old", imap="127.0.0.1:1"))
    house.add("carl", BackendHome("old"))
    imap, port = await connect(house)
    assert await log_in(imap, issue(house, port), "carl") == REFUSED


async def test_its_session_reads_and_changes_nothing(house: House) -> None:
    client, port = await connect(house)
    assert (await log_in(client, issue(house, port))).startswith(b"a OK")
    for line in ("EXAMINE INBOX", 'LIST "" *', "STATUS INBOX (MESSAGES)", "UID FETCH 1:* FLAGS", "UNSELECT"):
        assert (await client.tagged("b", f"b {line}"))[-1].startswith(b"b OK"), line
    for line in (
        "SELECT INBOX", "CREATE x", "DELETE x", "RENAME x y", "SUBSCRIBE INBOX", "UNAUTHENTICATE", "IDLE",
        "SETACL INBOX bert lr", 'SETMETADATA INBOX (/private/comment "x")', "APPEND INBOX {3+}\r\nabc",
        "COMPRESS DEFLATE", "NOTIFY NONE",
    ):  # fmt: skip
        assert (await client.tagged("c", f"c {line}"))[-1].startswith(b"c NO [NOPERM]"), line
    await client.tagged("d", "d EXAMINE INBOX")
    for line in ("UID STORE 1:* +FLAGS (x)", "EXPUNGE", "UID COPY 1 INBOX", "UID MOVE 1 INBOX", "CLOSE"):
        assert (await client.tagged("e", f"e {line}"))[-1].startswith(b"e NO [NOPERM]"), line


def test_what_it_may_do_is_known_and_writes_nothing() -> None:
    writing = ("APPEND", "STORE", "COPY", "MOVE", "EXPUNGE", "SELECT", "CREATE", "DELETE", "RENAME", "SET")
    assert registry().keys() >= READING
    words = [word for name in READING for word in name.split()]
    assert not [word for word in words if word.startswith(writing)]
