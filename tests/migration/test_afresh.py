"""`migrate resume --afresh`: a copy that no round can mend is thrown away and made again."""

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from mailplat.core.errors import InvalidInput
from mailplat.core.route import RouteState
from mailplat.directory.tables import route_watcher
from tests.dovecot import Dovecot
from tests.migration.engines import Engines
from tests.migration.house import DOMAIN, House, client, content_of, letter

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]


def made_anew(dovecot: Dovecot, user: str, name: str) -> None:
    """Under the old name, with other messages under the same UIDs."""
    with client(dovecot, user) as imap:
        before = imap.folder_status(name, ["UIDVALIDITY"])
        imap.delete_folder(name)
        imap.create_folder(name)
        assert imap.folder_status(name, ["UIDVALIDITY"]) != before
        for number in range(3):
            imap.append(name, letter(number + 100, 700))


async def halted(dovecot: Dovecot, user: str, here: House) -> str:
    with client(dovecot, user) as imap:
        imap.create_folder("Work")
        for number in range(10):
            imap.append(("INBOX", "Work")[number % 2], letter(number), flags=["\\Seen"])
    here.plan()
    async with here.engine():
        await here.reach(RouteState.READY)
        made_anew(dovecot, user, "Work")
        return await here.halted(user)


async def test_the_account_is_copied_from_the_first_message(
    dovecot: Dovecot, user: str, house: Callable[..., House]
) -> None:
    here = house(user)
    assert f"migrate resume {DOMAIN} --afresh {user}" in await halted(dovecot, user, here)
    here.ledger.clear_halts(DOMAIN)
    async with here.engine():
        await here.halted(user)  # without the word nothing has changed
    here.ledger.clear_halts(DOMAIN, afresh=[here.accounts[user].id])
    here.ledger.request_cutover(DOMAIN)
    async with here.engine():
        await here.reach(RouteState.NEW)
    assert here.content(user) == content_of(dovecot, user)
    assert not here.move(user).afresh


@pytest.mark.parametrize("step", ["afresh.discarded", "afresh.begun", "move.batch:1"])
async def test_killed_at(
    step: str,
    dovecot: Dovecot,
    user: str,
    house: Callable[..., House],
    tmp_path: Path,
    engines: Engines,
) -> None:
    here = house(user)
    await halted(dovecot, user, here)
    here.ledger.clear_halts(DOMAIN, afresh=[here.accounts[user].id])
    here.ledger.request_cutover(DOMAIN)
    assert await asyncio.to_thread(engines.run, tmp_path / "house", step) == -signal.SIGKILL
    with here.platform.database.write() as connection:  # instead of the 3 s until nobody waits for the dead
        connection.execute(route_watcher.delete())
    async with here.engine():
        await here.reach(RouteState.NEW)
    assert here.content(user) == content_of(dovecot, user)


async def test_what_cannot_be_copied_afresh(dovecot: Dovecot, user: str, house: Callable[..., House]) -> None:
    here = house(user)
    here.plan()
    with pytest.raises(InvalidInput, match="no copy"):
        here.ledger.clear_halts(DOMAIN, afresh=[here.accounts[user].id])
    with pytest.raises(InvalidInput, match="not of"):
        here.ledger.clear_halts("other.test", afresh=[here.accounts[user].id])
    here.ledger.request_cutover(DOMAIN)
    async with here.engine():
        await here.reach(RouteState.NEW)
    with pytest.raises(InvalidInput, match="is new"):
        here.ledger.clear_halts(DOMAIN, afresh=[here.accounts[user].id])
    assert not here.move(user).afresh
