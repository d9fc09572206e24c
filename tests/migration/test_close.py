"""`migrate close` and what the commands of the way back say, as people type them."""

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from mailplat.app.cli import main
from mailplat.core.route import RouteState
from mailplat.directory import routes
from migration.cli.rollback import tell_passwords
from migration.origins import Origins
from tests.dovecot import Dovecot
from tests.migration.house import DOMAIN, House
from tests.migration.way_back import Desk, furnish, move_here

pytestmark = pytest.mark.interop


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MAILPLAT_CONFIG", str(tmp_path / "house" / "mailplat.toml"))
    return tmp_path


async def test_from_the_first_look_to_the_end_of_the_way_back(
    dovecot: Dovecot,
    user: str,
    house: Callable[..., House],
    typed: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    furnish(dovecot, user, 4)
    here = house(user)
    here.plan()
    assert main(["migrate", "rollback", DOMAIN]) == 2
    assert "no account of moving.test has moved here" in capsys.readouterr().err
    assert main(["migrate", "close", DOMAIN, "--yes"]) == 2
    assert f"{user} has not moved: it is legacy" in capsys.readouterr().err
    await move_here(here)
    desk = Desk(here, user)
    await desk.work()
    capsys.readouterr()
    assert main(["migrate", "rollback", DOMAIN, "--dry-run", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["address"], row["made"], row["deleted"]) == (user, 1, 1)
    assert 0 <= row["lag_s"] < 60
    account_id = here.accounts[user].id
    here.platform.directory.set_account(account_id, password_hash="{PLAIN}new")
    hashes = typed / "hashes"
    assert main(["migrate", "rollback", DOMAIN, "--passwords", str(hashes)]) == 1
    assert "no `mailplat serve` is running; the rollback is noted" in capsys.readouterr().err
    assert here.move(user).rollback
    assert main(["migrate", "resume", DOMAIN]) == 2
    assert "is on its way back" in capsys.readouterr().err
    assert main(["migrate", "close", DOMAIN, "--yes"]) == 2
    assert "is on its way back" in capsys.readouterr().err
    assert Origins(here.platform.database).changed_passwords(DOMAIN) == [(user, "{PLAIN}new")]
    assert main(["migrate", "rollback", DOMAIN, "--cancel"]) == 0
    assert main(["migrate", "close", DOMAIN]) == 2
    assert "--yes" in capsys.readouterr().err
    with here.platform.database.read() as connection:
        assert routes.keeps_traces(connection, account_id)
    assert main(["migrate", "close", DOMAIN, "--yes"]) == 2
    assert f"{user} was not read again since it moved" in capsys.readouterr().err
    # No `mailplat serve` here that it could be read from: a person says that this is well.
    assert await asyncio.to_thread(main, ["migrate", "report", DOMAIN, "--json"]) == 0
    items = set(re.findall(r'"item": "([^"]+)"', capsys.readouterr().out))

    assert main(["migrate", "close", DOMAIN, "--yes"]) == 2
    assert "item" in capsys.readouterr().err
    for item in items:
        assert main(["migrate", "approve", DOMAIN, "--item", item, "--reason", "a test"]) == 0
    capsys.readouterr()
    assert main(["migrate", "close", DOMAIN, "--yes"]) == 0
    assert "1 accounts are final" in capsys.readouterr().out
    assert here.move(user).route.state is RouteState.FINAL
    assert Origins(here.platform.database).of(account_id) == {}
    assert here.ledger.watermarks(account_id) == {}
    with here.platform.database.read() as connection:
        assert not routes.keeps_traces(connection, account_id)
    for words in (["rollback", DOMAIN], ["rollback", DOMAIN, "--dry-run"], ["close", DOMAIN, "--yes"]):
        assert main(["migrate", *words]) == 2
        assert "There is no rollback after `migrate close`" in capsys.readouterr().err
    await desk.deliver(900)  # served as before


async def test_late_mail_is_waited_for(
    dovecot: Dovecot, user: str, house: Callable[..., House], typed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = house(user)
    await move_here(here)
    assert main(["migrate", "close", DOMAIN, "--yes"]) == 2
    assert "still looked at for late mail" in capsys.readouterr().err
    assert here.move(user).route.state is RouteState.NEW


def test_hashes_are_for_the_owner_of_the_file_alone(tmp_path: Path) -> None:
    tell_passwords([("a@x.test", "{PLAIN}1")], tmp_path / "hashes")
    assert (tmp_path / "hashes").read_text() == "a@x.test:{PLAIN}1\n"
    assert (tmp_path / "hashes").stat().st_mode & 0o777 == 0o600
