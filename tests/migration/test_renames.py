"""Mailboxes under one UIDVALIDITY: it names a mailbox no better than its name does."""

import os
import shutil
from collections.abc import Callable

import pytest

from mailplat.core.route import RouteState
from tests.dovecot import Dovecot
from tests.migration.house import DOMAIN, House, client, content_of, letter

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]


def twins(dovecot: Dovecot, user: str, one: str, other: str) -> None:
    """Two mailboxes under one UIDVALIDITY: one is a copy of the other's files, as an admin makes it."""
    with client(dovecot, user) as imap:
        imap.create_folder(one)
        imap.append(one, letter(0))
    dovecot.kick(user)
    maildir = dovecot.maildir(user)
    shutil.copytree(maildir / f".{one}", maildir / f".{other}")
    for path in (maildir / f".{other}", *(maildir / f".{other}").rglob("*")):
        status = (maildir / f".{one}").stat()
        os.chown(path, status.st_uid, status.st_gid)
    with client(dovecot, user) as imap:
        validities = {imap.folder_status(name, ["UIDVALIDITY"])[b"UIDVALIDITY"] for name in (one, other)}
    assert len(validities) == 1


async def test_one_uidvalidity_for_several_mailboxes_is_no_identity(
    dovecot: Dovecot, user: str, house: Callable[..., House]
) -> None:
    """They exchange their names between two rounds, with as many messages under the same UIDs: nobody is moved."""
    one, other = "One", "Other"
    twins(dovecot, user, one, other)
    with client(dovecot, user) as imap:
        for number in (2, 3):
            imap.append(one, letter(number))
            imap.append(other, letter(number + 2, 600))
    here = house(user)
    here.plan()
    async with here.engine():
        await here.reach(RouteState.READY)
        with client(dovecot, user) as imap:
            imap.rename_folder(one, "Between")
            imap.rename_folder(other, one)
            imap.rename_folder("Between", other)
        here.ledger.request_cutover(DOMAIN)
        assert "One" in await here.halted(user)  # by its fence, or by a comparison that came before
        assert here.move(user).route.state is not RouteState.NEW


async def test_mailboxes_under_one_uidvalidity_move(
    dovecot: Dovecot, user: str, house: Callable[..., House]
) -> None:
    twins(dovecot, user, "One", "Other")
    here = house(user)
    here.plan()
    async with here.engine():
        await here.reach(RouteState.READY)
        with client(dovecot, user) as imap:
            imap.append("One", letter(2))
            imap.append("Other", letter(3, 600))
        here.ledger.request_cutover(DOMAIN)
        await here.reach(RouteState.NEW)
    assert here.content(user) == content_of(dovecot, user)
