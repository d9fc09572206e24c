"""What a certificate says of a move beside its messages, and of one that is not over."""

import asyncio
from collections.abc import Callable

import pytest

from mailplat.core.errors import NotFound
from migration.attendance import Hand
from migration.certificate import document, events, issue, signing
from migration.errors import Throttled
from migration.from_backends import FromBackends
from migration.lease import Lease
from migration.turns import LEGACY_KIND, Turns
from tests.dovecot import Dovecot
from tests.migration.house import DOMAIN, House

pytestmark = pytest.mark.interop


async def test_a_source_that_throttles_is_counted(
    dovecot: Dovecot, user: str, house: Callable[..., House]
) -> None:
    """Research, failure mode 22: the certificate says how often the source asked to wait."""
    here = house(user)
    here.plan()
    move, turns = here.move(user), Turns(here.platform.database)
    lease = Lease(here.platform.clock, 3600.0)
    attended = FromBackends(here.platform, turns, "one", lease, 1.0, 4, 0.0)
    begun = turns.begin(turns.make(LEGACY_KIND, [move.account_id])[move.account_id].name, "one")
    assert begun is not None
    hand = Hand(begun[0], move, begun[1], worked=0.0, failures=0, due_at=0.0, held=lease.hold())
    await attended._retry(hand, Throttled("NO [LIMIT] slow down", 3.0))
    ((_, kind, detail),) = events.of(here.platform.database, here.accounts[user].id)
    assert (kind, detail) == ("throttled", {"text": "NO [LIMIT] slow down", "retry_after_s": 3.0})
    (account,) = document.compose(here.platform, DOMAIN, "root")["accounts"]
    assert account["throttled"] == 1


def test_what_has_not_moved_is_certified_as_not_moved(
    dovecot: Dovecot, user: str, house: Callable[..., House]
) -> None:
    here = house(user)
    with pytest.raises(NotFound, match="there is no plan"):
        document.may_close(here.platform, DOMAIN)
    here.plan()
    here.platform.directory.set_account(here.accounts[user].id, password_hash="")
    here.ledger.set(here.accounts[user].id, halted="the source lists UID 3 and does not give it", strays=2)
    assert document.may_close(here.platform, DOMAIN) == f"{user} has not moved: it is legacy"
    signed = asyncio.run(issue.issue(here.platform, DOMAIN, "root", told=print))
    key = signing.private_key(here.platform.database).public_key()
    content = signing.check(signing.canonical(signed), key)
    assert content == document.last(here.platform.database, DOMAIN)["certificate"]  # type: ignore[index]
    assert (content["grade"], content["approved"], content["totals"]["moved"]) == ("Investigate", False, 0)
    (account,) = content["accounts"]
    found = {each["text"]: each["grade"] for each in account["findings"]}
    assert found == {
        "has not moved: it is legacy": "Investigate",
        "halted: the source lists UID 3 and does not give it": "Investigate",
        "no password of its owner is known here": "Investigate",
        "2 messages reached the source after the commit and were brought": "Good",
    }
    assert account["credential"] == "unknown"
    assert "master_password" not in str(content["accounts"])
    assert "master secret" not in str(content["accounts"])
