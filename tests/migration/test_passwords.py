"""Nobody is moved who could not log in afterwards, unless somebody says so."""

import asyncio
from collections.abc import Callable

import pytest

from mailplat.core.errors import InvalidInput
from mailplat.core.route import RouteState
from migration.cli.progress import rows
from tests.dovecot import Dovecot
from tests.migration.house import DOMAIN, PASSWORD, House, client, content_of, letter
from tests.until import until

pytestmark = pytest.mark.interop


def forget_password(here: House, user: str) -> None:
    here.platform.directory.set_account(here.accounts[user].id, password_hash="")


async def test_an_account_waits_for_its_password_and_keeps_up_meanwhile(
    dovecot: Dovecot, user: str, house: Callable[..., House]
) -> None:
    here = house(user)
    forget_password(here, user)
    here.plan()
    async with here.engine():
        await until(lambda: here.move(user).waits_for_password)
        assert "waits for its password" in rows([here.move(user)])[0]["remark"]
        with client(dovecot, user) as imap:
            imap.append("INBOX", letter(1))
        await until(lambda: here.content(user) == content_of(dovecot, user))
        assert here.move(user).route.state is RouteState.TRACKING
        here.platform.directory.set_account(here.accounts[user].id, password_hash=f"{{PLAIN}}{PASSWORD}")
        await here.reach(RouteState.READY)


async def test_a_cutover_is_refused_until_somebody_approves(
    dovecot: Dovecot, user: str, house: Callable[..., House]
) -> None:
    here = house(user)
    forget_password(here, user)
    here.plan()
    async with here.engine():
        await until(lambda: here.move(user).waits_for_password)
        with pytest.raises(InvalidInput, match=f"no password is known here of {user.split('@')[0]}; who"):
            await asyncio.to_thread(here.ledger.request_cutover, DOMAIN)
        assert not here.move(user).cutover
        await asyncio.to_thread(here.ledger.request_cutover, DOMAIN, unknown_passwords=True)
        await here.reach(RouteState.NEW)
