"""Accounts and aliases that have vanished from the legacy platform's directory."""

from pathlib import Path

import pytest

from mailplat.core.errors import NotFound
from mailplat.core.route import RouteState
from migration import tables
from migration.directory import tables as marks
from migration.directory.gone import Brake, Removal
from migration.directory.report import GONE, LEFT, REMOVED
from migration.ledger import PLANNED, RUNNING, Ledger
from tests.migration.directory.house import DOMAIN, OTHER, SECRET, House

PASSWD = 'format = "dovecot-passwd-file"\nfile = "users"'
VIRTUAL = 'format = "postfix-virtual"\nfile = "virtual"'


def users(*names: str) -> str:
    return "".join(f"{name}@{DOMAIN}:{SECRET}\n" for name in names)


def numbered(count: int) -> list[str]:
    return [f"u{number:03}" for number in range(count)]


@pytest.fixture
def description(here: House) -> Path:
    """Forty accounts and an alias, taken over."""
    here.write("users", users(*numbered(40)))
    here.write("virtual", f"team@{DOMAIN} u000@{DOMAIN}\n")
    path = here.describe(PASSWD, VIRTUAL)
    here.take_over(path)
    return path


def plan(here: House) -> Ledger:
    ledger = Ledger(here.platform.database, here.platform.clock)
    ledger.plan(DOMAIN, ["s1"])
    ledger.set_plan(DOMAIN, RUNNING, expected={PLANNED})
    return ledger


def step(here: House, name: str, *states: RouteState) -> None:
    route = here.directory.route(here.account(f"{name}@{DOMAIN}").id)
    for state in states:
        deadline = here.platform.clock.now() + 30 if state is RouteState.FENCED else 0.0
        route = here.directory.advance(route, state, fence_deadline=deadline)


def test_is_told_and_removed_when_somebody_says_so(here: House, description: Path) -> None:
    here.write("users", users(*numbered(39)))
    here.write("virtual", "")
    report = here.take_over(description)
    assert (report.writes, here.told(GONE)) == (0, [f"u039@{DOMAIN}", f"team@{DOMAIN}"])
    with here.platform.database.write() as connection:
        for table in (marks.account, marks.alias):
            connection.execute(table.update().where(table.c.gone_since > 0).values(gone_since=86400.0))
    here.take_over(description)
    assert here.details(GONE).count("gone at the legacy platform since 1970-01-02 00:00 UTC") == 2
    here.take_over(description, removal=Removal(True), write=False)
    assert here.told(REMOVED) == [f"u039@{DOMAIN}", f"team@{DOMAIN}"]
    assert here.account(f"u039@{DOMAIN}").password_hash == SECRET
    here.take_over(description, removal=Removal(True))
    assert here.told(REMOVED) == [f"u039@{DOMAIN}", f"team@{DOMAIN}"]
    with pytest.raises(NotFound):
        here.account(f"u039@{DOMAIN}")
    assert here.alias(f"team@{DOMAIN}") == []
    assert [each.subject for each in here.platform.audit.entries(action="directory.remove")] == [
        f"u039@{DOMAIN}"
    ]
    here.take_over(description, removal=Removal(True))
    assert here.rows == []
    # It is there again: a new account, since nothing is remembered of it.
    here.write("users", users(*numbered(40)))
    assert here.take_over(description).figures["account added"] == 1


def test_who_comes_back_is_not_gone(here: House, description: Path) -> None:
    here.write("users", users(*numbered(39)))
    here.take_over(description)
    here.write("users", users(*numbered(40)))
    here.take_over(description)
    assert here.rows == []
    with here.platform.database.read() as connection:
        since = connection.execute(
            marks.account.select().where(marks.account.c.key == f"u039@{DOMAIN}")
        ).one()
    assert (since.gone_since, since.halted) == (0.0, False)


def test_more_than_a_twentieth_needs_a_number(here: House, description: Path) -> None:
    here.write("users", users(*numbered(37)).replace(SECRET, OTHER, 1))
    with pytest.raises(
        Brake, match=r"3 of the 41 accounts and aliases .* nothing was removed.* --remove-gone 3"
    ):
        here.take_over(description, removal=Removal(True))
    assert here.account(f"u000@{DOMAIN}").password_hash == OTHER, "all else is done"
    with pytest.raises(Brake):
        here.take_over(description, removal=Removal(True, 2))
    assert len(here.directory.accounts()) == 40
    here.take_over(description, removal=Removal(True, 3))
    assert len(here.directory.accounts()) == 37


def test_an_empty_source_is_doubted(here: House, description: Path) -> None:
    """A disk that is not mounted there: no move is halted because of it."""
    ledger = plan(here)
    here.write("users", "")
    here.take_over(description)
    assert len(here.told(GONE)) == 40
    assert "40 of 41 accounts and aliases that came from it are gone" in here.details(LEFT)
    assert not [move.halted for move in ledger.moves(DOMAIN) if move.halted]
    here.take_over(description, removal=Removal(True, 40))
    assert here.directory.accounts() == []


