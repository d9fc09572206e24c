"""Whom a vacation has answered."""

import hashlib

import pytest

from mailplat.core.address import Address
from mailplat.core.clock import ManualClock
from mailplat.core.limits.sieve import SieveLimits
from mailplat.core.route import BackendHome
from mailplat.db.engine import Database
from mailplat.directory import Directory
from mailplat.sieve import vacation
from mailplat.sieve.vacation import Answers, answer_key

BOB = answer_key("Bob@Example.ORG", "away")


@pytest.fixture
def ann(directory: Directory) -> int:
    return directory.add_account(
        Address("ann", "example.org"), home=BackendHome("legacy"), password_hash=""
    ).id


@pytest.fixture
def answers(database: Database, clock: ManualClock) -> Answers:
    return Answers(database, clock, SieveLimits(answers=3))


def test_the_key_is_pigeonholes() -> None:
    assert hashlib.md5(b"bob@example.orgaway").digest() == BOB
    assert answer_key("ÄB@x.org", "") == hashlib.md5("Äb@x.org".encode()).digest()


def test_an_answer_holds_for_its_time(answers: Answers, ann: int, clock: ManualClock) -> None:
    assert not answers.was_answered(ann, BOB)
    assert answers.remember(ann, BOB, 100)
    assert answers.was_answered(ann, BOB)
    assert not answers.was_answered(ann + 1, BOB)
    assert not answers.remember(ann, BOB, 1000), "by somebody else, who answers"
    clock.advance(101)
    assert not answers.was_answered(ann, BOB)
    assert answers.remember(ann, BOB, 100)


def test_those_that_end_first_go_first(
    answers: Answers, ann: int, database: Database, clock: ManualClock
) -> None:
    keys = [bytes([number]) * 16 for number in range(5)]
    for number, key in enumerate(keys[:4]):
        answers.remember(ann, key, 100 + number)
    with database.read() as connection:
        assert vacation.of(connection, ann).keys() == set(keys[1:4])
    clock.advance(101.5)
    assert answers.remember(ann, keys[4], 1)
    with database.read() as connection:
        assert vacation.of(connection, ann).keys() == set(keys[2:5])


def test_what_another_platform_remembers_is_added(
    answers: Answers, ann: int, database: Database, clock: ManualClock
) -> None:
    now = clock.now()
    answers.remember(ann, BOB, 100)
    other = b"o" * 16
    with database.write() as connection:
        assert (
            vacation.put(connection, ann, {BOB: now + 50, other: now + 70, b"x" * 16: now - 1}, now, 9) == 2
        )
        assert vacation.of(connection, ann) == {BOB: now + 100, other: now + 70}
        vacation.forget(connection, ann)
    assert not answers.was_answered(ann, BOB)
