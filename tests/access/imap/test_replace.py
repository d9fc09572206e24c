"""REPLACE and UID REPLACE (RFC 8508)."""

import pytest

from tests.access.imap.client import Answer, Client
from tests.access.imap.conftest import DOMAIN, PASSWORD, Rig, message


async def replace(client: Client, what: str, body: bytes) -> Answer:
    return await client.command(f"{what} ".encode() + b"{%d+}\r\n%b" % (len(body), body))


async def test_a_draft_is_saved_again(rig: Rig) -> None:
    """The example of RFC 8508 3.2."""
    client = await rig.login()
    await client.ok("CREATE Drafts")
    await rig.deliver(*(message(str(number)) for number in range(1, 6)), mailbox="Drafts")
    other = await rig.login("Drafts")
    await client.ok("SELECT Drafts")
    new = message("new")
    client.send(b"a REPLACE 4 Drafts (\\Seen \\Draft $MDNSent) {%d}\r\n" % len(new))
    assert await client.line() == b"+ OK"
    client.send(new + b"\r\n")
    assert (await client.line()).startswith(b"* OK [APPENDUID ")
    assert await client.line() == b"* 4 EXPUNGE"
    assert await client.line() == b"* 5 EXISTS"
    assert (await client.line()).startswith(b"* FLAGS ")
    assert await client.line() == b"a OK Replaced"
    assert await other.ok("NOOP") == [
        b"* 4 EXPUNGE",
        b"* 5 EXISTS",
        b"* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $MDNSent)",
    ]
    assert await client.ok("FETCH 5 (UID FLAGS)") == [b"* 5 FETCH (UID 6 FLAGS (\\Seen \\Draft $MDNSent))"]
    [line] = await client.ok("FETCH 5 BODY.PEEK[]")
    assert new in line


async def test_into_another_mailbox(rig: Rig) -> None:
    await rig.deliver(message("one"), message("two"))
    client = await rig.login()
    await client.ok("CREATE {9+}\r\nThe Other")
    await client.ok("ENABLE QRESYNC")
    await client.ok("SELECT INBOX")
    answer = await replace(client, "UID REPLACE 2 {9+}\r\nThe Other (\\Seen)", message("three"))
    assert [line.split(b" ")[1:3] for line in answer.lines] == [[b"OK", b"[APPENDUID"], [b"VANISHED", b"2"]]
    modseq = rig.shard.mailbox(rig.residence, "INBOX").modseq
    assert answer.tagged == b"OK [HIGHESTMODSEQ %d] Replaced" % modseq
    assert await client.ok('STATUS "The Other" (MESSAGES)') == [b'* STATUS "The Other" (MESSAGES 1)']


async def test_pipelined_behind_appends(rig: Rig) -> None:
    """Numbers mean what they mean when the command runs."""
    client = await rig.login("INBOX")
    client.send(
        b"a APPEND INBOX {3+}\r\none\r\nb APPEND INBOX {3+}\r\ntwo\r\n"
        b"c REPLACE 1 INBOX {5+}\r\nthree\r\nd UID REPLACE 2 INBOX {4+}\r\nfour\r\ne NOOP\r\n"
    )
    lines = []
    while not lines or not lines[-1].startswith(b"e "):
        lines.append(await client.line())
    tagged = [line.split(b" ")[:2] for line in lines if not line.startswith(b"*")]
    assert tagged == [[tag, b"OK"] for tag in (b"a", b"b", b"c", b"d", b"e")]
    lines = await client.ok("FETCH 1:* (UID BODY.PEEK[])")
    assert [line.split(b"\r\n")[-1] for line in lines] == [b"three)", b"four)"]


