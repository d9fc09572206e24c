"""What a wave does in each state, look by look."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mailplat.core.address import Address
from mailplat.core.clock import ManualClock
from mailplat.core.errors import InvalidInput
from mailplat.core.route import RouteState
from mailplat.usage import Counts
from mailplat.usage.meter import HOUR_S, Key
from migration.back.orders import request_rollback
from migration.from_backends import FromBackends
from migration.lease import Lease
from migration.plan.document import LimitTerms, WindowTerms
from migration.plan.states import TRANSITIONS, WaveState
from migration.plan.stored import ACCEPTED, RETURNED
from migration.turns import Turns
from migration.waves.ledger import Changed
from migration.waves.limits import limits_of
from tests.migration.waves.rows import Standing

DAY_S = 86_400.0
# A Monday, 10:00 UTC
MONDAY = 1_795_428_000.0 - 1_795_428_000.0 % DAY_S + 10 * 3600.0

Open = Callable[..., Standing]


@pytest.fixture
def standing(tmp_path: Path) -> Iterator[Open]:
    opened: list[Standing] = []

    def open_standing(**terms: object) -> Standing:
        opened.append(Standing(tmp_path / "house", clock=ManualClock(MONDAY), **terms))  # type: ignore[arg-type]
        return opened[-1]

    yield open_standing
    for each in opened:
        each.close()


def bring(here: Standing, state: WaveState, name: str = "w1") -> None:
    """The engine works and people approve until the wave is there."""
    if here.state(name) is WaveState.PLANNED:
        here.waves.start(name, "anna")
    here.waves.approve(name, "anna", "ok")
    for _ in range(20):
        if here.state(name) is state:
            return
        here.work()
        here.look()
    raise AssertionError((here.state(name), here.wave(name).reason))


def test_from_the_plan_to_the_end(standing: Open) -> None:
    here = standing()
    here.look()
    assert here.state() is WaveState.PLANNED, "a person starts the first one"
    here.waves.start("w1", "anna")
    here.look()
    assert {here.plan_of(each) for each in ("a.test", "b.test")} == {"running"}
    assert here.plan_of("c.test") is None
    assert here.plan_of("unplanned.test") is None
    here.copy("a.test")
    here.look()
    assert here.state() is WaveState.COPYING
    here.copy("b.test")
    here.look(2)
    assert here.state() is WaveState.READY
    assert here.wave().reason.startswith("waits for approval: mailplat migrate approve --wave w1")
    assert not any(each.cutover for each in here.of("a.test"))
    here.waves.approve("w1", "anna", "asked the customers")
    here.look(2)
    assert here.state() is WaveState.CUTTING_OVER
    assert all(each.cutover for domain in ("a.test", "b.test") for each in here.of(domain))
    here.cut_over("a.test")
    here.look()
    assert here.state() is WaveState.CUTTING_OVER
    here.cut_over("b.test")
    here.look()
    assert here.state() is WaveState.BAKING
    here.look()
    assert here.state("w2") is WaveState.COPYING, "it is copied while the one before bakes"
    here.waves.approve("w2", "anna", "ok")
    here.look()
    here.copy("c.test")
    here.look(2)
    assert here.wave("w2").reason == "waits for wave w1, which is baking"
    here.clock.advance(DAY_S - 1)
    here.look(2)
    assert here.state() is WaveState.BAKING
    here.clock.advance(1)
    here.look(2)
    assert here.state() is WaveState.DONE
    assert here.wave().reason.startswith(
        "2 domains were not judged, nothing is known from before they moved: a.test"
    )
    assert here.state("w2") is WaveState.CUTTING_OVER
    assert here.plan_of("unplanned.test") is None


@pytest.mark.parametrize("state", [WaveState.CUTTING_OVER, WaveState.BAKING])
def test_who_comes_when_the_domain_moves_follows_it(standing: Open, state: WaveState) -> None:
    here = standing()
    bring(here, state)
    here.add("late", "a.test")
    late = Address("late", "a.test")
    here.look()
    here.copy("a.test")
    if state is WaveState.CUTTING_OVER:
        here.cut_over("b.test")
        here.look()
        assert here.state() is WaveState.CUTTING_OVER, "it is the wave's"
    here.look()
    assert here.state() is state
    here.cut_over("a.test")
    assert here.directory.route(here.directory.account(late).id).state is RouteState.NEW
    here.look(2)
    assert here.state() is WaveState.BAKING
    assert here.wave().reason.startswith("bakes until")


def test_who_comes_too_late_keeps_no_wave_from_its_end(standing: Open) -> None:
    here = standing(window=WindowTerms(days=["mon"], opens="09:00", closes="12:00"))
    bring(here, WaveState.BAKING)
    here.clock.advance(DAY_S - 1)
    here.add("late", "a.test")
    here.look()
    assert "1 accounts came since, and move in its window" in here.wave().reason
    here.copy("a.test")
    here.look()
    assert not any(each.cutover for each in here.of("a.test")), "it is Tuesday"
    here.clock.advance(1)
    here.look()
    assert here.state() is WaveState.DONE
    assert "1 accounts came since and have not moved yet: late@a.test" in here.wave().reason


@pytest.mark.parametrize("ends", ["pause", "window", "done"])
def test_the_word_for_who_came_since_is_taken_back(standing: Open, ends: str) -> None:
    here = standing(
        window=WindowTerms(days=["mon"], opens="09:00", closes="12:00"), bake=1.0 if ends == "done" else 24.0
    )
    bring(here, WaveState.BAKING)
    here.add("late", "a.test")
    here.look()
    here.copy("a.test")
    here.look()
    assert any(each.cutover for each in here.of("a.test"))
    if ends == "pause":
        here.waves.pause("w1", "anna")
    elif ends == "window":
        here.clock.advance(2 * HOUR_S)  # 12:00
        here.look()
    else:
        here.clock.advance(HOUR_S)
        here.look()
        assert here.state() is WaveState.DONE
    assert not any(each.cutover for each in here.of("a.test"))


def test_who_comes_into_a_domain_that_went_back_stays_there(standing: Open) -> None:
    here = standing()
    bring(here, WaveState.BAKING)
    request_rollback(here.moves, "a.test")
    here.add("late", "a.test")
    here.look()
    assert len(here.of("a.test")) == 2


def test_without_copy_ahead_the_next_one_waits_for_the_end(standing: Open) -> None:
    here = standing(copy_ahead=False)
    bring(here, WaveState.BAKING)
    here.look(3)
    assert here.state("w2") is WaveState.PLANNED
    here.clock.advance(DAY_S)
    here.look(2)
    assert (here.state(), here.state("w2")) == (WaveState.DONE, WaveState.COPYING)


def test_nobody_is_cut_over_outside_of_the_window(standing: Open) -> None:
    here = standing(approval=False, window=WindowTerms(days=["tue"], opens="02:00", closes="04:00"))
    here.waves.start("w1", "anna")
    here.look()
    for domain in ("a.test", "b.test"):
        here.copy(domain)
    here.look(2)
    assert here.state() is WaveState.READY
    assert "window, which opens 2026-11-24 02:00 UTC" in here.wave().reason
    here.clock.advance(16 * 3600.0)
    here.look(2)
    assert here.state() is WaveState.CUTTING_OVER
    here.cut_over("a.test")
    here.clock.advance(2 * 3600.0)
    here.look()
    assert here.state() is WaveState.CUTTING_OVER
    assert not any(each.cutover for each in here.of("b.test")), "the word is taken back"
    assert "2 accounts are left; its window opens again 2026-12-01 02:00" in here.wave().reason
    here.clock.advance(7 * DAY_S - 2 * 3600.0)
    here.look()
    assert all(each.cutover for each in here.of("b.test"))


def test_a_spent_error_budget_pauses_the_wave_and_resume_goes_on(standing: Open) -> None:
    here = standing(error_budget=0.25)
    bring(here, WaveState.CUTTING_OVER)
    here.look()
    one, two = here.of("a.test")
    here.moves.set(one.account_id, halted="a disk is gone", aborts=1)
    here.look()
    assert here.state() is WaveState.CUTTING_OVER, "one of four is a quarter"
    here.moves.set(two.account_id, aborts=1)
    here.look(2)
    assert here.state() is WaveState.PAUSED
    assert here.wave().resumes == "cutting-over"
    assert (
        "2 of 4 accounts are halted or had their fence taken back, 25.0% may: anna@a.test"
        in here.wave().reason
    )
    assert {here.plan_of(each) for each in ("a.test", "b.test")} == {"paused"}
    assert not any(each.cutover for each in here.of("b.test"))
    here.waves.resume("w1", "anna")
    assert here.state() is WaveState.CUTTING_OVER
    assert {here.plan_of(each) for each in ("a.test", "b.test")} == {"running"}
    assert not here.of("a.test")[0].halted
    here.look(2)
    assert here.state() is WaveState.CUTTING_OVER, "what was resumed is forgiven"
    here.moves.set(two.account_id, aborts=2)
    here.moves.set(one.account_id, aborts=2)
    here.look()
    assert here.state() is WaveState.PAUSED


def test_pause_and_resume_of_a_person(standing: Open) -> None:
    here = standing()
    with pytest.raises(InvalidInput, match="there is nothing to pause"):
        here.waves.pause("w1", "anna")
    here.waves.start("w1", "anna")
    here.look()
    here.waves.pause("w1", "anna")
    here.waves.pause("w1", "anna")
    assert (here.state(), here.plan_of("a.test")) == (WaveState.PAUSED, "paused")
    here.look(3)
    assert here.plan_of("a.test") == "paused"
    with pytest.raises(InvalidInput, match="say mailplat migrate resume w1"):
        here.waves.start("w1", "anna")
    here.waves.resume("w1", "anna")
    assert (here.state(), here.plan_of("a.test")) == (WaveState.COPYING, "running")
    with pytest.raises(InvalidInput, match="need not be resumed"):
        here.waves.resume("w1", "anna")


def test_accounts_that_came_since_are_taken_in(standing: Open) -> None:
    here = standing()
    bring(here, WaveState.READY)
    here.add("carol", "b.test")
    here.look()
    assert here.state() is WaveState.COPYING
    here.look()
    assert len(here.of("b.test")) == 3
    assert here.plan_of("b.test") == "running"


@pytest.mark.parametrize("allowed", [False, True])
def test_accounts_without_a_password_are_waited_for_unless_told_otherwise(
    standing: Open, allowed: bool
) -> None:
    here = standing(unknown_passwords=allowed, approval=False)
    here.add("dave", "a.test", password="")
    here.waves.start("w1", "anna")
    here.look()
    for domain in ("a.test", "b.test"):
        here.copy(domain)
    dave = next(each for each in here.of("a.test") if each.address == "dave@a.test")
    here.directory.advance(dave.route, RouteState.TRACKING)
    here.moves.set(dave.account_id, quiet=2)
    here.look(3)
    if allowed:
        assert here.state() is WaveState.CUTTING_OVER
        assert all(each.cutover for each in here.of("a.test"))
    else:
        assert here.state() is WaveState.COPYING
        assert here.wave().reason == "1 accounts wait for their passwords"


def test_a_domain_that_a_person_has_paused_stays_so(standing: Open) -> None:
    here = standing(approval=False)
    here.waves.start("w1", "anna")
    here.look()
    here.moves.set_plan("b.test", "paused", expected={"running"})
    for domain in ("a.test", "b.test"):
        here.copy(domain)
    here.look(4)
    assert here.plan_of("b.test") == "paused"
    assert here.wave().reason == "b.test is paused"
    assert not any(each.cutover for each in here.of("b.test"))


def spoil(here: Standing, domain: str) -> None:
    """Before the move all was well; since then half of its logins are refused. Others are as before."""
    hour = int(MONDAY) // HOUR_S * HOUR_S
    usual, bad = Counts(logins=100, refused=2, users=20), Counts(logins=50, refused=50, users=20)
    for each in ("a.test", "b.test", "c.test", "unplanned.test"):
        here.platform.usage.add({Key(each, hour - at * HOUR_S, "backend:old"): usual for at in range(1, 49)})
    for at in range(24):
        for each in ("a.test", "b.test"):
            here.platform.usage.add(
                {Key(each, hour + at * HOUR_S, "shard:s1"): bad if each == domain else usual}
            )
        here.platform.usage.add({Key("unplanned.test", hour + at * HOUR_S, "backend:old"): usual})


def test_a_breach_halts_the_wave_by_itself(standing: Open) -> None:
    here = standing()
    spoil(here, "b.test")
    bring(here, WaveState.BAKING)
    here.clock.advance(DAY_S)
    here.look()
    assert here.state() is WaveState.HALTED
    assert here.wave().reason.startswith("b.test: logins that were refused: 50.00%")
    assert set(here.wave().breaches) == {"b.test"}
    assert not any(each.rollback for domain in ("a.test", "b.test") for each in here.of(domain))
    here.look(3)
    assert here.state() is WaveState.HALTED
    assert here.state("w2") is not WaveState.CUTTING_OVER
    here.waves.resume("w1", "anna")
    assert here.wave().fates == {"b.test": ACCEPTED}
    here.look()
    assert here.state() is WaveState.DONE


def test_a_breach_rolls_back_that_domain_alone_if_told_so(standing: Open) -> None:
    here = standing(on_breach="rollback-domain")
    spoil(here, "b.test")
    bring(here, WaveState.BAKING)
    here.clock.advance(DAY_S)
    here.look()
    assert here.state() is WaveState.BAKING
    here.look(2)
    assert here.state() is WaveState.DONE
    assert here.wave().fates == {"b.test": RETURNED}
    assert [each.rollback for each in here.of("b.test")] == [True, True]
    assert [each.rollback for each in here.of("a.test")] == [False, False]
    assert "b.test went back: logins that were refused" in here.wave().reason
    assert here.plan_of("a.test") == "running"


def test_a_domain_that_cannot_go_back_halts_the_wave(standing: Open) -> None:
    here = standing(on_breach="rollback-domain")
    spoil(here, "b.test")
    bring(here, WaveState.BAKING)
    with here.platform.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM migration_origin")
    here.clock.advance(DAY_S)
    here.look(2)
    assert here.state() is WaveState.HALTED
    assert "b.test cannot go back: anna@b.test was moved by an older release" in here.wave().reason


def test_a_domain_that_a_person_sends_back_keeps_nobody_waiting(standing: Open) -> None:
    here = standing()
    bring(here, WaveState.BAKING)
    for move in here.of("b.test"):
        here.moves.set(move.account_id, rollback=True)
    here.clock.advance(DAY_S)
    here.look()
    assert here.state() is WaveState.DONE
    assert here.wave().reason.startswith("b.test was sent back; 1 domains were not judged")


def test_who_was_faster(standing: Open) -> None:
    here = standing()
    seen = here.wave()
    here.waves.start("w1", "anna")
    with pytest.raises(Changed):
        here.waves.step(seen, WaveState.COPYING)
    with pytest.raises(InvalidInput, match="cannot become done"):
        here.waves.step(here.wave(), WaveState.DONE)
    assert here.state() is WaveState.COPYING


def test_every_state_is_in_the_table_and_leads_to_the_end() -> None:
    assert set(TRANSITIONS) == set(WaveState)
    reached = {WaveState.PLANNED}
    for _ in WaveState:
        reached |= {each for state in reached for each in TRANSITIONS[state]}
    assert reached == set(WaveState)


def test_limits_are_the_lower_ones_of_waves_under_way(standing: Open) -> None:
    settings = LimitTerms(connections=4, latency=0.1)
    here = standing(backends={"old": LimitTerms(connections=2, latency=0.2)})
    assert limits_of(here.platform.database, settings) == {}
    here.waves.start("w1", "anna")
    assert limits_of(here.platform.database, settings) == {"old": LimitTerms(connections=2, latency=0.1)}
    here.waves.pause("w1", "anna")
    assert limits_of(here.platform.database, settings) == {}


async def test_the_engine_keeps_to_them(standing: Open) -> None:
    here = standing(backends={"old": LimitTerms(connections=2, latency=0.05)})
    lease = Lease(here.platform.clock, 3600.0)
    engine = FromBackends(here.platform, Turns(here.platform.database), "one", lease, 1.0, 4, 0.1)

    async def limits() -> tuple[int, float]:
        pacer = engine._pacers["old"]
        await engine.keep_to_limits()
        return pacer.connections, pacer.controller.target

    assert await limits() == (4, 0.1)
    here.waves.start("w1", "anna")
    assert await limits() == (2, 0.05)
    here.waves.pause("w1", "anna")
    assert await limits() == (4, 0.1)
    engine.workers = 2
    assert await limits() == (2, 0.1), "of all workers together"


def test_what_people_said_is_in_the_audit_log(standing: Open) -> None:
    here = standing()
    bring(here, WaveState.READY)
    here.waves.pause("w1", "bob")
    lines = [
        (each.who, each.action, each.after.get("state")) for each in here.platform.audit.entries(subject="w1")
    ]
    assert ("anna", "migrate.wave", "copying") in lines
    assert ("anna", "migrate.wave.approve", None) in lines
    assert ("bob", "migrate.wave", "paused") in lines
