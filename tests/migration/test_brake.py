"""What is gone at the source and was seen to go does not count; what shows nothing does."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from imapclient import IMAPClient

from mailplat.core.route import RouteState
from tests.dovecot import Dovecot
from tests.migration.house import DOMAIN, House, client, content_of, letter
from tests.until import until

pytestmark = pytest.mark.interop

MANY = 60

Ready = Callable[..., AbstractAsyncContextManager[House]]


@pytest.fixture
def ready(dovecot: Dovecot, user: str, house: Callable[..., House]) -> Ready:
    """An account that is READY while nobody works on it; afterwards it moves, or halts."""

    @asynccontextmanager
    async def open_ready(*, trash: int = 0) -> AsyncIterator[House]:
        with client(dovecot, user) as imap:
            imap.create_folder("Bin")
            imap.create_folder("Archive")
            imap.create_folder("Trash")
            for number in range(MANY):
                imap.append("INBOX", letter(number))
            for number in range(trash):
                imap.append("Trash", letter(1000 + number))
            imap.append("Archive", letter(5000))
        here = house(user)
        here.plan()
        async with here.engine():
            await here.reach(RouteState.READY)
        yield here

    return open_ready


async def moves(here: House, dovecot: Dovecot, user: str) -> None:
    here.ledger.request_cutover(DOMAIN)
    async with here.engine():
        await here.reach(RouteState.NEW)
    assert here.content(user) == content_of(dovecot, user)


async def halts(here: House, user: str) -> str:
    before = here.content(user)
    async with here.engine():
        said = await here.halted(user)
    after = here.content(user)
    for name, (_, rows) in before.items():
        assert rows.items() <= after[name][1].items(), "nothing was deleted"
    return said


def expunge(imap: IMAPClient, mailbox: str, uids: list[int]) -> None:
    imap.select_folder(mailbox)
    imap.add_flags(uids, ["\\Deleted"])
    imap.expunge()


async def test_what_nobody_saw_go_counts(dovecot: Dovecot, user: str, ready: Ready) -> None:
    async with ready() as here:
        with client(dovecot, user) as imap:
            expunge(imap, "INBOX", list(range(1, 31)))
        said = await halts(here, user)
    assert f"30 of {MANY + 1} messages are gone at the source: INBOX (30). Nothing" in said


async def test_what_was_marked_before_is_tidied(dovecot: Dovecot, user: str, ready: Ready) -> None:
    async with ready() as here:
        with client(dovecot, user) as imap:
            imap.select_folder("INBOX")
            imap.add_flags(list(range(1, 41)), ["\\Deleted"])
        async with here.engine():
            await until(
                lambda: (
                    sum("\\Deleted" in flags for flags, _, _ in here.content(user)["INBOX"][1].values()) == 40
                )
            )
        with client(dovecot, user) as imap:
            imap.select_folder("INBOX")
            imap.expunge()
        await moves(here, dovecot, user)


async def test_what_was_moved_is_still_there(dovecot: Dovecot, user: str, ready: Ready) -> None:
    async with ready() as here:
        with client(dovecot, user) as imap:
            imap.select_folder("INBOX")
            imap.move(list(range(1, 41)), "Bin")
        await moves(here, dovecot, user)


async def test_one_arrival_explains_one_departure(dovecot: Dovecot, user: str, ready: Ready) -> None:
    """Thirty are gone, ten of them came elsewhere, each of those three times."""
    async with ready() as here:
        with client(dovecot, user) as imap:
            imap.select_folder("INBOX")
            for _ in range(3):
                imap.copy(list(range(1, 11)), "Bin")
            expunge(imap, "INBOX", list(range(1, 41)))
        said = await halts(here, user)
    assert f"30 of {MANY + 1} messages are gone at the source: INBOX (30); of 10 more it was seen why" in said
    assert "--allow-deletions 40" in said


async def test_trash_is_there_to_be_emptied(dovecot: Dovecot, user: str, ready: Ready) -> None:
    async with ready(trash=50) as here:
        with client(dovecot, user) as imap:
            expunge(imap, "Trash", list(range(1, 51)))
        await moves(here, dovecot, user)


async def test_an_account_that_shows_nothing_at_all_is_not_tidy(
    dovecot: Dovecot, user: str, ready: Ready
) -> None:
    """Failure mode 12: nor does its trash count as emptied then."""
    async with ready(trash=50) as here:
        with client(dovecot, user) as imap:
            for mailbox, count in (("INBOX", MANY), ("Trash", 50), ("Archive", 1)):
                expunge(imap, mailbox, list(range(1, count + 1)))
        said = await halts(here, user)
    assert f"{MANY + 51} of {MANY + 51} messages" in said


async def test_with_a_word_all_goes(dovecot: Dovecot, user: str, ready: Ready) -> None:
    async with ready() as here:
        with client(dovecot, user) as imap:
            imap.select_folder("INBOX")
            imap.move(list(range(1, 11)), "Bin")
            expunge(imap, "INBOX", list(range(11, 51)))
        said = await halts(here, user)
        here.ledger.clear_halts(DOMAIN, deletions=int(said.rpartition(" ")[2]))
        await moves(here, dovecot, user)
