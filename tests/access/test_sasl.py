"""SASL at the doors: SCRAM with and without channel binding, LOGIN, cancelling, and who is told what."""

import asyncio
import base64
import hashlib
import socket
import ssl
from collections.abc import Awaitable, Callable

import pytest

from mailplat.access import enrolment, login
from mailplat.access.channel import END_POINT, CertificateContext
from mailplat.access.enrolment import FRESH_S
from mailplat.access.imap import ImapLimits
from mailplat.access.pop3 import Pop3Limits
from mailplat.core.address import Address
from mailplat.core.clock import ManualClock
from mailplat.core.route import BackendHome
from mailplat.directory import Account
from mailplat.wire.sasl import ScramKeys, derive_keys
from tests.access.conftest import MakeHouse
from tests.access.house import DOMAIN, PASSWORD, Client, House
from tests.until import until
from tests.wire.scram_client import ScramClient

PROTOCOLS = ("imap", "pop3")
REFUSED = {
    "imap": b"a NO [AUTHENTICATIONFAILED] Invalid user name or password",
    "pop3": b"-ERR [AUTH] Wrong name or password",
}


@pytest.fixture(autouse=True)
def no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login, "FAILURE_DELAY_S", 0.0)


class Door:
    """One connection; `begin` and `answer` return a challenge, decoded, or the final reply as it came."""

    def __init__(self, client: Client, protocol: str) -> None:
        self.client = client
        self.protocol = protocol

    async def begin(self, mechanism: str, initial: bytes | None = None) -> bytes:
        line = f"{'a AUTHENTICATE' if self.protocol == 'imap' else 'AUTH'} {mechanism}"
        if initial is not None:
            line += " " + (base64.b64encode(initial).decode() or "=")
        return self._read(await self.client.ask(line))

    async def answer(self, response: bytes) -> bytes:
        return self._read(await self.client.ask(base64.b64encode(response)))

    async def offered(self) -> list[str]:
        if self.protocol == "imap":
            line = (await self.client.tagged("c", "c CAPABILITY"))[0].decode()
            return [word.removeprefix("AUTH=") for word in line.split() if word.startswith("AUTH=")]
        return [line.decode() for line in (await self.client.multi("AUTH"))[1:]]

    @staticmethod
    def _read(line: bytes) -> bytes:
        return base64.b64decode(line[2:]) if line.startswith(b"+ ") else line


def succeeded(reply: bytes) -> bool:
    return reply.startswith((b"a OK", b"+OK"))


async def scram(door: Door, client: ScramClient, mechanism: str = "SCRAM-SHA-256") -> bytes:
    """The final reply."""
    challenge = await door.begin(mechanism, client.first())
    if not challenge.startswith(b"r="):
        return challenge
    last = await door.answer(client.final(challenge))
    if not last.startswith(b"v="):
        return last
    client.check(last)
    return await door.answer(b"")


Open = Callable[[str], Awaitable[Door]]


def opener(house: House) -> Open:
    async def open_(protocol: str) -> Door:
        port = await house.listen(house.imap if protocol == "imap" else house.pop3)
        client = await house.connect(port)
        await client.line()
        return Door(client, protocol)

    return open_


@pytest.fixture
async def scram_house(house: House) -> House:
    """The domain asks for keys, and anna has some."""
    house.directory.set_domain(DOMAIN, scram=True)
    account = house.add("anna")
    house.login._scram.put(house.directory.account(account.address), derive_keys(PASSWORD))
    await house.login.enrolment.look()
    return house


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_scram(scram_house: House, protocol: str) -> None:
    door = await opener(scram_house)(protocol)
    assert await door.offered() == ["SCRAM-SHA-256", "PLAIN", "LOGIN"]
    assert await scram(door, ScramClient(f"anna@{DOMAIN}", "wrong")) == REFUSED[protocol]
    assert succeeded(await scram(door, ScramClient(f"Anna@{DOMAIN}", PASSWORD)))


