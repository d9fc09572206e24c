"""Sieve scripts move with their account, forward and back, and the certificate says that they do not run."""

import asyncio
import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from mailplat.app.cli import main
from mailplat.core.route import RouteState
from mailplat.directory.tables import route_watcher
from mailplat.sieve import scripts
from mailplat.sieve.scripts import Scripts, ScriptStore
from migration.beside import carrier, kept
from migration.beside.findings import findings, members
from migration.certificate import page, signing
from migration.certificate.issue import sign
from tests.dovecot import Dovecot
from tests.migration.beside.house import KEEP, ODD, scripts_there, write_scripts
from tests.migration.engines import Engines
from tests.migration.house import DOMAIN, House, client, letter
from tests.migration.way_back import move_here, roll_back, until_back
from tests.until import until

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

DOES_NOT_RUN = "Sieve script 'main' is stored and does not run yet"


def here(house: House, user: str) -> Scripts:
    with house.platform.database.read() as connection:
        return scripts.read(connection, house.accounts[user].id)


def texts(house: House, user: str) -> list[tuple[str, str]]:
    found = findings(house.platform.database, house.accounts[user].id, house.move(user).moved)
    return sorted((grade.label, text) for grade, text in found)


def store(house: House) -> ScriptStore:
    return ScriptStore(house.platform.database, house.platform.clock)


@pytest.fixture
def user(legacy: Dovecot, users: Callable[[], str]) -> str:
    name = users()
    with client(legacy, name) as imap:
        imap.append("INBOX", letter(1))
    return name


