"""A wave with more domains than one statement takes parameters (SQLite: 32,766)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mailplat.directory import tables as directory
from migration.plan.applying import apply
from migration.plan.document import PlanTerms, WaveTerms
from migration.plan.states import WaveState
from tests.migration.waves.rows import Standing

COUNT = 33_000


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Standing]:
    found = Standing(tmp_path / "house")
    names = [f"many{number}.test" for number in range(COUNT)]
    with found.platform.database.write() as connection:
        some = connection.execute(directory.domain.select().limit(1)).mappings().one()
        connection.execute(directory.domain.insert(), [{**some, "name": name} for name in names])
    waves = [
        found.wave("w1").terms.model_copy(update={"domains": ["a.test", *names]}),
        found.wave("w2").terms,
    ]
    apply(found.platform.database, found.platform.clock, PlanTerms(plan="old", wave=waves), "anna")
    yield found
    found.close()


def test_from_its_start_to_its_end(here: Standing) -> None:
    here.waves.start("w1", "anna")
    here.waves.approve("w1", "anna", "ok")
    here.look()
    assert here.plan_of("a.test") == "running"
    here.waves.pause("w1", "anna")
    assert here.plan_of("a.test") == "paused"
    here.waves.resume("w1", "anna")
    here.copy("a.test")
    here.look(4)
    assert here.state() is WaveState.CUTTING_OVER
    assert all(move.cutover for move in here.of("a.test"))
    here.waves.withdraw(here.wave())
    assert not any(move.cutover for move in here.of("a.test"))
    here.look()
    here.cut_over("a.test")
    here.look()
    assert here.state() is WaveState.BAKING


def test_all_of_them_leave_the_plan(here: Standing) -> None:
    left = WaveTerms(**{**here.wave("w1").terms.model_dump(), "domains": ["a.test"]})
    plan = PlanTerms(plan="old", wave=[left, here.wave("w2").terms])
    assert len(apply(here.platform.database, here.platform.clock, plan, "anna")) >= COUNT
    assert here.wave("w1").terms.domains == ["a.test"]
