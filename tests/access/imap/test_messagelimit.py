"""MESSAGELIMIT and SAVELIMIT (RFC 9738)."""

import pytest

from mailplat.access.imap import ImapLimits
from tests.access.imap.client import Client
from tests.access.imap.conftest import MakeRig, message

LIMITED = ImapLimits(message_limit=3)


async def opened(rigs: MakeRig, limits: ImapLimits = LIMITED, count: int = 7) -> Client:
    rig = await rigs(limits=limits)
    await rig.deliver(*(message(f"m{n}") for n in range(1, count + 1)))
    client = await rig.login("INBOX")
    await client.ok("CREATE x")
    return client


async def test_off(rigs: MakeRig) -> None:
    client = await opened(rigs, ImapLimits())
    [line] = await client.ok("CAPABILITY")
    assert b"MESSAGELIMIT" not in line
    assert b"SAVELIMIT" not in line
    assert await client.ok("UID SEARCH UIDAFTER 5") == [b"* SEARCH 6 7"]
    assert await client.ok("UID SEARCH UIDBEFORE 3") == [b"* SEARCH 1 2"]
    # unlike UID 7:*, which names the last message always
    assert await client.ok("UID SEARCH UIDAFTER 7") == [b"* SEARCH"]
    assert await client.ok("UID SEARCH UIDAFTER 4294967295") == [b"* SEARCH"]
    assert await client.ok("UID SEARCH UIDBEFORE 1") == [b"* SEARCH"]
    assert await client.ok("UID SEARCH UIDBEFORE 4294967295 UIDAFTER 6") == [b"* SEARCH 7"]
    assert (await client.command("UID SEARCH UIDAFTER 0")).status == b"BAD"


@pytest.mark.parametrize("items", ["FLAGS", "RFC822.SIZE", "BODY.PEEK[]"])
async def test_fetch(rigs: MakeRig, items: str) -> None:
    """RFC 9738 3.1: the highest UIDs first, and where the client goes on."""
    client = await opened(rigs)
    assert b" MESSAGELIMIT=3 " in (await client.ok("CAPABILITY"))[0]
    answer = await client.command(f"FETCH 1:* ({items} UID)")
    assert answer.tagged.startswith(b"OK [MESSAGELIMIT 3 5] FETCH completed")
    assert [line.split(b" ")[1] for line in answer.lines] == [b"7", b"6", b"5"]
    answer = await client.command(f"UID FETCH 1:4 ({items})")
    assert answer.tagged.startswith(b"OK [MESSAGELIMIT 3 2]")
    answer = await client.command(f"UID FETCH 1 ({items})")
    assert answer.tagged == b"OK UID FETCH completed"
    assert len(await client.ok(f"FETCH 1,3,7 ({items})")) == 3


async def test_pages(rigs: MakeRig) -> None:
    client = await opened(rigs)
    assert len(await client.ok("UID FETCH 1:* (FLAGS) (PARTIAL 1:3)")) == 3
    answer = await client.command("UID FETCH 1:* (FLAGS) (PARTIAL -1:-4)")
    assert (answer.lines, answer.tagged.split(b"]")[0]) == ([], b"NO [MESSAGELIMIT 3")


async def test_changes(rigs: MakeRig) -> None:
    """STORE, UID EXPUNGE, MOVE; a code that is there already stays, MESSAGELIMIT goes before it."""
    client = await opened(rigs, count=9)
    answer = await client.command("STORE 1:* +FLAGS (\\Deleted)")
    assert answer.tagged.startswith(b"OK [MESSAGELIMIT 3 7]")
    assert len(answer.lines) == 3
    assert (await client.command("UID STORE 1:6 +FLAGS (\\Deleted)")).tagged.startswith(
        b"OK [MESSAGELIMIT 3 4]"
    )
    answer = await client.command("UID EXPUNGE 1:9")  # six of them can be
    assert answer.tagged.startswith(b"OK [MESSAGELIMIT 3 7]")
    assert answer.lines == [b"* 9 EXPUNGE", b"* 8 EXPUNGE", b"* 7 EXPUNGE"]
    assert (await client.command("UID EXPUNGE 1:9")).tagged == b"OK UID EXPUNGE completed"
    await client.ok("UID STORE 1:3 +FLAGS (\\Deleted)")
    await client.ok("ENABLE CONDSTORE")
    assert (await client.command("UID EXPUNGE 1:2")).tagged.startswith(b"OK [HIGHESTMODSEQ")
    await client.append(message("again"))
    for _ in range(4):
        await client.append(message("again"))
    answer = await client.command("MOVE 1:* x")
    assert answer.lines[0].startswith(b"* OK [COPYUID ")
    assert answer.lines[0].split(b"]")[0].endswith(b" 12:14 1:3")
    assert b"* NO [MESSAGELIMIT 3 12] Only the last 3 messages" in answer.lines
    assert answer.tagged.startswith(b"OK [HIGHESTMODSEQ ")
    await client.ok("STORE 1:3 +FLAGS (\\Deleted)")
    assert len(await client.ok("EXPUNGE")) == 3  # which is never limited


