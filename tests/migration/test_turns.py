"""The ledger of turns, on SQLite and PostgreSQL."""

import pytest

from mailplat.core.errors import StaleEpoch
from mailplat.db.engine import Database
from migration.turns import LEGACY_KIND, SHARD_KIND, Turn, Turns, parse
from tests.directory.conftest import database, postgres, postgres_template, sqlite_template

__all__ = ["database", "postgres", "postgres_template", "sqlite_template"]


@pytest.fixture
def turns(database: Database) -> Turns:
    return Turns(database)


def begun(turns: Turns, name: str, runner: str) -> Turn:
    found = turns.begin(name, runner)
    assert found is not None
    return found[0]


def test_a_turn_ends_once_and_the_next_has_another_name(turns: Turns) -> None:
    first = turns.make(LEGACY_KIND, [7])[7]
    mine = begun(turns, first.name, "one")
    assert turns.end(mine, due_at=5.0, worked=0.5, failures=2)
    assert turns.begin(first.name, "two") is None, "it is over"
    assert not turns.end(mine, due_at=0.0, worked=0.0, failures=0)
    after = turns.of(LEGACY_KIND, [7])[7]
    assert after.name != first.name
    assert (after.runner, after.due_at, after.worked, after.failures) == ("", 5.0, 0.5, 2)


def test_who_begins_behind_somebody_knows_that_and_takes_it_from_him(turns: Turns) -> None:
    name = turns.make(LEGACY_KIND, [7])[7].name
    found = turns.begin(name, "asleep")
    assert found is not None
    sleeper, alone = found
    assert alone
    found = turns.begin(name, "awake")
    assert found is not None
    taker, alone = found
    assert not alone
    assert taker.deaths == 1
    assert turns.holds(taker)
    assert not turns.holds(sleeper)
    assert not turns.end(sleeper, due_at=0.0, worked=0.0, failures=0)
    with turns.database.write() as connection:
        turns.guard(taker)(connection)
        with pytest.raises(StaleEpoch, match="another worker"):
            turns.guard(sleeper)(connection)
    assert turns.end(taker, due_at=0.0, worked=0.0, failures=0)
    assert turns.of(LEGACY_KIND, [7])[7].deaths == 0


def test_one_that_is_renewed_is_not_ended_by_who_has_it(turns: Turns) -> None:
    mine = begun(turns, turns.make(LEGACY_KIND, [7])[7].name, "hangs")
    new = turns.renew(mine)
    assert new is not None
    assert not turns.end(mine, due_at=0.0, worked=0.0, failures=0)
    assert turns.renew(mine) is None
    found = turns.begin(new.name, "other")
    assert found is not None
    assert not found[1], "whoever hangs may wake up"


def test_what_two_make_at_once_is_one_turn(turns: Turns) -> None:
    first = turns.make(LEGACY_KIND, [7])
    assert turns.make(LEGACY_KIND, [7, 8])[7] == first[7]


def test_kinds_are_apart(turns: Turns) -> None:
    turns.make(LEGACY_KIND, [7])
    assert turns.of(SHARD_KIND) == {}
    assert parse(turns.of(LEGACY_KIND)[7].name)[:2] == (LEGACY_KIND, 7)


def test_a_name_never_comes_again_even_when_its_row_is_gone(turns: Turns) -> None:
    """The engine keeps names that are over for a while, and would not take one a second time."""
    names = set()
    for _ in range(3):
        turn = turns.make(LEGACY_KIND, [7])[7]
        names.add(turn.name)
        mine = begun(turns, turn.name, "one")
        turns.end(mine, due_at=0.0, worked=0.0, failures=0)
        names.add(turns.of(LEGACY_KIND)[7].name)
        turns.tidy()  # there is no move of account 7
        assert turns.of(LEGACY_KIND) == {}
    assert len(names) == 6


def test_one_at_work_is_not_tidied_away(turns: Turns) -> None:
    mine = begun(turns, turns.make(LEGACY_KIND, [7])[7].name, "one")
    turns.tidy()
    assert turns.end(mine, due_at=0.0, worked=0.0, failures=0)


@pytest.mark.parametrize("name", ["", "legacy/7", "legacy/x/1", "legacy/7/1/2"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError):
        parse(name)
