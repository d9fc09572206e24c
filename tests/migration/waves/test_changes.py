"""Somebody changes a wave while the runner has looked at it and has not acted yet."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mailplat.core.clock import ManualClock
from mailplat.core.errors import InvalidInput
from migration.plan.applying import apply, plans
from migration.plan.document import PlanTerms
from migration.plan.states import WaveState
from migration.plan.stored import Stored
from migration.waves import runner
from migration.waves.ledger import Changed
from migration.waves.stages import Site, attend
from tests.migration.waves.rows import Standing
from tests.migration.waves.test_stages import MONDAY, bring


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Standing]:
    found = Standing(tmp_path / "house", clock=ManualClock(MONDAY))
    yield found
    found.close()


def put(here: Standing, *, take_out: tuple[str, ...] = (), **waves: tuple[str, ...]) -> None:
    """The applied plan with other domains in these waves."""
    plan = plans(here.platform.database)["old"]
    changed = [
        each.model_copy(update={"domains": list(waves.get(each.name, each.domains))}) for each in plan.wave
    ]
    new = PlanTerms(plan="old", wave=changed)
    apply(here.platform.database, here.platform.clock, new, "anna", take_out=take_out)


def look_with(here: Standing, read: Stored) -> None:
    attend(Site(here.platform, here.moves, here.waves, read, None))


def test_a_domain_that_nobody_approved_is_not_cut_over(here: Standing) -> None:
    bring(here, WaveState.READY)
    read = here.wave()
    assert read.approved
    put(here, w1=("a.test", "b.test", "unplanned.test"))
    with pytest.raises(Changed):
        here.waves.step(read, WaveState.CUTTING_OVER)
    assert not here.wave().approved


def test_an_approval_is_of_the_domains_that_were_shown(
    here: Standing, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = here.wave()
    put(here, w1=("a.test", "b.test", "unplanned.test"))
    with monkeypatch.context() as patch:
        patch.setattr(here.waves, "wave", lambda name: read)
        with pytest.raises(Changed):
            here.waves.approve("w1", "anna", "ok")
    assert not here.wave().approved


def test_who_pauses_is_not_overtaken(here: Standing, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the runner asks one domain after the other."""
    bring(here, WaveState.CUTTING_OVER)
    here.waves.withdraw(here.wave())
    read, states = here.wave(), here.waves.plan_states(here.wave())
    here.waves.pause("w1", "anna")
    monkeypatch.setattr(here.waves, "plan_states", lambda wave: states)
    with pytest.raises(Changed):
        look_with(here, read)
    assert not any(move.cutover for domain in ("a.test", "b.test") for move in here.of(domain))


def test_a_domain_that_waits_for_its_beginning_does_not_begin_after_a_pause(here: Standing) -> None:
    here.waves.start("w1", "anna")
    here.moves.plan("a.test", ["s1"])
    here.moves.plan("b.test", ["s1"])
    read = here.wave()
    here.waves.pause("w1", "anna")
    with pytest.raises(Changed):
        look_with(here, read)
    assert here.plan_of("a.test") != "running"


def test_what_is_judged_is_of_the_wave_that_was_judged(here: Standing) -> None:
    bring(here, WaveState.BAKING)
    read = here.wave()
    put(here, w1=("a.test",), take_out=("b.test",))
    with pytest.raises(Changed):
        here.waves.judged(read, {"b.test": "worse"})
    assert here.wave().fates == {}


def test_who_is_taken_out_of_a_wave_is_not_cut_over_by_its_word(here: Standing) -> None:
    bring(here, WaveState.CUTTING_OVER)
    here.look()
    assert all(move.cutover for move in here.of("b.test"))
    put(here, w1=("a.test",), take_out=("b.test",))
    assert not any(move.cutover for move in here.of("b.test"))
    assert all(move.cutover for move in here.of("a.test"))


def test_a_domain_that_is_about_to_go_back_stays(tmp_path: Path) -> None:
    here = Standing(tmp_path / "other", clock=ManualClock(MONDAY), on_breach="rollback-domain")
    bring(here, WaveState.BAKING)
    here.waves.judged(here.wave(), {"b.test": "worse"})
    with pytest.raises(InvalidInput, match="about to be sent back"):
        put(here, w1=("a.test",), take_out=("b.test",))
    here.close()


def test_a_bug_in_one_wave_keeps_no_other_waiting(here: Standing, monkeypatch: pytest.MonkeyPatch) -> None:
    here.waves.start("w1", "anna")
    here.waves.start("w2", "anna")

    def broken(site: Site) -> None:
        if site.wave.name == "w1":
            raise ZeroDivisionError
        attend(site)

    monkeypatch.setattr(runner, "attend", broken)
    here.look()
    assert here.plan_of("c.test") == "running"
