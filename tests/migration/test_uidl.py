"""UIDLs over POP3 whose order is not that of the UIDs (failure mode 21), from a real Dovecot."""

import hashlib
from collections.abc import Callable

import pytest

from mailplat.core.route import RouteState
from migration.sources.pop3 import read_digests, read_uidls
from tests.dovecot import Dovecot
from tests.migration.house import DOMAIN, House, client, letter

pytestmark = pytest.mark.interop


def with_places(dovecot: Dovecot, user: str, fields: dict[int, str]) -> None:
    """As a platform leaves them that its mail came from: P is a UIDL, O a place."""
    path = dovecot.maildir(user) / "dovecot-uidlist"
    lines = path.read_text().split("\n")
    for number, field in fields.items():
        lines[number] = lines[number].replace(" ", f" {field} ", 1)
    path.write_text("\n".join(lines))


@pytest.mark.parametrize("named", [True, False], ids=["theirs", "a known format"])
async def test_pop3_uidl_order_mismatch(
    dovecot: Dovecot, user: str, house: Callable[..., House], named: bool
) -> None:
    """Letters of one size, in an order of their own; where their UIDLs say nothing they are told by their octets."""
    with client(dovecot, user) as imap:
        for number in range(1, 7):
            imap.append("INBOX", letter(number))  # all of one size
        imap.append("INBOX", letter(7, 900))
    order = {1: 3, 2: 7, 3: 2, 4: 1, 5: 6, 6: 5, 7: 4}
    texts = {n: f"O{place}" + (f" Pkept-{n}" if named else "") for n, place in order.items()}
    with_places(dovecot, user, texts)
    here = house(user)
    backend = here.platform.directory.backend("old")
    there = [uidl for uidl, _ in await read_uidls(backend, user)]
    here.plan()
    async with here.engine():
        await here.reach(RouteState.READY)
        with client(dovecot, user) as imap:
            imap.append("INBOX", letter(8))
        there = [uidl for uidl, _ in await read_uidls(backend, user)]
        here.ledger.request_cutover(DOMAIN)
        await here.reach(RouteState.NEW)
    assert here.maildrop(user) == there
    assert len(there) == 8


async def test_octets_over_pop3(dovecot: Dovecot, user: str, house: Callable[..., House]) -> None:
    """Dots at the beginning of lines, and a line that is longer than what is read at once."""
    octets = b"Subject: dots\r\n\r\n.\r\n..two\r\n" + b"x" * 5000 + b"\r\n.end\r\n"
    with client(dovecot, user) as imap:
        imap.append("INBOX", letter(1))
        imap.append("INBOX", octets)
    backend = house(user).platform.directory.backend("old")
    assert await read_digests(backend, user, [2]) == {2: hashlib.sha256(octets).digest()}
