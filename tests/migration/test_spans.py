"""A mailbox is looked at in parts: with parts of a few messages everything is as it is with one."""

import random
from collections.abc import Callable

import pytest

from mailplat.core.route import RouteState
from migration.sources import contract, imap_account
from migration.sources.contract import cut
from tests.dovecot import Dovecot
from tests.migration.house import DOMAIN, House, client, content_of, letter
from tests.until import until

pytestmark = pytest.mark.interop


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (contract, imap_account):
        monkeypatch.setattr(module, "SPAN_MESSAGES", 7)


def test_spans_cover_every_uid_once() -> None:
    assert cut([]) == [(1, None)]
    assert cut(range(5, 12)) == [(1, None)]
    assert cut([3, 4, 6, 8, 9, 11, 20, 21, 30]) == [(1, 20), (21, None)]


@pytest.mark.parametrize("plain", [False, True], ids=["condstore", "without"])
async def test_all_of_a_move_in_parts(
    dovecot: Dovecot,
    user: str,
    house: Callable[..., House],
    monkeypatch: pytest.MonkeyPatch,
    plain: bool,
) -> None:
    if plain:
        monkeypatch.setattr(imap_account.ImapAccount, "condstore", property(lambda self: False))
    with client(dovecot, user) as imap:
        for number in range(40):
            imap.append("INBOX", letter(number))
        imap.select_folder("INBOX")
        imap.add_flags([5, 6, 17, 18, 19], ["\\Deleted"])  # gaps, so that parts end anywhere
        imap.expunge()
    here = house(user)
    here.plan()
    async with here.engine():
        await here.reach(RouteState.READY)
        with client(dovecot, user) as imap:
            imap.select_folder("INBOX")
            imap.add_flags([1, 8, 9, 33], ["\\Seen"])
            imap.add_flags([2, 15, 40], ["\\Deleted"])
            imap.uid_expunge([2, 15, 40])
            for number in range(100, 110):
                imap.append("INBOX", letter(number))
        await until(lambda: here.content(user) == content_of(dovecot, user), 30)
        here.ledger.request_cutover(DOMAIN)
        await here.reach(RouteState.NEW)
    there = content_of(dovecot, user)
    assert here.content(user) == there
    uidvalidity, rows = there["INBOX"]
    assert here.uidls(user) == [f"{uid:08x}{uidvalidity:08x}" for uid in rows]


async def test_the_brake_counts_over_all_parts(
    dovecot: Dovecot, user: str, house: Callable[..., House]
) -> None:
    """No part has lost more than a few: nothing is deleted before all of them were looked at."""
    with client(dovecot, user) as imap:
        for number in range(70):
            imap.append("INBOX", letter(number))
    here = house(user)
    here.plan()
    gone = sorted(random.Random(7).sample(range(1, 71), here.platform.settings.migration.brake.free + 5))
    async with here.engine():
        await here.reach(RouteState.READY)
    with client(dovecot, user) as imap:  # no round sees them marked
        imap.select_folder("INBOX")
        imap.add_flags(gone, ["\\Deleted"])
        imap.expunge()
    async with here.engine():
        assert f"{len(gone)} of 70 messages are gone" in await here.halted(user)
    assert len(here.content(user)["INBOX"][1]) == 70