async def test_refused(rig: Rig) -> None:
    await rig.deliver(message("one"), message("two"))
    client = await rig.login()
    await client.talk(
        """
        C: a REPLACE 1 INBOX {3+}
        C: abc
        S: a BAD Select a mailbox first
        C: b EXAMINE INBOX
        S: * FLAGS ...
        S: * OK [PERMANENTFLAGS ()] ...
        S: * 2 EXISTS
        S: * 0 RECENT
        S: * OK [UNSEEN 1] ...
        S: * OK [UIDVALIDITY ...
        S: * OK [UIDNEXT 3] ...
        S: * OK [HIGHESTMODSEQ ...
        S: * OK [MAILBOXID ...
        S: b OK ...
        C: c REPLACE 1 INBOX {3}
        S: c NO [CANNOT] Mailbox is selected read-only
        C: d SELECT INBOX
        S: * OK [CLOSED] ...
        S: * FLAGS ...
        S: * OK [PERMANENTFLAGS ...
        S: * 2 EXISTS
        S: * 0 RECENT
        S: * OK [UNSEEN 1] ...
        S: * OK [UIDVALIDITY ...
        S: * OK [UIDNEXT 3] ...
        S: * OK [HIGHESTMODSEQ ...
        S: * OK [MAILBOXID ...
        S: d OK ...
        C: e REPLACE 1:2 INBOX {3}
        S: e BAD ...
        C: f REPLACE 3 INBOX {3}
        S: f BAD ...
        C: g UID REPLACE 9 INBOX {3}
        S: g NO [EXPUNGEISSUED] ...
        C: h REPLACE 1 Nothing {3}
        S: h NO [TRYCREATE] ...
        C: i REPLACE 1 Nothing {3+}
        C: abc
        S: i NO [TRYCREATE] ...
        C: j REPLACE 1 INBOX
        S: j BAD ...
        C: k REPLACE 1 {5+}
        C: INBOX
        S: k BAD ...
        C: l REPLACE 1 INBOX {60000000}
        S: l NO [TOOBIG] ...
        C: m REPLACE 1 INBOX {3+}
        C: abc {3+}
        C: def
        S: m BAD ...
        C: n REPLACE $ INBOX {3}
        S: n BAD ...
        """
    )
    # Expunged by another client while the literal was on its way.
    client.send(b"o REPLACE 1 INBOX {3}\r\n")
    assert await client.line() == b"+ OK"
    mailbox = rig.shard.mailbox(rig.residence, "INBOX")
    rig.shard.expunge_uids(rig.residence, mailbox.id, [(1, 1)])
    client.send(b"abc\r\n")
    assert (await client.line()).startswith(b"o NO [EXPUNGEISSUED]")
    assert await client.ok("NOOP") == [b"* 1 EXPUNGE"]
    assert rig.shard.mailbox(rig.residence, "INBOX").messages == 1


@pytest.mark.parametrize("target", ["INBOX", "Work"])
@pytest.mark.parametrize("literal", ["{3}", "{3+}"])
async def test_the_selected_mailbox_is_gone(rig: Rig, target: str, literal: str) -> None:
    """TRYCREATE would be about the target, and creating it would bring back nothing."""
    rig.shard.create(rig.residence, "Work")
    await rig.deliver(message(), mailbox="Work")
    client = await rig.login("Work")
    rig.bus.publish = lambda hint: None  # type: ignore[method-assign]
    rig.shard.delete(rig.residence, "Work")
    client.send(f"a REPLACE 1 {target} {literal}\r\n".encode())
    if literal == "{3}" and target == "INBOX":
        assert await client.line() == b"+ OK"
    client.send(b"abc\r\n")
    assert await client.line() == b"* BYE The selected mailbox is gone"
    await client.closed()
    assert rig.shard.mailbox(rig.residence, "INBOX").messages == 0
    assert not list((rig.folder / "s1/tmp").iterdir())


async def test_what_is_replaced_makes_room(rig: Rig) -> None:
    """RFC 8508 3.3: the quota is asked for what there is in the end, and nothing is lost where it does not fit."""
    old = message("old", "x" * 3000 + "\r\n")
    residence = rig.add("small", quota=len(old) + 100)
    client = await rig.connect()
    await client.ok(f"LOGIN small@{DOMAIN} {PASSWORD}")
    await client.append(old)
    await client.ok("SELECT INBOX")
    assert (await replace(client, "APPEND INBOX", old)).tagged.startswith(b"NO [OVERQUOTA]")
    assert (await replace(client, "REPLACE 1 INBOX", old + b"y" * 99)).status == b"OK"
    assert (await replace(client, "REPLACE 1 INBOX", old + b"y" * 101)).tagged.startswith(b"NO [OVERQUOTA]")
    assert await client.ok("FETCH 1 UID") == [b"* 1 FETCH (UID 2)"]
    assert rig.shard.usage(residence) == (len(old) + 99, 1)
