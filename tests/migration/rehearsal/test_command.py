"""`mailplat migrate rehearse`, as people type it."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from mailplat.app.cli import main
from mailplat.core.route import RouteState
from tests.dovecot import Dovecot
from tests.migration.house import DOMAIN, House, client, letter

pytestmark = pytest.mark.interop


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MAILPLAT_MIGRATION__REHEARSAL", '{"pause": 0}')
    monkeypatch.setenv("MAILPLAT_CONFIG", str(tmp_path / "house" / "mailplat.toml"))


async def made(dovecot: Dovecot, user: str, house: Callable[..., House]) -> House:
    with client(dovecot, user) as imap:
        for number in range(3):
            imap.append("INBOX", letter(number))
    here = house(user)
    here.plan()
    async with here.engine():
        await here.reach(RouteState.READY)
    return here


@pytest.fixture
async def here(dovecot: Dovecot, user: str, house: Callable[..., House]) -> House:
    return await made(dovecot, user, house)


def test_nobody_would_notice(here: House, user: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["migrate", "rehearse", DOMAIN]) == 0
    head, *rows, last = capsys.readouterr().out.splitlines()
    assert head.split() == ["ADDRESS", "NOTICED", "MAILBOX", "COMMAND", "KEY", "LEGACY", "HERE", "WHY"]
    assert {row.split()[1] for row in rows} <= {"no", "perhaps"}
    assert last.startswith(f"{user}: ")
    assert last.endswith("; a client would notice 0")


def test_what_would_be_noticed_ends_with_1(
    here: House, user: str, capsys: pytest.CaptureFixture[str]
) -> None:
    move = here.move(user)
    shard = here.platform.settings.store.shards[move.shard].path
    with sqlite3.connect(shard / "index.db") as index:
        mine = "(SELECT id FROM mailbox WHERE account_id = ? AND name = 'INBOX')"
        index.execute(
            f"UPDATE message SET internaldate = 0 WHERE uid = 2 AND mailbox_id = {mine}", (move.account_id,)
        )
    index.close()
    assert main(["migrate", "rehearse", DOMAIN, "--account", user, "--json"]) == 1
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["address"], found["noticed"], found["not_compared"]) == (user, "yes", [])
    (date,) = (each for each in found["differences"] if "INTERNALDATE" in each["command"])
    assert (date["mailbox"], date["key"], date["here"]) == ("INBOX", "2", "(0 0)")
    assert date["why"] == "another date: clients sort by it"


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["nowhere.test"], 3, "there is no plan for nowhere.test"),
        ([DOMAIN, "--account", "nobody@moving.test"], 3, "nobody@moving.test is not in the plan"),
        ([DOMAIN], 2, "no account is ready: legacy"),
    ],
)
def test_what_cannot_be_rehearsed(
    dovecot: Dovecot,
    user: str,
    house: Callable[..., House],
    words: list[str],
    status: int,
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    house(user).plan()
    assert main(["migrate", "rehearse", *words]) == status
    assert said in capsys.readouterr().err
