"""A domain goes back to a real Dovecot with what happened here since, and forward again."""

from collections.abc import Callable

import pytest

from mailplat.core.route import RouteState
from tests.dovecot import Dovecot
from tests.migration.house import DOMAIN, House, client, content_of, letter, subscriptions_of
from tests.migration.way_back import Desk, furnish, move_here, roll_back, same_but_made, until_back

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

FRESH = "Fresh & new"


async def test_everything_goes_back_and_forward_again(
    dovecot: Dovecot, user: str, house: Callable[..., House]
) -> None:
    furnish(dovecot, user)
    here = house(user)
    await move_here(here)
    desk = Desk(here, user)
    await desk.work()
    seen, subscribed = here.content(user), here.subscriptions(user)
    next_uid, modseq = desk.box().uidnext, desk.box().modseq
    roll_back(here)
    async with here.engine():
        await until_back(here, user)
    there = content_of(dovecot, user)
    same_but_made(there, seen, FRESH)
    assert subscriptions_of(dovecot, user) == subscribed
    with client(dovecot, user) as imap:
        status = imap.folder_status("INBOX", ["UIDNEXT", "HIGHESTMODSEQ"])
        assert status[b"UIDNEXT"] == next_uid
        assert status[b"HIGHESTMODSEQ"] > modseq, "a client that knows our MODSEQ hears of every change"
        imap.append("INBOX", letter(300))  # users go on there
        imap.select_folder("INBOX")
        imap.add_flags(imap.search()[0], ["\\Answered"])
    here.ledger.set_plan(DOMAIN, "running", expected={"paused"})
    async with here.engine():
        await here.reach(RouteState.READY)
        here.ledger.request_cutover(DOMAIN)
        await here.reach(RouteState.NEW)
    assert here.content(user) == content_of(dovecot, user)
