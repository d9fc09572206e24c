"""What ENABLE IMAP4rev2 changes (RFC 9051, appendix E)."""

import pytest

from mailplat.access.imap.capability import AFTER_LOGIN, REV2
from mailplat.access.imap.commands import enable
from tests.access.imap.conftest import Rig, message


def test_it_is_offered_when_all_of_it_is_there() -> None:
    assert bool(REV2) == ({"BINARY", "SEARCHRES"} <= set(AFTER_LOGIN))
    assert bool(REV2) == ("IMAP4REV2" in enable.KNOWN)


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enable, "KNOWN", enable.KNOWN | {"IMAP4REV2"})


@pytest.mark.usefixtures("offered")
async def test_replies(rig: Rig) -> None:
    await rig.deliver(message("one"), message("two"))
    client = await rig.login()
    await client.talk(
        """
        C: a ENABLE IMAP4rev2
        S: * ENABLED IMAP4rev2
        S: a OK ...
        C: b CREATE Entwürfe/2026
        S: b OK ...
        C: c SUBSCRIBE gone
        S: c OK ...
        C: d SUBSCRIBE inbox
        S: d OK ...
        C: e LIST (SUBSCRIBED) "" *
        S: * LIST (\\HasNoChildren \\Subscribed) "/" INBOX
        S: * LIST (\\NonExistent \\HasNoChildren \\Subscribed) "/" gone
        S: e OK ...
        C: f SELECT inbox
        S: * FLAGS ...
        S: * OK [PERMANENTFLAGS ...
        S: * 2 EXISTS
        S: * OK [UIDVALIDITY ...
        S: * OK [UIDNEXT 3] ...
        S: * OK [HIGHESTMODSEQ ...
        S: * LIST (\\HasNoChildren \\Subscribed) "/" INBOX
        S: f OK [READ-WRITE] ...
        C: g SEARCH ALL
        S: * ESEARCH (TAG "g") ALL 1:2
        S: g OK ...
        C: h UID SEARCH SEEN
        S: * ESEARCH (TAG "h") UID
        S: h OK ...
        C: i SEARCH CHARSET UTF-8 RETURN (COUNT) ALL
        S: i BAD ...
        C: j SEARCH RETURN (COUNT) CHARSET UTF-8 ALL
        S: * ESEARCH (TAG "j") COUNT 2
        S: j OK ...
        C: k RENAME Entwürfe "Alte Entwürfe"
        S: * LIST () "/" "Alte Entwürfe" ("OLDNAME" ("Entwürfe"))
        S: k OK ...
        C: l EXAMINE "Alte Entwürfe"
        S: * OK [CLOSED] ...
        S: * FLAGS ...
        S: * OK [PERMANENTFLAGS ()] ...
        S: * 0 EXISTS
        S: * OK [UIDVALIDITY ...
        S: * OK [UIDNEXT 1] ...
        S: * OK [HIGHESTMODSEQ ...
        S: * LIST (\\HasChildren) "/" "Alte Entwürfe"
        S: l OK [READ-ONLY] ...
        C: m STATUS INBOX (MESSAGES SIZE DELETED)
        S: * STATUS INBOX (MESSAGES 2 SIZE ...
        S: m OK ...
        C: n LSUB "" *
        S: * LSUB () "/" INBOX
        S: * LSUB () "/" gone
        S: n OK ...
        """
    )
    # A parent that is no mailbox.
    await client.ok("UNSELECT")
    rig.shard.delete(rig.residence, "Alte Entwürfe")
    assert (await client.ok('LIST "" Alte%'))[:1] == [
        b'* LIST (\\NonExistent \\HasChildren) "/" "%b"' % "Alte Entwürfe".encode()
    ]
    # A name that is a pattern is listed as itself and nothing else.
    await client.ok('CREATE "Alt"')
    lines = await client.ok('SELECT "Alt"')
    assert [line for line in lines if b"* LIST" in line] == [b'* LIST (\\HasNoChildren) "/" Alt']


async def test_without_it(rig: Rig) -> None:
    client = await rig.login("INBOX")
    if not REV2:
        assert await client.ok("ENABLE IMAP4rev2") == [b"* ENABLED"]
        assert await client.ok("SEARCH ALL") == [b"* SEARCH"]
    await client.ok("CREATE a")
    assert await client.ok("RENAME a b") == []