async def test_there_and_back(
    legacy: Dovecot,
    user: str,
    open_house: Callable[..., House],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    await write_scripts(legacy, user, {"main": KEEP, "odd": ODD, "old": b"stop;\r\n"}, "odd")
    house = open_house(user)
    house.plan()
    async with house.engine():
        await house.reach(RouteState.READY)
        assert here(house, user) == await scripts_there(legacy, user)
        # What is changed there until the fence comes too.
        await write_scripts(legacy, user, {"late": b"keep;\r\n"}, "main", "old")
        monkeypatch.setenv("MAILPLAT_CONFIG", str(tmp_path / "house" / "mailplat.toml"))
        assert await asyncio.to_thread(main, ["migrate", "cutover", DOMAIN]) == 0
        said = capsys.readouterr().err
        assert "do not run yet" in said
        assert user in said
        await until(lambda: house.move(user).released)
    then = Scripts({"main": KEEP, "odd": ODD, "late": b"keep;\r\n"}, "main")
    assert here(house, user) == then
    number = house.accounts[user].id
    assert texts(house, user) == [("Investigate", DOES_NOT_RUN)]
    certified = members(house.platform.database, number)["scripts"]
    assert [each["name"] for each in certified["scripts"]] == ["late", "main", "odd"]
    assert (certified["active"], certified["source"], certified["unread"]) == ("main", "managesieve", "")
    signed = sign(house.platform, DOMAIN, "a test")
    (account,) = signed["certificate"]["accounts"]
    assert account["scripts"] == certified
    assert account["shared"] == {"source": "imap", "unread": "", "mailboxes": [], "left": []}
    assert DOES_NOT_RUN in [each["text"] for each in account["findings"]]
    assert "3, active: main, from managesieve" in page.render(signed)
    signing.check(json.dumps(signed).encode(), signing.private_key(house.platform.database).public_key())

    # Since the cutover, here and there.
    store(house).put(number, "main", b"discard;\r\n")
    store(house).put(number, "new", ODD)
    store(house).activate(number, "new")
    store(house).remove(number, "late")
    store(house).rename(number, "odd", "strange")
    assert ("Good", "Sieve script 'main' was changed here since the commit") in texts(house, user)
    await write_scripts(legacy, user, {"theirs": b"keep;\r\n"})
    assert await asyncio.to_thread(main, ["migrate", "backend", "check", "old", "--account", user]) == 0
    assert f"{user}: 4 scripts; active: main" in capsys.readouterr().out
    assert await asyncio.to_thread(main, ["migrate", "rollback", DOMAIN, "--dry-run", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["scripts"], row["rights"]) == (5, 0), "main, new, strange; odd, late"
    roll_back(house)
    async with house.engine():
        await until_back(house, user)
    assert await scripts_there(legacy, user) == Scripts(
        {"main": b"discard;\r\n", "new": ODD, "strange": ODD, "theirs": b"keep;\r\n"}, "new"
    )
    assert here(house, user) == Scripts()
    assert kept.of(house.platform.database, number) == {}
    assert house.move(user).note == ""


async def test_what_the_backend_does_not_take_stays_here(
    legacy: Dovecot, user: str, open_house: Callable[..., House]
) -> None:
    await write_scripts(legacy, user, {"main": KEEP}, "main")
    house = open_house(user)
    await move_here(house)
    number = house.accounts[user].id
    store(house).put(number, "broken", b"no such command")
    # What is active there is changed there alone.
    await write_scripts(legacy, user, {"theirs": b"stop;\r\n"}, "theirs")
    roll_back(house)
    async with house.engine():
        await until_back(house, user)
    assert "script 'broken'" in house.move(user).note
    assert store(house).get(number, "broken") == b"no such command"
    there = await scripts_there(legacy, user)
    assert there == Scripts({"main": KEEP, "theirs": b"stop;\r\n"}, "theirs")


async def test_a_server_that_does_not_answer_stops_no_move(
    legacy: Dovecot, user: str, open_house: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes connections and says nothing."""
    silent = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    monkeypatch.setattr(carrier, "FENCE_S", 0.2)
    monkeypatch.setattr(carrier, "PATIENCE_S", 0.2)
    house = open_house(user, managesieve=f"127.0.0.1:{silent.sockets[0].getsockname()[1]}")
    await move_here(house)
    assert texts(house, user) == [
        ("Investigate", "Sieve scripts could not be read inside the fence: no answer in 0.2 s")
    ]
    silent.close()


async def test_too_many_and_too_large(
    legacy: Dovecot, user: str, open_house: Callable[..., House], tmp_path: Path
) -> None:
    await write_scripts(legacy, user, {"a": KEEP, "b": KEEP, "large": b"#" * 200 + b"\r\n", "z": KEEP}, "z")
    house = open_house(user)
    config = tmp_path / "house" / "mailplat.toml"
    house.close()
    config.write_text(f"{config.read_text()}[sieve.limits]\nscripts = 2\nscript = 150\n")
    house = open_house(user)
    await move_here(house)
    assert here(house, user) == Scripts({"a": KEEP, "z": KEEP}, "z")
    assert [text for _, text in texts(house, user)] == [
        "Sieve script 'z' is stored and does not run yet",
        "Sieve scripts, not here as it was: b: an account may have 2 scripts here",
        "Sieve scripts, not here as it was: large: script 'large' has 202 octets; 150 at most",
    ]


async def test_without_a_word_of_where_they_are(
    legacy: Dovecot, user: str, open_house: Callable[..., House]
) -> None:
    await write_scripts(legacy, user, {"main": KEEP}, "main")
    house = open_house(user, managesieve="")
    await move_here(house)
    assert here(house, user) == Scripts()
    assert members(house.platform.database, house.accounts[user].id)["scripts"] is None
    assert texts(house, user) == []


@pytest.mark.parametrize(
    ("step", "state"), [("beside.scripts:1", RouteState.TRACKING), ("beside.answers:2", RouteState.FENCED)]
)
async def test_killed_at(
    step: str,
    state: RouteState,
    legacy: Dovecot,
    user: str,
    open_house: Callable[..., House],
    tmp_path: Path,
    engines: Engines,
) -> None:
    await write_scripts(legacy, user, {"main": KEEP}, "main")
    house = open_house(user)
    house.plan()
    house.ledger.request_cutover(DOMAIN)
    assert await asyncio.to_thread(engines.run, tmp_path / "house", step) == -signal.SIGKILL
    with house.platform.database.write() as connection:  # instead of the 3 s until nobody waits for the dead
        connection.execute(route_watcher.delete())
    assert house.move(user).route.state is state
    await write_scripts(legacy, user, {"main": ODD, "new": KEEP}, "new")
    async with house.engine():
        if state is RouteState.FENCED:
            await house.reach(RouteState.TRACKING, RouteState.READY)
            house.ledger.request_cutover(DOMAIN)
        await house.reach(RouteState.NEW)
    assert here(house, user) == Scripts({"main": ODD, "new": KEEP}, "new")
