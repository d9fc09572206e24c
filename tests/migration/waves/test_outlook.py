"""When a wave is ready, cut over and done."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mailplat.core.clock import ManualClock
from migration.census import tables as census
from migration.census.facts import Facts
from migration.plan.document import LimitTerms, WindowTerms
from migration.plan.states import WaveState
from migration.waves.outlook import Outlook, outlook
from migration.waves.standing import standing
from tests.migration.waves.rows import Standing
from tests.migration.waves.test_stages import DAY_S, MONDAY, bring

SETTINGS = LimitTerms(connections=4, latency=0.1)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Standing]:
    window = WindowTerms(days=["tue"], opens="02:00", closes="04:00")
    made = Standing(tmp_path / "house", clock=ManualClock(MONDAY), window=window)
    yield made
    made.close()


def seen(here: Standing) -> Outlook:
    wave = here.wave()
    found = standing(wave, [move for domain in wave.terms.domains for move in here.of(domain)])
    return outlook(here.platform.database, wave, found, here.platform.clock.now(), SETTINGS)


def test_it_comes_nearer_with_what_is_copied(here: Standing) -> None:
    assert seen(here) == Outlook(None, None, None), "it has not begun"
    here.waves.start("w1", "anna")
    here.look()
    facts = Facts(messages=1_000_000, octets=20_000_000_000)
    with here.platform.database.write() as connection:
        for move in here.of("a.test"):
            connection.execute(
                census.account.insert().values(
                    account_id=move.account_id, backend="old", at=1.0, facts=facts.to_json(), trouble=""
                )
            )
    first = seen(here)
    assert first.ready is not None
    low, expected, high = first.ready
    assert MONDAY < low < expected < high
    assert first.cutover == MONDAY + 16 * 3600.0, "in its window"
    assert first.done is not None
    assert first.done == pytest.approx(first.cutover + DAY_S, abs=10)
    for move in here.of("a.test"):
        here.moves.set(move.account_id, total=1_000_000, copied=900_000)
    nearer = seen(here).ready
    assert nearer is not None
    assert nearer[1] - MONDAY < 0.2 * (expected - MONDAY)
    here.copy("a.test")
    here.copy("b.test")
    here.look()
    assert seen(here).ready is None


def test_a_wave_that_bakes_is_done_when_its_time_is_over(here: Standing) -> None:
    here.clock.advance(17 * 3600.0)
    bring(here, WaveState.BAKING)
    assert seen(here) == Outlook(None, None, here.platform.clock.now() + DAY_S)
