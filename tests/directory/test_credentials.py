"""Password hashes from here and from elsewhere, and their verification off the loop."""

import asyncio
import threading
from collections.abc import Iterator

import argon2
import pytest
from passlib import hash as schemes

from mailplat.core.address import Address
from mailplat.core.clock import ManualClock
from mailplat.core.errors import InvalidInput, Unavailable
from mailplat.core.executors import Executors
from mailplat.directory import Account, credentials, crypt
from mailplat.directory.credentials import Verifier, check_hash, hash_password, verify_password

# Made by `doveadm pw -s SCHEME -p 'Zoë 1'` (Dovecot 2.3).
PASSWORD = "Zoë 1"
# fmt: off
FROM_DOVECOT = {
    "ARGON2ID": "{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$Xmmn0+iN8KWLYK2zHuYB3w$vCn96yPfOeMfraMi2MbQuFYSRKXaX51LHMP7XyR830E",  # noqa: E501
    "ARGON2I": "{ARGON2I}$argon2i$v=19$m=32768,t=4,p=1$NxNgSq4xJCMcFunmRTya2A$CsqyI6LueIQDCDSg+z9m2wknfBY4+qf0T97zt4kefVY",  # noqa: E501
    "BLF-CRYPT": "{BLF-CRYPT}$2y$05$CscyTbOWgBRfdA19T48JWuIka7tm.6giApScM/sCvKhvX4tbrpJZ2",
    "SHA512-CRYPT": "{SHA512-CRYPT}$6$gCHsYTuKLeqoA9OE$PeZGOBP/Ez/qM6gA/QsO6Q8WFhPauDZn991XKJ4OpSrS8eRnwDQbEVlVsFl2.hoJNBmO5whaSp0iZ/mlTObWI0",  # noqa: E501
    "SHA256-CRYPT": "{SHA256-CRYPT}$5$e0QIVHUIj1jN2MMM$kIuTNpqxaN2Ki/A7cGfkSSHjO6PhWX.VwZlC0nDdkS3",
    "MD5-CRYPT": "{MD5-CRYPT}$1$ks6Vol4e$LgtFchsAMz518m//URncF.",
    "SSHA": "{SSHA}K4ccEvOaEVgkKQg/s4tSSmmzNtuWaMUW",
    "SSHA256": "{SSHA256}xUqCCI6+W+SanpBTVVOdimPHiSzKSk2TOvvCw0OKAdHUSxff",
    "SSHA512": "{SSHA512}4d2Wu1ifn8SChuXcEFMhJxCKKKmEe3mFQPDmZ71YruO9PUSGkZ1sHytTSBn+//oQF+yh3ujMT+T3Bqn0eKvqCTzJgAg=",  # noqa: E501
    "CRYPT": "{CRYPT}$2y$05$hhwO.9OgRMB9safeCSipfO.uk6i.Qb7zyUJBVpq2hR.CP9bTuIWDm",
    "PLAIN": "{PLAIN}Zoë 1",
    # made with crypt(3)
    "YESCRYPT": "{CRYPT}$y$j9T$F5Jx5fExrKuPp53xLKQ..1$EPQBu1aOYScjsvA9Yk0iF2R0hDaBMCAfgMdUC1ODmV4",
    "DES-CRYPT": "{DES-CRYPT}abzvlECTMW1OA",
}
# fmt: on


@pytest.mark.parametrize("scheme", FROM_DOVECOT)
def test_hashes_of_the_platform_that_we_replace(scheme: str) -> None:
    stored = FROM_DOVECOT[scheme]
    assert check_hash(stored) == stored
    assert verify_password(PASSWORD, stored)
    for wrong in ("", "Zoë 2", "zoë 1", PASSWORD + " ", PASSWORD + "\0"):
        assert not verify_password(wrong, stored), wrong


def test_a_new_hash_is_argon2id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # as in life
    stored = hash_password(PASSWORD)
    assert stored.startswith("{ARGON2ID}$argon2id$v=19$m=65536,t=3,")
    assert verify_password(PASSWORD, stored)
    assert not verify_password("other", stored)
    assert hash_password(PASSWORD) != stored


@pytest.mark.parametrize("password", ["", "x" * 1025, "ë" * 513])
def test_what_is_no_password(password: str) -> None:
    with pytest.raises(InvalidInput):
        hash_password(password)


@pytest.mark.parametrize("scheme", ["{CRYPT}", "{crypt}"])
def test_crypt_says_by_itself_which_it_is(scheme: str) -> None:
    """libpass does not identify {CRYPT}$6$; the tag is ours to read."""
    for made in (
        schemes.sha512_crypt.using(rounds=1000),
        schemes.sha256_crypt.using(rounds=1000),
        schemes.md5_crypt,
    ):
        assert verify_password(PASSWORD, scheme + made.hash(PASSWORD))
        assert not verify_password("other", scheme + made.hash(PASSWORD))


YESCRYPT = "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7"


@pytest.mark.parametrize(
    "stored",
    [
        YESCRYPT,
        "{CRYPT}" + YESCRYPT,
        "{YESCRYPT}" + YESCRYPT,
        "plain text",
        "",
        "{}x",
        "{PLAIN",
        "{SSHA}",
        "{SSHA}!!!",
        "{SSHA}c2hvcnQ=",
        "{ARGON2ID}",
        "{ARGON2ID}$argon2id$broken",
        "{SHA512-CRYPT}$6$",
        "{BLF-CRYPT}$2y$",
        "{CRYPT}",
        "{CRYPT}$6$x",
        "{UNKNOWN}x",
    ],
)
def test_a_hash_that_is_not_understood_is_nobodys_password(stored: str) -> None:
    """A library that takes an unknown hash for plain text lets everybody in who has read it."""
    for password in (stored, stored.partition("}")[2], "", "x", "plain text"):
        assert not verify_password(password, stored)


