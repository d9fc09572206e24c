"""The live table, as a terminal of a fixed size shows it."""

import dataclasses
import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from mailplat.core.route import BackendHome, Route, RouteState
from migration.cli.display import render, summary
from migration.ledger import QUIET_ROUNDS, RUNNING, Move

HALT = "3900 of 4000 messages are gone at the source: INBOX (3900). If that is right: mailplat migrate resume x.test"


def move(name: str, state: RouteState, copied: int, total: int, **changes: object) -> Move:
    values: dict[str, object] = {
        each.name: each.type()  # type: ignore[operator]  # int, str, bool, float: their zero
        for each in dataclasses.fields(Move)
        if each.name != "route"
    }
    values |= {"address": f"{name}@x.test", "domain": "x.test", "plan": RUNNING, "password_known": True}
    values |= {"copied": copied, "total": total, "rounds": 3, **changes}
    return Move(route=Route(1, BackendHome("old"), 4, state, 1.0), **values)  # type: ignore[arg-type]


def shown(moves: list[Move], width: int = 80, height: int = 24) -> list[str]:
    console = Console(width=width, height=height, color_system=None, record=True, file=io.StringIO())
    console.print(render(moves, width, height))
    return console.export_text().splitlines()


def test_one_line_an_account_and_remarks_below() -> None:
    lines = shown(
        [
            move("bob", RouteState.SEEDING, 12_000, 48_000),
            move("ada", RouteState.READY, 88, 88),
            move("eve", RouteState.TRACKING, 88, 88, password_known=False, quiet=QUIET_ROUNDS),
            move("dave", RouteState.TRACKING, 100, 4000, halted=HALT),
            move("empty", RouteState.LEGACY, 0, 0, rounds=0),
        ]
    )
    assert [line.rstrip() for line in lines] == [
        "x.test, 5 accounts: 1 legacy, 1 ready, 1 seeding, 2 tracking; 12276 of 52176",
        "messages; 1 halted",
        "━━━━━━━━━━━━━━━━━━──────────────────────────────────────────────────────────────",
        "account                        state            messages                  rounds",
        "dave                           tracking       100 / 4000  ──────────────       3",
        "    HALTED: 3900 of 4000 messages are gone at the source: INBOX (3900). If that",
        "    is right: mailplat migrate resume x.test",
        "eve                            tracking          88 / 88  ━━━━━━━━━━━━━━       3",
        "    waits for its password: the owner's next login brings it, or `account",
        "    passwd`",
        "bob                            seeding     12000 / 48000  ━━━───────────       3",
        "ada                            ready             88 / 88  ━━━━━━━━━━━━━━       3",
        "empty                          legacy              0 / 0  ──────────────       0",
    ]


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize("height", [10, 24, 50])
def test_a_thousand_accounts_fit_the_screen(width: int, height: int) -> None:
    moves = [move(f"user{number:04}", RouteState.SEEDING, number, 1000) for number in range(1000)]
    moves += [move("late", RouteState.TRACKING, 1, 1, halted=HALT * 3), move("空の", RouteState.NEW, 5, 5)]
    lines = shown(moves, width, height)
    assert len(lines) <= height
    assert max(map(cell_len, lines)) <= width
    assert sum("HALTED" in line for line in lines) == 1
    assert lines[-1].startswith("... and ")
    assert "seeding" in lines[-1]


def test_several_domains_are_told_apart_and_long_names_cut() -> None:
    long = "catherine.de.la.fontaine.et.de.la.tour"
    other = dataclasses.replace(move("bob", RouteState.NEW, 1, 1), address="bob@y.test", domain="y.test")
    lines = shown([move(long, RouteState.READY, 1, 1), other])
    assert lines[0].startswith("2 accounts: 1 new, 1 ready")
    assert lines[3].startswith("catherine.de.la.fontaine.et.…  ready")
    assert lines[4].startswith("bob@y.test ")


def test_what_a_server_said_is_nothing_to_obey() -> None:
    lines = shown([move("bob", RouteState.TRACKING, 1, 1, note="the source said \x1b]0;owned\x07\x1b[2J")])
    assert lines[-1].rstrip() == "    the source said �]0;owned��[2J"


def test_a_summary_counts() -> None:
    assert summary([move("bob", RouteState.NEW, 3, 3)]) == "1 account: 1 new; 3 of 3 messages"
