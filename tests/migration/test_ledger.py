from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from mailplat.core.clock import SystemClock
from mailplat.core.errors import InvalidInput, NotFound, StaleEpoch
from mailplat.core.route import BackendHome, RouteState
from mailplat.directory import Backend
from migration import tables
from migration.book import Round, Watermark
from migration.ledger import PAUSED, PLANNED, RUNNING
from migration.sources.contract import Status
from tests.migration.house import DOMAIN, House

USERS = [f"u{number}@{DOMAIN}" for number in range(4)]


@pytest.fixture
def here(tmp_path: Path) -> Iterator[House]:
    opened = House(tmp_path, Backend("old", imap="127.0.0.1:1"), USERS)
    yield opened
    opened.close()


def test_tables_are_those_of_the_revision(here: House) -> None:
    found = sa.inspect(here.platform.database.engine)
    for table in tables.metadata.sorted_tables:
        columns = {each["name"]: each for each in found.get_columns(table.name)}
        assert columns.keys() == {each.name for each in table.columns}
        for column in table.columns:
            there = columns[column.name]
            assert bool(there["nullable"]) == bool(column.nullable), (table.name, column.name)
            assert str(there["type"]) == column.type.compile(here.platform.database.engine.dialect)


def test_a_plan_spreads_accounts_and_can_be_made_again(here: House) -> None:
    moves = here.ledger.plan(DOMAIN, ["s1", "s2"])
    assert sorted(move.shard for move in moves) == ["s1", "s1", "s2", "s2"]
    assert here.ledger.plan(DOMAIN, ["s1", "s2"]) == moves
    assert {move.plan for move in moves} == {PLANNED}
    assert here.ledger.due() == []


def test_states_of_a_plan(here: House) -> None:
    with pytest.raises(NotFound):
        here.ledger.set_plan(DOMAIN, RUNNING, expected={PLANNED})
    here.ledger.plan(DOMAIN, ["s1"])
    here.ledger.set_plan(DOMAIN, RUNNING, expected={PLANNED})
    assert len(here.ledger.due()) == 4
    here.ledger.set_plan(DOMAIN, PAUSED, expected={RUNNING})
    assert here.ledger.due() == []
    with pytest.raises(InvalidInput):
        here.ledger.set_plan(DOMAIN, RUNNING, expected={PLANNED})


def test_a_fence_is_due_whatever_the_plan_says(here: House) -> None:
    move = here.ledger.plan(DOMAIN, ["s1"])[0]
    route = move.route
    for state in (RouteState.SEEDING, RouteState.TRACKING, RouteState.FENCED):
        route = here.ledger.advance(route, state, fence_deadline=1.0)
    assert [each.account_id for each in here.ledger.due()] == [move.account_id]


def test_a_step_and_its_row_are_one(here: House) -> None:
    move = here.ledger.plan(DOMAIN, ["s1"])[0]
    here.ledger.advance(move.route, RouteState.SEEDING, began=5.0)
    with pytest.raises(StaleEpoch):
        here.ledger.advance(move.route, RouteState.SEEDING, began=6.0)
    assert here.ledger.find_move(move.account_id).began == 5.0


def test_halts_stop_and_a_cutover_passes_them_by(here: House) -> None:
    here.ledger.plan(DOMAIN, ["s1"])
    here.ledger.set_plan(DOMAIN, RUNNING, expected={PLANNED})
    first = here.accounts[USERS[0]].id
    here.ledger.set(first, halted="look at this")
    assert first not in {move.account_id for move in here.ledger.due()}
    assert here.ledger.request_cutover(DOMAIN) == 3
    assert not here.ledger.find_move(first).cutover
    here.ledger.clear_halts(DOMAIN, deletions=7)
    assert here.ledger.find_move(first).deletions_allowed == 7


def test_watermarks_follow_a_rename_with_all_below(here: House) -> None:
    account = here.ledger.plan(DOMAIN, ["s1"])[0].account_id
    marks = [Watermark(name, name.encode(), Status(1, 2, 3, None)) for name in ("a", "a/b", "ab")]
    here.ledger.put_watermarks(account, marks)
    here.ledger.put_watermarks(account, [Watermark("ab", b"ab", Status(1, 9, 3, 4))])
    here.ledger.rename_watermarks(account, "a", "z")
    found = here.ledger.watermarks(account)
    assert set(found) == {"z", "z/b", "ab"}
    assert found["ab"].status == Status(1, 9, 3, 4)


def test_rounds_are_numbered_and_summed(here: House) -> None:
    account = here.ledger.plan(DOMAIN, ["s1"])[0].account_id
    for octets in (10, 20):
        here.ledger.record(account, Round("delta", SystemClock().now(), added=1, octets=octets))
    move = here.ledger.find_move(account)
    assert (move.rounds, move.octets) == (2, 30)
    assert [each.octets for each in here.ledger.rounds(account)] == [10, 20]


def test_an_account_that_is_removed_takes_its_move_with_it(here: House) -> None:
    here.ledger.plan(DOMAIN, ["s1"])
    account = here.accounts[USERS[0]]
    here.ledger.put_watermarks(account.id, [Watermark("INBOX", b"INBOX", Status(1, 1, 0, 1))])
    here.platform.directory.remove_account(account.address)
    assert len(here.ledger.moves(DOMAIN)) == 3
    assert all(move.route.home == BackendHome("old") for move in here.ledger.moves(DOMAIN))


def test_an_engine_whose_move_was_taken_over_writes_nothing(here: House) -> None:
    here.ledger.plan(DOMAIN, ["s1"])
    account = here.accounts[USERS[0]].id
    route = here.ledger.advance(here.ledger.route(account), RouteState.SEEDING)
    slow = here.ledger.bound(account, lambda: route.epoch)
    slow.put_watermarks(account, [Watermark("INBOX", b"INBOX", Status(1, 5, 4, None))])
    taken = here.ledger.advance(route, RouteState.SEEDING)
    assert (taken.epoch, taken.home) == (route.epoch + 1, BackendHome("old"))
    fast = here.ledger.bound(account, lambda: taken.epoch)
    fast.put_watermarks(account, [Watermark("INBOX", b"INBOX", Status(1, 9, 8, None))])
    for write in (
        lambda: slow.put_watermarks(account, [Watermark("INBOX", b"INBOX", Status(1, 6, 5, None))]),
        lambda: slow.drop_watermark(account, "INBOX"),
        lambda: slow.rename_watermarks(account, "INBOX", "Old"),
        lambda: slow.record(account, Round("delta", 1.0)),
        lambda: slow.set(account, copied=1),
        lambda: slow.advance(route, RouteState.TRACKING),
    ):
        with pytest.raises(StaleEpoch):
            write()
    assert here.ledger.watermarks(account)["INBOX"].status.uidnext == 9
    assert (here.ledger.rounds(account), here.ledger.find_move(account).copied) == ([], 0)
