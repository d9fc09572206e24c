"""Which octets are compared before an account is READY, and that one that differs is found."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.core.route import BackendHome, RouteState
from migration.compared import SAMPLE_LEAST, Compared
from tests.dovecot import Dovecot
from tests.migration.house import DOMAIN, PASSWORD, House, client, content_of, letter
from tests.until import until

LETTERS = 200


def fill(dovecot: Dovecot, user: str, first: int, count: int) -> None:
    with client(dovecot, user) as imap:
        for number in range(first, first + count):
            imap.append("INBOX", letter(number))


async def copied_and_waiting(here: House, user: str) -> None:
    """Everything is here and nothing is compared yet."""
    await until(lambda: here.move(user).waits_for_password)


def set_password(here: House, user: str, known: bool) -> None:
    here.platform.directory.set_account(
        here.accounts[user].id, password_hash=f"{{PLAIN}}{PASSWORD}" if known else ""
    )


def compared(here: House, user: str) -> Compared:
    return Compared.from_json(here.move(user).verified)


@pytest.mark.interop
async def test_one_changed_octet_in_hundreds_of_messages_stops_the_move(
    dovecot: Dovecot, user: str, house: Callable[..., House]
) -> None:
    fill(dovecot, user, 0, LETTERS)
    here = house(user)
    set_password(here, user, known=False)
    here.plan()
    async with here.engine():
        await copied_and_waiting(here, user)
        assert compared(here, user).hashed == 0
        change_one_octet(here, user, b"line 17 of the letter")
        set_password(here, user, known=True)
        reason = await here.halted(user)
        assert "INBOX UID 18: its octets differ" in reason
        assert here.move(user).route.home == BackendHome("old")
        # Mended by hand; `migrate resume` compares everything anew.
        change_one_octet(here, user, b"Line 17 of the letter")
        here.ledger.clear_halts(DOMAIN)
        assert compared(here, user) == Compared()
        await here.reach(RouteState.READY)
    assert (compared(here, user).hashed, compared(here, user).whole) == (LETTERS, True)


def change_one_octet(here: House, user: str, old: bytes) -> None:
    """In the shard's file; the size stays."""
    shard = here.platform.store.shard(here.move(user).shard)
    (found,) = (
        path for path in shard.tmp.parent.rglob("*") if path.is_file() and in_file(path, b"\r\n" + old)
    )
    found.chmod(0o600)
    found.write_bytes(found.read_bytes().replace(old, old[:1].swapcase() + old[1:], 1))


def in_file(path: Path, octets: bytes) -> bool:
    return ".db" not in path.name and octets in path.read_bytes()


@pytest.mark.interop
async def test_no_octet_is_compared_twice(dovecot: Dovecot, user: str, house: Callable[..., House]) -> None:
    fill(dovecot, user, 0, 30)
    here = house(user)
    here.plan()
    async with here.engine():
        await here.reach(RouteState.READY)
    first = compared(here, user)
    assert (first.messages, first.hashed, first.octets) == (30, 30, sum(len(letter(n)) for n in range(30)))
    here.ledger.advance(here.move(user).route, RouteState.TRACKING, quiet=0)  # as after a fence taken back
    fill(dovecot, user, 100, 3)
    async with here.engine():
        await here.reach(RouteState.READY)
    again = compared(here, user)
    assert (again.messages, again.hashed) == (33, 33)


@pytest.mark.interop
async def test_of_a_large_account_a_sample_and_all_that_came_after_the_copy(
    dovecot: Dovecot, user: str, house: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("migration.verify.WHOLE_BELOW", 1000)
    fill(dovecot, user, 0, 40)
    here = house(user)
    set_password(here, user, known=False)
    here.plan()
    async with here.engine():
        await copied_and_waiting(here, user)
        fill(dovecot, user, 40, 5)
        await until(lambda: here.content(user) == content_of(dovecot, user))
        set_password(here, user, known=True)
        await here.reach(RouteState.READY)
        found = compared(here, user)
        assert (found.messages, found.hashed, found.whole) == (45, SAMPLE_LEAST + 5, False)
        fill(dovecot, user, 45, 2)
        here.ledger.request_cutover(DOMAIN)
        await here.reach(RouteState.NEW)
    assert compared(here, user).messages == 47, "the fence's comparison"


UIDS = st.lists(st.integers(1, 5000), unique=True).map(sorted)


@given(UIDS, st.integers(1, 5000), st.integers(1, 5000), st.integers())
def test_what_is_chosen(uids: list[int], copied: int, below: int, seed: int) -> None:
    choice = random.Random(seed)
    assert Compared(whole=True).choose("a", 7, uids, choice) == uids
    sampled = Compared(copied={"a": (7, copied)})
    found = sampled.choose("a", 7, uids, choice)
    new, old = [uid for uid in uids if uid >= copied], [uid for uid in uids if uid < copied]
    assert found[len(found) - len(new) :] == new
    assert set(found) <= set(uids)
    assert len(found) - len(new) >= min(SAMPLE_LEAST, len(old))
    assert sampled.choose("made since the copy", 7, uids, choice) == uids
    assert sampled.choose("a", 8, uids, choice) == uids, "another mailbox under the name"
    for whole in (True, False):
        known = Compared(whole=whole, copied={"a": (7, copied)}, below={"a": (7, below)})
        assert known.choose("a", 7, uids, choice) == [uid for uid in uids if uid >= below]
        assert Compared.from_json(known.to_json()) == known


def test_nothing_known_of_a_large_account_is_a_sample() -> None:
    assert len(Compared().choose("a", 7, range(1, 10_001), random.Random(1))) == 200
