"""App passwords at the doors: what they open, until when, and what else does."""

import base64

import pytest

from mailplat.access import login
from mailplat.core.clock import ManualClock
from mailplat.directory import credentials
from mailplat.directory.app_passwords import AppPasswords
from tests.access.conftest import MakeHouse
from tests.access.house import DOMAIN, PASSWORD, Client, House

WRONG = "k7mq-x2fd-9hwt-p4vn-c8rz"  # looks like one


@pytest.fixture(autouse=True)
def no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login, "FAILURE_DELAY_S", 0.0)


class Doors:
    def __init__(self, house: House) -> None:
        self.house = house
        self.passwords = AppPasswords(house.database, house.clock)
        self.ports: dict[str, int] = {}

    async def client(self, protocol: str) -> Client:
        if protocol not in self.ports:
            server = self.house.imap if protocol == "imap" else self.house.pop3
            self.ports[protocol] = await self.house.listen(server)
        client = await self.house.connect(self.ports[protocol])
        await client.line()
        return client

    async def imap(self, name: str, password: str) -> bytes:
        client = await self.client("imap")
        return (await client.tagged("a", f'a LOGIN {name}@{DOMAIN} "{password}"'))[-1]

    async def pop3(self, name: str, password: str) -> bytes:
        client = await self.client("pop3")
        await client.ask(f"USER {name}@{DOMAIN}")
        reply = await client.ask(f"PASS {password}")
        await client.ask("QUIT")  # its maildrop is free again
        return reply

    async def open(self, name: str, password: str) -> tuple[bool, bool]:
        """Whether IMAP and POP3 let him in; the refusals say nothing else than for a wrong password."""
        imap, pop3 = await self.imap(name, password), await self.pop3(name, password)
        for reply in (imap, pop3):
            assert b" OK " in reply or reply.startswith(b"+OK") or reply in REFUSALS, reply
        return b" OK " in imap, pop3.startswith(b"+OK")


REFUSALS = (
    b"a NO [AUTHENTICATIONFAILED] Invalid user name or password",
    b"-ERR [AUTH] Wrong name or password",
)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def doors(houses: MakeHouse, clock: ManualClock) -> Doors:
    return Doors(houses(clock=clock))


async def test_beside_the_accounts_own_password(doors: Doors) -> None:
    anna = doors.house.add("anna")
    doors.house.add("bert")
    secret = doors.passwords.add(anna.id, "phone")
    assert await doors.open("anna", secret) == (True, True)
    assert await doors.open("anna", secret.upper().replace("-", "")) == (True, True)
    assert await doors.open("anna", PASSWORD) == (True, True)
    assert await doors.open("bert", secret) == (False, False)
    assert await doors.open("anna", WRONG) == (False, False)
    doors.passwords.remove(anna.id, "phone")
    assert await doors.open("anna", secret) == (False, False)


async def test_with_sasl_too(doors: Doors) -> None:
    secret = doors.passwords.add(doors.house.add("anna").id, "phone")
    response = base64.b64encode(f"\0anna@{DOMAIN}\0{secret}".encode()).decode()
    client = await doors.client("imap")
    assert b" OK " in (await client.tagged("a", f"a AUTHENTICATE PLAIN {response}"))[-1]


async def test_only_what_is_in_the_scope(doors: Doors) -> None:
    anna = doors.house.add("anna")
    imap = doors.passwords.add(anna.id, "reader", scope=("imap",))
    pop3 = doors.passwords.add(anna.id, "poller", scope=("pop3",))
    smtp = doors.passwords.add(anna.id, "scanner", scope=("smtp",))
    assert await doors.open("anna", imap) == (True, False)
    assert await doors.open("anna", pop3) == (False, True)
    assert await doors.open("anna", smtp) == (False, False)


async def test_until_it_expires(doors: Doors, clock: ManualClock) -> None:
    anna = doors.house.add("anna")
    secret = doors.passwords.add(anna.id, "phone", expires=clock.now() + 60)
    assert await doors.open("anna", secret) == (True, True)
    clock.advance(60)
    assert await doors.open("anna", secret) == (False, False)


async def test_an_account_that_sleeps_has_no_app_password_either(doors: Doors) -> None:
    anna = doors.house.add("anna")
    secret = doors.passwords.add(anna.id, "phone")
    doors.house.directory.set_account(anna.id, active=False)
    assert await doors.open("anna", secret) == (False, False)


async def test_a_domain_that_takes_app_passwords_only(doors: Doors) -> None:
    anna = doors.house.add("anna")
    secret = doors.passwords.add(anna.id, "phone")
    assert await doors.open("anna", PASSWORD) == (True, True)  # and is remembered as right
    doors.house.directory.set_domain(DOMAIN, app_passwords_only=True)
    assert await doors.open("anna", PASSWORD) == (False, False)
    assert await doors.open("anna", secret) == (True, True)


async def test_one_that_is_the_own_password_too_is_no_way_around(doors: Doors) -> None:
    """Its scope does not fit, and the account's own password is not taken either."""
    anna = doors.house.add("anna")
    secret = doors.passwords.add(anna.id, "scanner", scope=("imap",))
    doors.house.directory.set_account(anna.id, password_hash=f"{{PLAIN}}{secret}")
    assert await doors.open("anna", secret) == (True, True)
    doors.house.directory.set_domain(DOMAIN, app_passwords_only=True)
    assert await doors.open("anna", secret) == (True, False)


@pytest.mark.parametrize("attempt", [WRONG, "wrong"])
async def test_whoever_is_refused_costs_one_verification(
    doors: Doors, monkeypatch: pytest.MonkeyPatch, attempt: str
) -> None:
    """An unknown name, a wrong password, one of the wrong scope, the right one where it is not taken."""
    real, count = credentials.verify_password, [0]

    def verify(password: str, stored: str, address: str = "") -> bool:
        count[0] += 1
        return stored.startswith("{PLAIN}") and real(password, stored)

    monkeypatch.setattr(credentials, "verify_password", verify)
    anna = doors.house.add("anna")
    doors.house.add("empty", password="")
    scoped = doors.passwords.add(anna.id, "scanner", scope=("smtp",))
    answers = set()
    for name, password in (("anna", attempt), ("nobody", attempt), ("empty", attempt), ("anna", scoped)):
        count[0] = 0
        answers.add(await doors.imap(name, password))
        assert count[0] == 1, name
    doors.house.directory.set_domain(DOMAIN, app_passwords_only=True)
    count[0] = 0
    answers.add(await doors.imap("anna", PASSWORD))
    assert count[0] == 1
    assert answers == {REFUSALS[0]}


async def test_an_ordinary_login_asks_nothing_of_their_table(doors: Doors) -> None:
    doors.house.add("anna")
    with doors.house.database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE app_password RENAME TO away")
    assert await doors.open("anna", PASSWORD) == (True, True)
    assert b"[UNAVAILABLE]" in await doors.imap("anna", WRONG)