@pytest.mark.parametrize(("left", "doubted"), [(0, True), (1, False)])
def test_a_small_directory_that_is_empty_is_doubted_too(
    here: House, description: Path, left: int, doubted: bool
) -> None:
    here.write("users", users(*numbered(3)))
    here.take_over(description, removal=Removal(True, 40))
    ledger = Ledger(here.platform.database, here.platform.clock)
    ledger.plan(DOMAIN, ["s1"])
    here.write("users", users(*numbered(left)))
    here.take_over(description)
    halted = [move for move in ledger.moves(DOMAIN) if move.halted]
    assert (len(halted), len(here.told(GONE))) == (0 if doubted else 2, 3 - left)


def test_a_move_under_way_is_halted_once(here: House, description: Path) -> None:
    ledger = plan(here)
    step(here, "u039", RouteState.SEEDING, RouteState.TRACKING, RouteState.READY)
    step(here, "u038", RouteState.SEEDING, RouteState.TRACKING, RouteState.FENCED)
    ledger.request_cutover(DOMAIN)
    here.write("users", users(*numbered(37)))
    here.take_over(description)
    halted = {move.address: move for move in ledger.moves(DOMAIN) if move.halted}
    assert sorted(halted) == [f"u037@{DOMAIN}", f"u039@{DOMAIN}"], "not in a fence"
    move = halted[f"u039@{DOMAIN}"]
    assert move.halted.startswith("gone in the directory of the legacy platform since 20")
    assert f"mailplat migrate resume {DOMAIN}" in move.halted
    assert not move.cutover
    here.take_over(description, removal=Removal(True, 3))
    assert here.told(REMOVED) == [f"u037@{DOMAIN}"], "the others are on their way"
    assert here.details(LEFT).count("its move has begun") == 2
    ledger.clear_halts(DOMAIN)
    here.take_over(description)
    assert not [move.address for move in ledger.moves(DOMAIN) if move.halted], "a person has said so"
    step(here, "u038")
    route = here.directory.route(here.account(f"u038@{DOMAIN}").id)
    here.directory.advance(route, RouteState.TRACKING)
    here.take_over(description)
    assert [move.address for move in ledger.moves(DOMAIN) if move.halted] == [f"u038@{DOMAIN}"]


def test_who_is_planned_after_he_has_gone_is_halted_too(here: House, description: Path) -> None:
    here.write("users", users(*numbered(39)))
    here.take_over(description)
    ledger = plan(here)
    here.take_over(description)
    assert [move.address for move in ledger.moves(DOMAIN) if move.halted] == [f"u039@{DOMAIN}"]


def test_who_has_moved_is_not_asked_for(here: House, description: Path) -> None:
    here.settle(f"u039@{DOMAIN}")
    here.write("users", users(*numbered(39)))
    here.take_over(description, removal=Removal(True))
    assert here.rows == []
    assert here.account(f"u039@{DOMAIN}").password_hash == SECRET


def test_a_rolled_back_account_is_removed_by_hand_only(here: House, description: Path) -> None:
    """What its vault has is to be told its address (`account remove`)."""
    plan(here)
    number = here.account(f"u039@{DOMAIN}").id
    with here.platform.database.write() as connection:
        move = tables.move.c.account_id == number
        connection.execute(tables.move.update().where(move).values(began=1.0, rolled_back=2.0, released=True))
    here.write("users", users(*numbered(39)))
    here.take_over(description, removal=Removal(True))
    assert (here.told(REMOVED), here.told(LEFT)) == ([], [f"u039@{DOMAIN}"])


def test_an_alias_that_was_changed_here_stays(here: House, description: Path) -> None:
    here.directory.remove_alias(f"team@{DOMAIN}")
    here.directory.add_alias(f"team@{DOMAIN}", [here.account(f"u001@{DOMAIN}").address])
    here.write("virtual", "")
    here.take_over(description, removal=Removal(True))
    assert here.rows == []
    assert here.alias(f"team@{DOMAIN}") == [f"u001@{DOMAIN}"]


def test_who_is_there_again_goes_on(here: House, description: Path) -> None:
    """A file that was written by halves, a database that was restored: nobody has to say anything."""
    ledger = plan(here)
    step(here, "u038", RouteState.SEEDING)
    step(here, "u039", RouteState.SEEDING)
    here.write("users", users(*numbered(38)))
    here.take_over(description)
    assert [move.address for move in ledger.moves(DOMAIN) if move.halted] == [
        f"u038@{DOMAIN}",
        f"u039@{DOMAIN}",
    ]
    ledger.set(here.account(f"u038@{DOMAIN}").id, halted="for another reason by now")
    here.write("users", users(*numbered(40)))
    here.take_over(description)
    assert [move.halted for move in ledger.moves(DOMAIN) if move.halted] == ["for another reason by now"]
    here.write("users", users(*numbered(38)))
    here.take_over(description)
    assert [move.address for move in ledger.moves(DOMAIN) if move.halted] == [
        f"u038@{DOMAIN}",
        f"u039@{DOMAIN}",
    ]
    assert here.account(f"u039@{DOMAIN}").active, "nothing else of it has changed"