async def test_scram_without_an_initial_response(scram_house: House) -> None:
    scram_house.add("bert")
    door, client = await opener(scram_house)("imap"), ScramClient(f"anna@{DOMAIN}", PASSWORD)
    assert await door.begin("SCRAM-SHA-256") == b""
    last = await door.answer(client.final(await door.answer(client.first())))
    client.check(last)
    assert succeeded(await door.answer(b""))


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_nobody_looks_like_anybody(
    scram_house: House, protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unknown, without keys, on a backend, asleep: a salt that stays, the same cost, the same refusal."""
    house = scram_house
    house.add_backend()
    house.add("nokeys")
    house.add_forwarded("faraway")
    asleep = house.add("asleep")
    house.directory.set_account(asleep.id, active=False)
    house.login._scram.put(house.directory.account(asleep.address), derive_keys(PASSWORD))
    real, asked = house.login._scram.keys, []

    def keys(account: Account) -> ScramKeys | None:
        asked.append(account)
        return real(account)

    monkeypatch.setattr(house.login._scram, "keys", keys)
    for name in ("nobody", "nokeys", "faraway", "asleep", "anna"):
        seen = []
        asked.clear()
        for _ in range(2):
            door, client = await opener(house)(protocol), ScramClient(f"{name}@{DOMAIN}", PASSWORD)
            challenge = await door.begin("SCRAM-SHA-256", client.first())
            salt, iterations = challenge.split(b",")[1:]
            seen.append((salt, iterations))
            reply = await door.answer(client.final(challenge))
            if name == "anna":
                reply = await door.answer(b"")  # the proof was right, and that was said
                assert succeeded(reply)
                await door.client.ask("QUIT" if protocol == "pop3" else "b LOGOUT")
            else:
                assert reply == REFUSED[protocol], name
        assert len(asked) == 2, name
        assert seen[0] == seen[1]
        assert (len(seen[0][0]), seen[0][1]) == (26, b"i=15000")


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_keys_are_made_when_the_password_comes_in(house: House, protocol: str) -> None:
    house.add("anna")
    door = await opener(house)(protocol)
    await house.login.enrolment.look()
    assert "SCRAM-SHA-256" not in await door.offered()
    house.directory.set_domain(DOMAIN, scram=True)
    await house.login.enrolment.look()
    assert await scram(door, ScramClient(f"anna@{DOMAIN}", PASSWORD)) == REFUSED[protocol]
    assert succeeded(await door.begin("PLAIN", f"\0anna@{DOMAIN}\0{PASSWORD}".encode()))
    await house.login.enrolment.settled()
    if protocol == "pop3":
        await door.client.ask("QUIT")  # its maildrop is free again
    assert succeeded(await scram(await opener(house)(protocol), ScramClient(f"anna@{DOMAIN}", PASSWORD)))


async def test_keys_are_made_anew_after_they_were_turned_off(house: House) -> None:
    """At the next login, without a restart, also where the worker saw no login in between."""
    account = house.add("anna")
    store = house.login._scram
    for _ in range(2):
        house.directory.set_domain(DOMAIN, scram=True)
        await house.login.enrolment.look()
        door = await opener(house)("imap")
        assert succeeded(await door.begin("PLAIN", f"\0anna@{DOMAIN}\0{PASSWORD}".encode()))
        await house.login.enrolment.settled()
        assert store.keys(house.directory.account(account.address)) is not None
        house.directory.set_domain(DOMAIN, scram=False)
        assert store.keys(house.directory.account(account.address)) is None


async def test_a_password_without_keys_is_tried_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """SASLprep has no character for it, today and at the next login."""
    tried = []

    def derive(password: str) -> ScramKeys:
        tried.append(password)
        return derive_keys(password)

    monkeypatch.setattr(enrolment, "derive_keys", derive)
    house.directory.set_domain(DOMAIN, scram=True)
    anna = house.directory.account(house.add("anna").address)
    for _ in range(2):
        house.login.enrolment.offer(anna, "\ue000")
        await house.login.enrolment.settled()
    assert tried == ["\ue000"]


async def test_a_domain_that_asks_for_none_keeps_none(house: House) -> None:
    """Another domain's wish is not this one's."""
    house.directory.add_domain("other.test")
    house.directory.set_domain("other.test", scram=True)
    await house.login.enrolment.look()
    account = house.add("anna")
    door = await opener(house)("imap")
    assert "SCRAM-SHA-256" in await door.offered()
    assert succeeded(await door.begin("PLAIN", f"\0anna@{DOMAIN}\0{PASSWORD}".encode()))
    await house.login.enrolment.settled()
    assert house.login._scram.keys(house.directory.account(Address("anna", DOMAIN))) is None
    assert account.scram is False


async def test_scram_is_no_way_around_app_passwords(scram_house: House) -> None:
    scram_house.directory.set_domain(DOMAIN, app_passwords_only=True)
    door = await opener(scram_house)("imap")
    assert await scram(door, ScramClient(f"anna@{DOMAIN}", PASSWORD)) == REFUSED["imap"]


@pytest.fixture
async def bound_house(houses: MakeHouse, certificate: tuple, client_tls: ssl.SSLContext) -> House:  # type: ignore[type-arg]
    """Under TLS, with the certificate's hash as app/tls.py has it."""
    context = CertificateContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate[0], certificate[1])
    der = ssl.PEM_cert_to_DER_cert(certificate[0].read_text())
    context.end_point = hashlib.sha256(der).digest()
    house = houses(tls=context)
    house.directory.set_domain(DOMAIN, scram=True)
    account = house.add("anna")
    house.login._scram.put(house.directory.account(account.address), derive_keys(PASSWORD))
    await house.login.enrolment.look()
    return house


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_scram_plus(bound_house: House, client_tls: ssl.SSLContext, protocol: str) -> None:
    door = await opener(bound_house)(protocol)
    assert await door.offered() == []
    in_clear = b"a NO [PRIVACYREQUIRED]" if protocol == "imap" else b"-ERR Passwords only under TLS"
    assert (await door.begin("SCRAM-SHA-256", b"x")).startswith(in_clear)
    await door.client.ask("s STARTTLS" if protocol == "imap" else "STLS")
    await door.client.start_tls(client_tls)
    assert await door.offered() == ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN", "LOGIN"]
    # What the client itself saw of the channel (RFC 5929 4.1); trustme signs with SHA-256.
    seen = door.client.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    binding = hashlib.sha256(seen).digest()
    flag = f"p={END_POINT}"
    wrong = ScramClient(f"anna@{DOMAIN}", PASSWORD, flag=flag, binding=bytes(32))
    assert await scram(door, wrong, "SCRAM-SHA-256-PLUS") == REFUSED[protocol]
    stripped = ScramClient(f"anna@{DOMAIN}", PASSWORD, flag="y")
    assert b"Cannot be understood: channel binding was offered here" in await scram(door, stripped)
    right = ScramClient(f"anna@{DOMAIN}", PASSWORD, flag=flag, binding=binding)
    assert succeeded(await scram(door, right, "SCRAM-SHA-256-PLUS"))


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_login(house: House, protocol: str) -> None:
    house.add("anna")
    door = await opener(house)(protocol)
    assert await door.begin("login") == b"Username:"
    assert await door.answer(f"anna@{DOMAIN}".encode()) == b"Password:"
    assert await door.answer(b"wrong") == REFUSED[protocol]
    assert await door.begin("LOGIN", f"anna@{DOMAIN}".encode()) == b"Password:"
    assert succeeded(await door.answer(PASSWORD.encode()))


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_client_may_cancel_at_each_step(scram_house: House, protocol: str) -> None:
    door = await opener(scram_house)(protocol)
    client = ScramClient(f"anna@{DOMAIN}", PASSWORD)
    cancelled = b"a BAD AUTHENTICATE cancelled" if protocol == "imap" else b"-ERR Cancelled"
    await door.begin("SCRAM-SHA-256")
    assert await door.client.ask("*") == cancelled
    await door.begin("SCRAM-SHA-256", client.first())
    assert await door.client.ask("*") == cancelled
    await door.begin("LOGIN")
    await door.answer(b"anna")
    assert await door.client.ask("*") == cancelled
    challenge = await door.begin("SCRAM-SHA-256", client.first())
    await door.answer(client.final(challenge))
    assert await door.client.ask("*") == cancelled  # proven, and still not logged in
    assert succeeded(await scram(door, ScramClient(f"anna@{DOMAIN}", PASSWORD)))


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("end", [b"*\r\n", b"bm9uc2Vuc2U=\r\n", b""])
async def test_who_has_learned_that_his_proof_is_right_is_counted(
    scram_house: House, protocol: str, end: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """He knows a password now, and has not logged in: cancelled, answered with nonsense, or hung up."""
    counted: list[str] = []
    excess = scram_house.login.throttle.excess

    async def note(name: str, address: str) -> int:
        counted.append(name)
        return await excess(name, address)

    monkeypatch.setattr(scram_house.login.throttle, "excess", note)
    door = await opener(scram_house)(protocol)
    client = ScramClient(f"anna@{DOMAIN}", PASSWORD)
    await door.begin("SCRAM-SHA-256", client.first())
    assert await door.client.ask("*")
    assert counted == []  # nothing was shown
    challenge = await door.begin("SCRAM-SHA-256", client.first())
    assert (await door.answer(client.final(challenge))).startswith(b"v=")
    if end:
        door.client.writer.write(end)
        assert (await door.client.line()).startswith((b"a BAD", b"-ERR"))
    else:
        door.client.close()
    await until(lambda: counted)
    assert counted == [f"anna@{DOMAIN}"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_lines_that_are_too_long_or_none(scram_house: House, protocol: str) -> None:
    door = await opener(scram_house)(protocol)
    for line in ("!!!", base64.b64encode(b"n,,n=anna").decode(), "x" * 13_000):
        await door.begin("SCRAM-SHA-256")
        reply = await door.client.ask(line)
        assert reply.startswith(b"a BAD" if protocol == "imap" else b"-ERR"), reply
    assert succeeded(await scram(door, ScramClient(f"anna@{DOMAIN}", PASSWORD)))


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_wrong_proofs_are_counted_like_wrong_passwords(scram_house: House, protocol: str) -> None:
    door = await opener(scram_house)(protocol)
    limit = (ImapLimits() if protocol == "imap" else Pop3Limits()).login_failures
    for _ in range(limit):
        assert await scram(door, ScramClient(f"anna@{DOMAIN}", "wrong")) == REFUSED[protocol]
    rest = await door.client.rest()
    assert rest == (b"* BYE Too many failed logins\r\n" if protocol == "imap" else b"")


async def test_a_mailbox_on_a_backend_takes_plain(house: House) -> None:
    """What proves without a password cannot be passed on; who has proven is told so."""
    house.add_backend()
    house.add("anna", BackendHome("legacy"))
    with pytest.raises(login.PasswordNeeded):
        await house.login.admit(f"anna@{DOMAIN}", login.Peer("192.0.2.7", 1), "imap")


async def test_what_is_offered_follows_the_setting(houses: MakeHouse) -> None:
    clock = ManualClock()
    house = houses(clock=clock)
    enrolment = house.login.enrolment
    for asked in (True, False):
        house.directory.set_domain(DOMAIN, scram=asked)
        assert enrolment.wanted is not asked  # as it was seen last; looks again
        await enrolment.settled()
        assert enrolment.wanted is asked
        clock.advance(FRESH_S)


async def test_keys_that_wait_are_bounded(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailplat.access.enrolment.MAX_WAITING", 2)
    house.directory.set_domain(DOMAIN, scram=True)
    accounts = [house.add(f"name{number}") for number in range(3)]
    for account in accounts:
        house.login.enrolment.offer(account, PASSWORD)
    await house.login.enrolment.settled()
    made = [house.login._scram.keys(account) is not None for account in accounts]
    assert made == [True, True, False]
    house.login.enrolment.offer(accounts[2], PASSWORD)  # his next login
    await house.login.enrolment.settled()
    assert house.login._scram.keys(accounts[2]) is not None


async def test_a_resumed_session_is_not_bound(bound_house: House, client_tls: ssl.SSLContext) -> None:
    """Its client may have seen the certificate before this one."""
    port = await bound_house.listen(bound_house.imap, implicit_tls=True)

    def greeting(session: ssl.SSLSession | None) -> tuple[bytes, bool, ssl.SSLSession | None]:
        with (
            socket.create_connection(("127.0.0.1", port)) as plain,
            client_tls.wrap_socket(plain, server_hostname="127.0.0.1", session=session) as secured,
        ):
            text = b""
            while not text.endswith(b"\r\n"):  # tickets come with it (RFC 8446 4.6.1)
                text += secured.recv(4096)
            return text, bool(secured.session_reused), secured.session

    first, resumed, session = await asyncio.to_thread(greeting, None)
    assert not resumed
    assert b"AUTH=SCRAM-SHA-256-PLUS" in first
    second, resumed, _ = await asyncio.to_thread(greeting, session)
    assert resumed
    assert b"AUTH=SCRAM-SHA-256-PLUS" not in second
    assert b"AUTH=SCRAM-SHA-256 " in second


@pytest.mark.parametrize("name", ["anna", "nobody"])
async def test_each_spelling_of_a_name_has_one_salt(scram_house: House, name: str) -> None:
    """Else the salt would tell which of two names exists."""
    salts = set()
    for spelling in (f"{name}@{DOMAIN}", f"{name.upper()}@{DOMAIN}", f"{name}@{DOMAIN}."):
        door, client = await opener(scram_house)("imap"), ScramClient(spelling, PASSWORD)
        challenge = await door.begin("SCRAM-SHA-256", client.first())
        salts.add(challenge.split(b",")[1])
    assert len(salts) == 1
