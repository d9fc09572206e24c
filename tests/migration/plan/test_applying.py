"""A plan against what is written down, on SQLite and PostgreSQL."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailplat.core.address import Address
from mailplat.core.clock import ManualClock
from mailplat.core.errors import InvalidInput, NotFound
from mailplat.core.route import BackendHome
from mailplat.db.engine import Database
from mailplat.directory import Backend, Directory
from migration.ledger import RUNNING, Ledger
from migration.plan import tables
from migration.plan.applying import apply, plans
from migration.plan.document import LimitTerms, PlanTerms, WaveTerms, WindowTerms
from migration.plan.states import WaveState
from migration.plan.stored import read
from tests.directory.conftest import database, postgres, postgres_template, sqlite_template

__all__ = ["database", "postgres", "postgres_template", "sqlite_template"]

DOMAINS = [f"{letter}.test" for letter in "abcdef"]
CLOCK = ManualClock()


@pytest.fixture
def filled(database: Database) -> Database:
    directory = Directory(database, CLOCK)
    directory.add_backend(Backend("old"))
    for domain in DOMAINS:
        directory.add_domain(domain)
        directory.add_account(Address("anna", domain), home=BackendHome("old"))
    return database


def plan(*waves: str, name: str = "old", **more: object) -> PlanTerms:
    """`waves`: letters of domains, "ab"; called w1, w2."""
    terms = [
        WaveTerms(
            name=f"{name}-w{number}", position=number, domains=[f"{each}.test" for each in letters], **more
        )
        for number, letters in enumerate(waves, start=1)
    ]
    return PlanTerms(plan=name, wave=terms)


def put(where: Database, what: PlanTerms, **more: object) -> list[str]:
    return apply(where, CLOCK, what, "anna", **more)  # type: ignore[arg-type]


def set_state(where: Database, wave: str, state: WaveState) -> None:
    with where.write() as connection:
        connection.execute(
            tables.wave.update().where(tables.wave.c.name == wave).values(state=state.value, approved_by="x")
        )


def test_the_second_time_nothing_is_to_change(filled: Database) -> None:
    first = plan("ab", "c", backends={"old": LimitTerms(connections=2, latency=0.1)})
    assert put(filled, first) == [
        "wave old-w1: added at position 1",
        "wave old-w2: added at position 2",
        "a.test: in no wave -> old-w1",
        "b.test: in no wave -> old-w1",
        "c.test: in no wave -> old-w2",
    ]
    assert put(filled, first) == []
    assert plans(filled) == {"old": first}


def test_each_difference_is_a_line(filled: Database) -> None:
    put(filled, plan("ab", "c"))
    other = plan("b", "ca", bake=2.0, window=WindowTerms(days=["mon"]))
    changes = put(filled, other)
    assert "wave old-w1: bake 24.0 -> 2.0" in changes
    assert 'wave old-w2: window.days ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] -> ["mon"]' in changes
    assert "a.test: old-w1 -> old-w2" in changes
    assert put(filled, plan("cb")) == [
        "wave old-w1: bake 2.0 -> 24.0",
        'wave old-w1: window.days ["mon"] -> ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]',
        "a.test: old-w2 -> in no wave",
        "c.test: old-w2 -> old-w1",
        "wave old-w2: removed",
    ]
    assert put(filled, plan("bc")) == ["wave old-w1: another order of its domains"]
    assert plans(filled) == {"old": plan("bc")}


def begin_move(where: Database) -> None:
    ledger = Ledger(where, CLOCK)
    ledger.plan("a.test", ["s1"])
    ledger.set_plan("a.test", RUNNING, expected={"planned"})


def begin_wave(where: Database) -> None:
    set_state(where, "old-w1", WaveState.COPYING)


@pytest.mark.parametrize("begin", [begin_move, begin_wave])
def test_a_domain_that_has_begun_leaves_its_wave_only_by_name(
    filled: Database, begin: Callable[[Database], None]
) -> None:
    put(filled, plan("ab", "c"))
    begin(filled)
    before = plans(filled)
    with pytest.raises(InvalidInput, match=r"a\.test has begun in wave old-w1 and is not in the plan now"):
        put(filled, plan("b", "c"))
    with pytest.raises(InvalidInput, match=r"and is in wave old-w2 now"):
        put(filled, plan("b", "ca"), take_out=["a.test"])
    assert plans(filled) == before
    assert put(filled, plan("b", "c"), take_out=["a.test"]) == ["a.test: old-w1 -> in no wave"]


def test_what_cannot_be_applied_changes_nothing(filled: Database) -> None:
    put(filled, plan("a", "b"))
    put(filled, plan("c", name="other"))
    for wrong, said in (
        (plan("a", "bc"), r"c\.test is in wave other-w1 of plan other"),
        (plan("a", "bz"), r"there is no domain z\.test"),
        (plan("a", "b", backends={"new": LimitTerms(connections=1, latency=0)}), "there is no backend new"),
        (PlanTerms(plan="old", wave=plan("d", name="other").wave), "other-w1 is of plan other"),
    ):
        with pytest.raises((InvalidInput, NotFound), match=said):
            put(filled, wrong)
    assert plans(filled) == {"old": plan("a", "b"), "other": plan("c", name="other")}


@pytest.mark.parametrize("state", [WaveState.CUTTING_OVER, WaveState.BAKING, WaveState.DONE])
def test_no_domain_comes_into_a_wave_that_moves(filled: Database, state: WaveState) -> None:
    put(filled, plan("a", "b"))
    set_state(filled, "old-w1", state)
    with pytest.raises(InvalidInput, match=r"c\.test can only come into a later one"):
        put(filled, plan("ac", "b"))
    swapped = plan("a", "b")
    behind = [each.model_copy(update={"position": 3 - each.position}) for each in swapped.wave]
    with pytest.raises(InvalidInput, match="it cannot come behind wave old-w2"):
        put(filled, PlanTerms(plan="old", wave=behind))


def test_an_approval_is_of_the_domains_that_were_there(filled: Database) -> None:
    put(filled, plan("ab"))
    set_state(filled, "old-w1", WaveState.READY)

    def approved() -> str:
        with filled.read() as connection:
            return read(connection)["old-w1"].approved_by

    put(filled, plan("ab", bake=1.0))
    assert approved() == "x"
    put(filled, plan("abc", bake=1.0))
    assert approved() == ""


def test_it_is_in_the_audit_log(filled: Database) -> None:
    put(filled, plan("a"))
    with filled.read() as connection:
        (line,) = connection.execute(sa.text("SELECT who, action, subject FROM audit")).fetchall()
    assert tuple(line) == ("anna", "migrate.plan", "old")


wave_lists = st.lists(st.sampled_from("abcdef"), unique=True).flatmap(
    lambda letters: st.lists(st.integers(0, 3), min_size=len(letters), max_size=len(letters)).map(
        lambda places: [
            "".join(x for x, at in zip(letters, places, strict=True) if at == n) for n in range(4)
        ]
    )
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(wave_lists, wave_lists)
def test_whatever_was_there_after_it_is_what_the_file_says(
    filled: Database, first: list[str], second: list[str]
) -> None:
    for each in (first, second):
        put(filled, plan(*each))
        assert put(filled, plan(*each)) == []
        assert plans(filled)["old"] == plan(*each)
