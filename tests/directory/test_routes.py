"""The route rows: one step at a time, one winner, never after the deadline."""

import threading
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailplat.core.clock import ManualClock
from mailplat.core.errors import NotFound, StaleEpoch
from mailplat.core.route import (
    TRANSITIONS,
    BackendHome,
    Door,
    IllegalTransition,
    Route,
    RouteState,
    ShardHome,
)
from mailplat.db.engine import Database
from mailplat.directory import Directory, routes
from tests.directory.conftest import add, address

FENCE_S = 30.0


def fenced(directory: Directory, clock: ManualClock, name: str = "anna") -> Route:
    route = directory.route(add(directory, name, "legacy").id)
    for state in (RouteState.SEEDING, RouteState.TRACKING):
        route = directory.advance(route, state)
    return directory.advance(route, RouteState.FENCED, fence_deadline=clock.now() + FENCE_S)


def test_a_whole_move_and_its_way_back(directory: Directory, clock: ManualClock) -> None:
    route = fenced(directory, clock)
    assert (route.epoch, route.home) == (4, BackendHome("legacy"))
    assert directory.route(route.account_id) == route
    route = directory.advance(route, RouteState.NEW, home=ShardHome("s2"))
    assert (
        directory.route(route.account_id)
        == route
        == Route(route.account_id, ShardHome("s2"), 5, RouteState.NEW)
    )
    route = directory.advance(route, RouteState.ROLLBACK_FENCED, fence_deadline=clock.now() + FENCE_S)
    route = directory.advance(route, RouteState.LEGACY, home=BackendHome("legacy"))
    assert directory.route(route.account_id) == Route(
        route.account_id, BackendHome("legacy"), 7, RouteState.LEGACY
    )


@pytest.mark.parametrize("living", [RouteState.FINAL, RouteState.NEW])
def test_between_shards_a_commit_is_in_time_and_a_fence_is_always_taken_back(
    directory: Directory, clock: ManualClock, living: RouteState
) -> None:
    """Only the home tells the two apart."""
    route = directory.route(add(directory, "anna").id)
    old = route.home
    assert old == ShardHome("s1")
    if living is RouteState.NEW:
        route = directory.advance(route, RouteState.FENCED, fence_deadline=clock.now() + FENCE_S)
        route = directory.advance(route, RouteState.NEW)
    late = directory.advance(route, RouteState.SHARD_FENCED, fence_deadline=clock.now() + FENCE_S)
    assert late.door is Door.HOLD
    clock.advance(FENCE_S)
    with pytest.raises(StaleEpoch):
        directory.advance(late, living, home=ShardHome("s2"))
    route = directory.advance(late, living)
    assert (route.home, route.door) == (old, Door.SERVE)
    fence = directory.advance(route, RouteState.SHARD_FENCED, fence_deadline=clock.now() + FENCE_S)
    route = directory.advance(fence, living, home=ShardHome("s2"))
    assert (route.home, route.state, route.epoch) == (ShardHome("s2"), living, late.epoch + 3)
    with pytest.raises(StaleEpoch):
        directory.advance(fence, living)


def test_a_step_that_the_table_does_not_have(directory: Directory) -> None:
    route = directory.route(add(directory, "anna", "legacy").id)
    with pytest.raises(IllegalTransition):
        directory.advance(route, RouteState.NEW, home=ShardHome("s1"))
    assert directory.route(route.account_id) == route


def test_who_comes_late_changes_nothing(directory: Directory) -> None:
    old = directory.route(add(directory, "anna", "legacy").id)
    new = directory.advance(old, RouteState.SEEDING)
    with pytest.raises(StaleEpoch):
        directory.advance(old, RouteState.SEEDING)
    forged = Route(old.account_id, old.home, new.epoch, RouteState.TRACKING)  # right epoch, wrong state
    with pytest.raises(StaleEpoch):
        directory.advance(forged, RouteState.READY)
    assert directory.route(old.account_id) == new


def test_a_removed_account_has_no_route_to_advance(directory: Directory) -> None:
    route = directory.route(add(directory, "anna", "legacy").id)
    directory.remove_account(address("anna"))
    with pytest.raises(StaleEpoch):
        directory.advance(route, RouteState.SEEDING)
    with pytest.raises(NotFound):
        directory.route(route.account_id)


@pytest.mark.parametrize("late", [0.0, 1.0])
def test_no_commit_at_or_after_the_deadline(directory: Directory, clock: ManualClock, late: float) -> None:
    route = fenced(directory, clock)
    clock.advance(FENCE_S + late)
    with pytest.raises(StaleEpoch, match="deadline"):
        directory.advance(route, RouteState.NEW, home=ShardHome("s1"))
    back = directory.advance(route, RouteState.TRACKING)  # the way out is always open
    assert (back.home, back.fence_deadline) == (BackendHome("legacy"), 0.0)