async def test_expunge_and_close_are_not_limited(rigs: MakeRig) -> None:
    client = await opened(rigs)
    for uids in ("1:3", "4:6", "7"):
        await client.ok(f"UID STORE {uids} +FLAGS (\\Deleted)")
    assert (await client.ok("STATUS INBOX (MESSAGES UNSEEN)")) == [b"* STATUS INBOX (MESSAGES 7 UNSEEN 7)"]
    assert len(await client.ok("EXPUNGE")) == 7


@pytest.mark.parametrize("limits", [LIMITED, ImapLimits(save_limit=3)])
async def test_all_or_nothing(rigs: MakeRig, limits: ImapLimits) -> None:
    """COPY, and APPEND of several messages."""
    client = await opened(rigs, limits)
    answer = await client.command("COPY 1:4 x")
    assert answer.tagged.startswith(b"NO [MESSAGELIMIT 3 2]")
    assert (await client.command("UID COPY 1:* x")).tagged.startswith(b"NO [MESSAGELIMIT 3 5]")
    text = message("new")
    three = b"".join(b" {%d+}\r\n%b" % (len(text), text) for _ in range(3))
    answer = await client.command(b"APPEND x" + three + b" {%d+}\r\n%b" % (len(text), text))
    assert answer.tagged.startswith(b"NO [MESSAGELIMIT 3]")
    assert await client.ok("STATUS x (MESSAGES)") == [b"* STATUS x (MESSAGES 0)"]
    await client.ok(b"APPEND x" + three)
    await client.ok("COPY 1:3 x")
    assert await client.ok("STATUS x (MESSAGES)") == [b"* STATUS x (MESSAGES 6)"]


async def test_save_limit_limits_nothing_else(rigs: MakeRig) -> None:
    client = await opened(rigs, ImapLimits(save_limit=3))
    [line] = await client.ok("CAPABILITY")
    assert b" SAVELIMIT=3 " in line
    assert b" MESSAGELIMIT=" not in line
    assert len(await client.ok("FETCH 1:* (FLAGS)")) == 7
    assert await client.ok("SEARCH ALL") == [b"* SEARCH 1 2 3 4 5 6 7"]


async def test_search(rigs: MakeRig) -> None:
    """RFC 9738 3.1 to 3.4: messages that are looked at count, not those that are found."""
    client = await opened(rigs)
    answer = await client.command("UID SEARCH SUBJECT m")
    assert answer.lines == [b"* SEARCH 5 6 7"]
    assert answer.tagged.startswith(b"OK [MESSAGELIMIT 3 5]")
    answer = await client.command("UID SEARCH UIDBEFORE 5 SUBJECT m")
    assert (answer.lines, answer.tagged[:24]) == ([b"* SEARCH 2 3 4"], b"OK [MESSAGELIMIT 3 2] UI")
    answer = await client.command("UID SEARCH UIDBEFORE 2 SUBJECT m")
    assert (answer.lines, answer.tagged) == ([b"* SEARCH 1"], b"OK UID SEARCH completed")
    answer = await client.command("UID SEARCH SUBJECT m1")
    assert (answer.lines, answer.tagged[:21]) == ([b"* SEARCH"], b"OK [MESSAGELIMIT 3 5]")
    answer = await client.command("SEARCH RETURN (SAVE COUNT) ALL")
    assert answer.lines[0].endswith(b" COUNT 3")
    assert answer.tagged.startswith(b"OK [MESSAGELIMIT 3 5]")
    assert await client.ok("FETCH $ (UID)") == [b"* %d FETCH (UID %d)" % (n, n) for n in (5, 6, 7)]
    assert await client.ok("SEARCH 1:3 ALL") == [b"* SEARCH 1 2 3"]
    assert await client.ok("SEARCH NOT 1:4 OR SUBJECT m1 SUBJECT m6") == [b"* SEARCH 6"]


@pytest.mark.parametrize("command", ["SORT (SUBJECT) UTF-8", "THREAD ORDEREDSUBJECT UTF-8"])
async def test_what_is_of_no_use_in_parts(rigs: MakeRig, command: str) -> None:
    """RFC 9738 3.3."""
    client = await opened(rigs)
    answer = await client.command(f"UID {command} ALL")
    assert (answer.lines, answer.tagged.split(b"]")[0]) == ([], b"NO [MESSAGELIMIT 3")
    assert (await client.command(f"UID {command} UIDAFTER 4")).status == b"OK"
