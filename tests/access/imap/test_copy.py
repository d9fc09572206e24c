"""COPY, MOVE, EXPUNGE and their UID forms."""

import re

import pytest

from mailplat.directory import quotas
from tests.access.imap.conftest import DOMAIN, Rig, message


async def test_copy(rig: Rig) -> None:
    await rig.deliver(message("one"), message("two"), flags=("\\Seen", "$Label"))
    client = await rig.login("INBOX")
    assert (await client.command("COPY 1 Other")).tagged.startswith(b"NO [TRYCREATE]")
    await client.ok("CREATE Other")
    assert re.match(rb"OK \[COPYUID \d+ 1:2 1:2\]", (await client.command("COPY 1:2 Other")).tagged)
    assert re.match(rb"OK \[COPYUID \d+ 2 3\]", (await client.command("UID COPY 2:9 Other")).tagged)
    assert (await client.command("UID COPY 9 Other")).tagged == b"OK UID COPY completed"
    assert (await client.command("COPY 3 Other")).status == b"BAD"
    lines = await client.ok("COPY 1 INBOX")
    assert lines == [b"* 3 EXISTS"]
    await client.ok("SELECT Other")
    lines = await client.ok("FETCH 1:* (FLAGS)")
    assert lines == [b"* %d FETCH (FLAGS (\\Seen $Label))" % number for number in (1, 2, 3)]


async def test_copy_of_what_is_gone_copies_nothing(rig: Rig) -> None:
    """RFC 2180 4.4.1."""
    await rig.deliver(message("one"), message("two"))
    client, other = await rig.login("INBOX"), await rig.login("INBOX")
    await client.ok("CREATE Other")
    await other.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
    await other.ok("EXPUNGE")
    answer = await client.command("COPY 1:2 Other")
    assert answer.tagged.startswith(b"NO [EXPUNGEISSUED]")
    assert answer.lines == [b"* 1 EXPUNGE"]
    assert await client.ok("STATUS Other (MESSAGES)") == [b"* STATUS Other (MESSAGES 0)"]


async def test_move(rig: Rig) -> None:
    """RFC 6851: COPYUID first, then EXPUNGE."""
    await rig.deliver(*(message(str(number)) for number in range(4)))
    client, other = await rig.login("INBOX"), await rig.login("INBOX")
    await client.ok("CREATE Other")
    await client.talk(
        """
        C: a MOVE 2:3 Other
        S: * OK [COPYUID ... 2:3 1:2] Moved
        S: * 3 EXPUNGE
        S: * 2 EXPUNGE
        S: a OK MOVE completed
        C: b UID MOVE 4 Other
        S: * OK [COPYUID ... 4 3] Moved
        S: * 2 EXPUNGE
        S: b OK UID MOVE completed
        C: c MOVE 1 Nothing
        S: c NO [TRYCREATE] ...
        """
    )
    assert await other.ok("NOOP") == [b"* 4 EXPUNGE", b"* 3 EXPUNGE", b"* 2 EXPUNGE"]
    assert await client.ok("STATUS Other (MESSAGES)") == [b"* STATUS Other (MESSAGES 3)"]


async def test_expunge(rig: Rig) -> None:
    await rig.deliver(*(message(str(number)) for number in range(5)))
    client = await rig.login("INBOX")
    await client.ok("STORE 1,3,5 +FLAGS.SILENT (\\Deleted)")
    assert await client.ok("UID EXPUNGE 2:3") == [b"* 3 EXPUNGE"]
    assert await client.ok("UID EXPUNGE 77") == []
    assert await client.ok("EXPUNGE") == [b"* 4 EXPUNGE", b"* 1 EXPUNGE"]
    assert await client.ok("FETCH 1:* UID") == [b"* 1 FETCH (UID 2)", b"* 2 FETCH (UID 4)"]


async def test_quota(rig: Rig) -> None:
    rig.add("small", quota=1000)
    client = await rig.login("INBOX", name="small")
    await client.append(b"x" * 600)
    assert (await client.command("COPY 1 INBOX")).tagged == b"NO [OVERQUOTA] Account is over its quota"


async def test_quota_of_the_domain(rig: Rig) -> None:
    """MOVE brings nothing and is never refused for it."""
    rig.directory.set_domain(DOMAIN, quota=1000)
    client = await rig.login("INBOX")
    await client.ok("CREATE Box")
    await client.append(b"x" * 600)
    full = b"NO [OVERQUOTA] The accounts of this domain together are over their quota"
    assert (await client.command("COPY 1 Box")).tagged == full
    client.send(b"a APPEND INBOX {401+}\r\n%b\r\n" % (b"x" * 401))
    assert await client.line() == b"a " + full
    await client.ok("MOVE 1 Box")
    assert (await client.ok("STATUS Box (MESSAGES)"))[0] == b"* STATUS Box (MESSAGES 1)"


async def test_a_quota_that_changes_under_a_session(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an admin has set since the login counts, for COPY and APPEND."""
    monkeypatch.setattr(quotas, "LEASE_S", 0.0)
    account = rig.residence.account_id
    client = await rig.login("INBOX")
    await client.append(b"x" * 600)
    rig.directory.set_account(account, quota=1000)
    assert (await client.command("COPY 1 INBOX")).tagged.startswith(b"NO [OVERQUOTA]")
    client.send(b"a APPEND INBOX {401+}\r\n%b\r\n" % (b"x" * 401))
    assert (await client.line()).startswith(b"a NO [OVERQUOTA]")
    rig.directory.set_account(account, quota=0)
    await client.append(b"x" * 401)
    await client.ok("COPY 1 INBOX")