def test_the_rows_deadline_counts_and_not_the_callers(directory: Directory, clock: ManualClock) -> None:
    route = fenced(directory, clock)
    clock.advance(FENCE_S)
    hopeful = Route(route.account_id, route.home, route.epoch, route.state, clock.now() + 1000)
    with pytest.raises(StaleEpoch):
        directory.advance(hopeful, RouteState.NEW, home=ShardHome("s1"))


def test_no_way_back_after_the_deadline_either(directory: Directory, clock: ManualClock) -> None:
    route = directory.advance(fenced(directory, clock), RouteState.NEW, home=ShardHome("s1"))
    route = directory.advance(route, RouteState.ROLLBACK_FENCED, fence_deadline=clock.now() + FENCE_S)
    clock.advance(FENCE_S)
    with pytest.raises(StaleEpoch):
        directory.advance(route, RouteState.LEGACY, home=BackendHome("legacy"))
    assert directory.advance(route, RouteState.NEW).home == ShardHome("s1")


def test_changes_are_numbered_in_their_order(directory: Directory, database: Database) -> None:
    first, second = add(directory, "anna", "legacy"), add(directory, "bert", "legacy")
    with database.read() as connection:
        mark = routes.last_change(connection)
    a = directory.advance(directory.route(first.id), RouteState.SEEDING)
    b = directory.advance(directory.route(second.id), RouteState.SEEDING)
    a = directory.advance(a, RouteState.TRACKING)
    with database.read() as connection:
        assert routes.changed_since(connection, mark) == [b, a]
        assert routes.change_of(connection, a.account_id) == routes.last_change(connection) == mark + 3
        assert routes.changed_since(connection, mark + 3) == []
        with pytest.raises(NotFound):
            routes.change_of(connection, 10**6)


def race(*works: Callable[[], object]) -> list[object]:
    """Each in a thread of its own, all at once; results or exceptions."""
    together = threading.Barrier(len(works))
    outcomes: list[object] = [None] * len(works)

    def run(index: int, work: Callable[[], object]) -> None:
        together.wait()
        try:
            outcomes[index] = work()
        except StaleEpoch as error:
            outcomes[index] = error

    threads = [threading.Thread(target=run, args=item) for item in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def test_of_two_who_race_exactly_one_wins(directory: Directory, clock: ManualClock) -> None:
    """Commit against abort, twenty times."""
    for number in range(20):
        route = fenced(directory, clock, f"user{number}")
        outcomes = race(
            lambda route=route: directory.advance(route, RouteState.NEW, home=ShardHome("s1")),
            lambda route=route: directory.advance(route, RouteState.TRACKING),
        )
        winners = [outcome for outcome in outcomes if isinstance(outcome, Route)]
        assert len(winners) == 1, outcomes
        assert directory.route(route.account_id) == winners[0]


def test_numbers_are_never_given_twice(directory: Directory, database: Database) -> None:
    """And never skipped by a watcher: each is visible before the next one is."""
    accounts = [add(directory, f"user{number}", "legacy") for number in range(8)]
    with database.read() as connection:
        mark = routes.last_change(connection)
    race(
        *(
            lambda account=account: directory.advance(directory.route(account.id), RouteState.SEEDING)
            for account in accounts
        )
    )
    with database.read() as connection:
        numbers = [routes.change_of(connection, account.id) for account in accounts]
    assert sorted(numbers) == list(range(mark + 1, mark + 9))


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(RouteState), st.booleans(), st.sampled_from([0.0, 10.0, 40.0])), max_size=25
    )
)
def test_random_walks_keep_the_promises(
    directory: Directory, clock: ManualClock, steps: list[tuple[RouteState, bool, float]]
) -> None:
    """Against a model: legal or not, fresh or stale, before or after the deadline."""
    if directory.login("anna@example.org"):
        directory.remove_account(address("anna"))
    model = directory.route(add(directory, "anna", "legacy").id)
    stale = None
    for state, use_stale, wait in steps:
        clock.advance(wait)
        asked = stale if use_stale and stale is not None else model
        legal = state in TRANSITIONS[asked.state]
        commits = {(RouteState.FENCED, RouteState.NEW), (RouteState.ROLLBACK_FENCED, RouteState.LEGACY)}
        late = (asked.state, state) in commits and clock.now() >= asked.fence_deadline
        is_fence = state in (RouteState.FENCED, RouteState.ROLLBACK_FENCED)
        deadline = clock.now() + FENCE_S if is_fence else 0.0
        home = {RouteState.NEW: ShardHome("s1"), RouteState.LEGACY: BackendHome("legacy")}.get(state)
        if not legal:
            with pytest.raises(IllegalTransition):
                directory.advance(asked, state, home=home, fence_deadline=deadline)
        elif late or asked is stale:
            with pytest.raises(StaleEpoch):
                directory.advance(asked, state, home=home, fence_deadline=deadline)
        else:
            stale, model = model, directory.advance(asked, state, home=home, fence_deadline=deadline)
            assert model.epoch == stale.epoch + 1
        assert directory.route(model.account_id) == model
