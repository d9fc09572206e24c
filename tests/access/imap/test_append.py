"""APPEND, MULTIAPPEND, pipelines of both."""

import re

from mailplat.access.imap import ImapLimits
from tests.access.imap.conftest import DOMAIN, PASSWORD, MakeRig, Rig, message


async def test_synchronising(rig: Rig) -> None:
    client = await rig.login("INBOX")
    await client.talk(
        """
        C: a APPEND INBOX (\\Seen $Label) "17-Jul-1996 02:44:25 -0700" {5}
        S: + OK
        C: hello
        S: * 1 EXISTS
        S: * FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Label)
        S: a OK [APPENDUID ... 1] Stored
        C: b FETCH 1 (FLAGS INTERNALDATE BODY.PEEK[])
        S: * 1 FETCH (FLAGS (\\Seen $Label) INTERNALDATE "17-Jul-1996 02:44:25 -0700" BODY[] {5}...hello)
        S: b OK FETCH completed
        C: c APPEND Nothing {5}
        S: c NO [TRYCREATE] ...
        C: d APPEND INBOX
        S: d BAD ...
        C: e APPEND INBOX (\\Nonsense) {5}
        S: e BAD ...
        C: f APPEND INBOX {60000000}
        S: f NO [TOOBIG] ...
        C: g NOOP
        S: g OK ...
        """
    )


async def test_refused_literals_are_swallowed(rig: Rig) -> None:
    """LITERAL+ octets come whatever we say; they must not be read as commands."""
    client = await rig.login()
    client.send(b"a APPEND Nothing {13+}\r\nx DELETE Work\r\n")
    assert (await client.line()).startswith(b"a NO [TRYCREATE]")
    client.send(b"b APPEND INBOX (bad bad {13+}\r\nx DELETE Work\r\n")
    assert (await client.line()).startswith(b"b BAD")
    client.send(b"c NOOP\r\n")
    assert (await client.line()) == b"c OK NOOP completed"


async def test_before_login(rig: Rig) -> None:
    client = await rig.connect()
    client.send(b"a APPEND INBOX {3+}\r\nabc\r\nb NOOP\r\n")
    assert await client.line() == b"a BAD Log in first"
    assert await client.line() == b"b OK NOOP completed"


async def test_pipelined_appends_keep_their_order(rig: Rig) -> None:
    client = await rig.login()
    await client.ok("CREATE Other")
    count = 230
    octets = b""
    for number in range(count):
        body = message(str(number))
        box = b"Other" if number % 50 == 7 else b"Nothing" if number == 100 else b"INBOX"
        octets += b"n%d APPEND %b {%d+}\r\n%b\r\n" % (number, box, len(body), body)
    client.send(octets + b"z NOOP\r\n")
    uids: dict[bytes, list[int]] = {}
    for number in range(count):
        line = await client.line()
        assert line.startswith(b"n%d " % number)
        if number == 100:
            assert b" NO [TRYCREATE]" in line
            continue
        validity, uid = re.search(rb"OK \[APPENDUID (\d+) (\d+)\]", line).groups()  # type: ignore[union-attr]
        uids.setdefault(validity, []).append(int(uid))
    assert await client.line() == b"z OK NOOP completed"
    assert sorted(map(len, uids.values())) == [5, 224]
    assert all(each == list(range(1, len(each) + 1)) for each in uids.values())
    await client.ok("SELECT INBOX")
    lines = await client.ok("FETCH 1:* BODY.PEEK[HEADER.FIELDS (SUBJECT)]")
    subjects = [int(re.search(rb"Subject: (\d+)", line)[1]) for line in lines]  # type: ignore[index]
    assert subjects == [n for n in range(count) if n % 50 != 7 and n != 100]


async def test_one_bad_append_does_not_take_others_with_it(rigs: MakeRig) -> None:
    rig = await rigs()
    rig.add("small", quota=1000)
    client = await rig.login(name="small")
    octets = b""
    for tag, size in ((b"a", 400), (b"b", 5000), (b"c", 400)):
        octets += b"%b APPEND INBOX {%d+}\r\n%b\r\n" % (tag, size, b"x" * size)
    client.send(octets)
    assert (await client.line()).startswith(b"a OK [APPENDUID")
    assert (await client.line()).startswith(b"b NO [OVERQUOTA]")
    assert (await client.line()).startswith(b"c OK [APPENDUID")


async def test_multiappend_is_all_or_nothing(rig: Rig) -> None:
    """RFC 3502."""
    client = await rig.login()
    client.send(b"a APPEND INBOX (\\Seen) {3+}\r\none {3+}\r\ntwo\r\n")
    assert re.fullmatch(rb"a OK \[APPENDUID \d+ 1:2\] Stored", await client.line())
    client.send(b"b APPEND INBOX {3+}\r\none (\\Wrong) {3+}\r\ntwo\r\nc NOOP\r\n")
    assert (await client.line()).startswith(b"b BAD")
    assert await client.line() == b"c OK NOOP completed"
    client.send(b"d APPEND INBOX {3}\r\n")
    assert await client.line() == b"+ OK"
    client.send(b"one {60000000}\r\n")
    assert (await client.line()).startswith(b"d NO [TOOBIG]")
    assert await client.ok("STATUS INBOX (MESSAGES)") == [b"* STATUS INBOX (MESSAGES 2)"]


async def test_spooled_and_vanishing(rig: Rig) -> None:
    """A message above the memory limit; and a client that goes away in the middle of one."""
    client = await rig.login()
    big = message(text="0123456789" * 60_000 + "\r\n")
    assert await client.append(big) == 1
    gone = await rig.login()
    gone.send(b"a APPEND INBOX {1000000+}\r\n" + b"x" * 500_000)
    await gone.close()
    await client.ok("SELECT INBOX")
    [line] = await client.ok("FETCH 1:* BODY.PEEK[]")
    assert big in line


async def test_limit_is_a_setting(rigs: MakeRig) -> None:
    rig = await rigs(limits=ImapLimits(message_size=100))
    client = await rig.connect()
    lines = await client.command(f"LOGIN user@{DOMAIN} {PASSWORD}")
    assert b"APPENDLIMIT=100]" in lines.tagged
    assert (await client.command(b"APPEND INBOX {101+}\r\n" + b"x" * 101)).tagged.startswith(b"NO [TOOBIG]")
    assert await client.append(b"x" * 100) == 1


async def test_shutdown_in_the_middle_of_a_pipeline(rig: Rig) -> None:
    """What was stored is answered, and before the BYE."""
    client = await rig.login()
    octets = b"".join(b"n%d APPEND INBOX {4+}\r\nabcd\r\n" % number for number in range(300))
    client.send(octets)
    await client.line()
    await rig.server.close()
    answered = 1
    while not (line := await client.line()).startswith(b"* BYE"):
        assert b" OK [APPENDUID " in line
        answered += 1
    await client.closed()
    assert (
        len(rig.shard.snapshot(rig.residence, rig.shard.mailbox(rig.residence, "INBOX").id).uids) == answered
    )