def test_plain_only_where_the_tag_says_so() -> None:
    assert verify_password("geheim", "{PLAIN}geheim")
    assert not verify_password("geheim", "geheim")
    for stored in ("geheim", "{NOPE}geheim", "{PLAIN}", ""):
        with pytest.raises(InvalidInput, match="ARGON2ID"):
            check_hash(stored)


def test_without_libcrypt_what_python_can(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crypt, "_library", None)
    for scheme in ("SHA512-CRYPT", "SHA256-CRYPT", "MD5-CRYPT", "DES-CRYPT"):
        assert verify_password(PASSWORD, FROM_DOVECOT[scheme]), scheme
        assert not verify_password("x" + PASSWORD, FROM_DOVECOT[scheme]), scheme
    for scheme in ("BLF-CRYPT", "YESCRYPT"):
        assert not verify_password(PASSWORD, FROM_DOVECOT[scheme]), scheme


def account(number: int = 1, stored: str = "{PLAIN}geheim") -> Account:
    return Account(number, Address("anna", "example.org"), stored, 0, True)


class Counted(Executors):
    """How many verifications there were; they wait while the gate is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.gate = threading.Event()
        self.gate.set()

    async def run(self, pool, function, /, *args, **kwargs):  # type: ignore[no-untyped-def]
        self.calls += 1

        def work():  # type: ignore[no-untyped-def]
            self.gate.wait()
            return function(*args, **kwargs)

        return await super().run(pool, work)


@pytest.fixture
def executors() -> Iterator[Counted]:
    opened = Counted()
    yield opened
    opened.gate.set()
    opened.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """argon2id that is cheap: these tests count calls."""
    monkeypatch.setattr(credentials, "_argon2", credentials.argon2.PasswordHasher(1, 8, 1))


async def test_right_and_wrong(executors: Counted) -> None:
    verifier = Verifier(executors)
    assert await verifier.verify(account(), "geheim")
    assert not await verifier.verify(account(), "falsch")


async def test_an_unknown_user_costs_the_same_work(executors: Counted) -> None:
    verifier = Verifier(executors)
    assert not await verifier.verify(None, "geheim")
    assert not await verifier.verify(account(stored=""), "geheim")
    assert not await verifier.verify(account(stored=""), "")
    assert executors.calls == 3
    with pytest.raises(argon2.exceptions.VerifyMismatchError):  # computed to the end, not called unreadable
        argon2.PasswordHasher().verify(verifier._nobody.removeprefix("{ARGON2ID}"), "geheim")


async def test_a_success_is_remembered_for_a_while(executors: Counted) -> None:
    clock = ManualClock()
    verifier = Verifier(executors, clock)
    for _ in range(3):
        assert await verifier.verify(account(), "geheim")
    assert executors.calls == 1
    clock.advance(credentials.CACHE_TTL_S)
    assert await verifier.verify(account(), "geheim")
    assert executors.calls == 2


async def test_a_changed_password_is_not_remembered(executors: Counted) -> None:
    verifier = Verifier(executors)
    assert await verifier.verify(account(), "geheim")
    assert not await verifier.verify(account(stored="{PLAIN}neu"), "geheim")
    assert not await verifier.verify(account(number=2, stored="{PLAIN}anders"), "geheim")
    assert executors.calls == 3


async def test_a_failure_is_never_remembered(executors: Counted) -> None:
    verifier = Verifier(executors)
    for _ in range(2):
        assert not await verifier.verify(account(), "falsch")
    assert executors.calls == 2


async def test_what_is_remembered_is_bounded(executors: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "CACHE_ENTRIES", 2)
    verifier = Verifier(executors)
    for number in (1, 2, 3):
        assert await verifier.verify(account(number), "geheim")
    assert len(verifier._known) == 2
    assert await verifier.verify(account(1), "geheim")
    assert executors.calls == 4


async def test_no_password_is_kept_in_memory(executors: Counted) -> None:
    verifier = Verifier(executors)
    assert await verifier.verify(account(), "geheim")
    assert all(b"geheim" not in key for key in verifier._known)


async def test_ten_connections_of_one_client_compute_once(executors: Counted) -> None:
    verifier = Verifier(executors)
    executors.gate.clear()
    waiting = [asyncio.create_task(verifier.verify(account(), "geheim")) for _ in range(10)]
    await asyncio.sleep(0)
    waiting[0].cancel()  # a client that leaves takes nobody with it
    executors.gate.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert results[1:] == [True] * 9
    assert executors.calls == 1


async def test_too_many_at_once_are_turned_away(executors: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "MAX_WAITING", 3)
    verifier = Verifier(executors)
    executors.gate.clear()
    waiting = [asyncio.create_task(verifier.verify(account(number), "geheim")) for number in range(1, 4)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="more than 3"):
        await verifier.verify(account(4), "geheim")
    executors.gate.set()
    assert await asyncio.gather(*waiting) == [True] * 3
    assert await verifier.verify(account(4), "geheim")
