"""FETCH and UID FETCH."""

import errno
import os
import re
from typing import BinaryIO

import pytest

from mailplat.access.imap import ImapLimits, streaming
from tests.access.imap.client import Client
from tests.access.imap.conftest import MakeRig, Rig, message

NESTED = (
    b"From: a@example.test\r\nSubject: mixed\r\nMIME-Version: 1.0\r\n"
    b'Content-Type: multipart/mixed; boundary="b"\r\n\r\npreamble\r\n'
    b"--b\r\nContent-Type: text/plain\r\n\r\nfirst part\r\n"
    b"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\nFrom: c@example.test\r\n\r\ninner text\r\n"
    b"--b--\r\n"
)


def literal_of(line: bytes) -> bytes:
    """The octets of the first literal of a line."""
    found = re.search(rb"\{(\d+)\}\r\n", line)
    assert found is not None, line
    return line[found.end() : found.end() + int(found[1])]


async def test_items_of_the_index(rig: Rig) -> None:
    client = await rig.login()
    await client.append(message(), flags="(\\Seen $Label)", date=" 7-Feb-2022 21:52:25 -0800")
    size = len(message())
    await client.talk(
        f"""
        C: a SELECT INBOX
        S: * FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Label)
        S: * OK [PERMANENTFLAGS ...$Label \\*)] ...
        S: * 1 EXISTS
        S: * 0 RECENT
        S: * OK [UIDVALIDITY ...] ...
        S: * OK [UIDNEXT 2] ...
        S: * OK [HIGHESTMODSEQ ...] ...
        S: * OK [MAILBOXID (...)] ...
        S: a OK [READ-WRITE] SELECT completed
        C: b FETCH 1 ALL
        S: * 1 FETCH (FLAGS (\\Seen $Label) INTERNALDATE " 7-Feb-2022 21:52:25 -0800" RFC822.SIZE {size} ENVELOPE (...
        S: b OK FETCH completed
        C: c UID FETCH 1 (BODYSTRUCTURE)
        S: * 1 FETCH (UID 1 BODYSTRUCTURE ("text" "plain" ...))
        S: c OK UID FETCH completed
        C: d FETCH 1 (BODY MODSEQ)
        S: * OK [HIGHESTMODSEQ ...] ...
        S: * 1 FETCH (BODY ("text" "plain" ...) MODSEQ (...))
        S: d OK FETCH completed
        C: e FETCH 1:* FAST
        S: * 1 FETCH (FLAGS (\\Seen $Label) INTERNALDATE ... RFC822.SIZE {size})
        S: e OK FETCH completed
        """
    )


async def test_sections_come_back_octet_for_octet(rig: Rig) -> None:
    await rig.deliver(NESTED)
    client = await rig.login("INBOX")
    for section, expected in (
        ("BODY.PEEK[]", NESTED),
        ("BODY.PEEK[HEADER]", NESTED[: NESTED.index(b"preamble")]),
        ("BODY.PEEK[TEXT]", NESTED[NESTED.index(b"preamble") :]),
        ("BODY.PEEK[HEADER.FIELDS (SUBJECT)]", b"Subject: mixed\r\n\r\n"),
        (
            "BODY.PEEK[HEADER.FIELDS.NOT (from mime-version content-type)]",
            b"Subject: mixed\r\n\r\n",
        ),
        ("BODY.PEEK[1]", b"first part"),
        ("BODY.PEEK[1.MIME]", b"Content-Type: text/plain\r\n\r\n"),
        ("BODY.PEEK[2.HEADER]", b"Subject: inner\r\nFrom: c@example.test\r\n\r\n"),
        ("BODY.PEEK[2.TEXT]", b"inner text"),
        ("BODY.PEEK[]<5.10>", NESTED[5:15]),
        ("BODY.PEEK[]<100000.10>", b""),
        ("RFC822.HEADER", NESTED[: NESTED.index(b"preamble")]),
    ):
        [line] = await client.ok(f"FETCH 1 {section}")
        assert literal_of(line) == expected, section
    [line] = await client.ok("FETCH 1 BODY.PEEK[7]")
    assert line == b"* 1 FETCH (BODY[7] NIL)"
    [line] = await client.ok("FETCH 1 (UID BODY.PEEK[1]<0.5> FLAGS)")
    assert line == b"* 1 FETCH (UID 1 FLAGS () BODY[1]<0> {5}\r\nfirst)"


async def test_labels_are_said_as_they_were_asked_for(rig: Rig) -> None:
    await rig.deliver(b"Subject: a\r\nX-%d: 100%\r\n\r\ntext\r\n")
    client = await rig.login("INBOX")
    [line] = await client.ok(
        'FETCH 1 (UID BODY.PEEK[HEADER.FIELDS ("X-%d")] BODY.PEEK[HEADER.FIELDS ("X-%b")])'
    )
    assert line == (
        b'* 1 FETCH (UID 1 BODY[HEADER.FIELDS ("X-%d")] {14}\r\nX-%d: 100%\r\n\r\n'
        b' BODY[HEADER.FIELDS ("X-%b")] {2}\r\n\r\n)'
    )


async def test_large_messages_are_streamed(rigs: MakeRig) -> None:
    rig = await rigs(limits=ImapLimits(large_message=10_000, bodies=15_000))
    small, large = message("small"), message("large", "x" * 70 + "\r\n" * 20_000)
    big_part = NESTED.replace(b"first part", b"y" * 30_000)
    await rig.deliver(small, large, small, big_part, large)
    client = await rig.login("INBOX")
    lines = await client.ok("FETCH 1:* (UID BODY.PEEK[])")
    assert [literal_of(line) for line in lines] == [small, large, small, big_part, large]
    [line] = await client.ok("FETCH 4 (BODY.PEEK[1] BODY.PEEK[HEADER.FIELDS (Subject)] BODY.PEEK[TEXT]<2.8>)")
    assert literal_of(line) == b"y" * 30_000
    assert line.endswith(
        b" BODY[HEADER.FIELDS (Subject)] {18}\r\nSubject: mixed\r\n\r\n BODY[TEXT]<2> {8}\r\neamble\r\n)"
    )
    [line] = await client.ok("FETCH 2 BODY[]")
    assert line.endswith(b" FLAGS (\\Seen))")


async def test_seen_is_set_unless_peeked(rig: Rig) -> None:
    await rig.deliver(message("one"), message("two"))
    await rig.deliver(message("three"), flags=("\\Seen",))
    client = await rig.login("INBOX")
    other = await rig.login("INBOX")
    await client.ok("FETCH 1:3 BODY.PEEK[]")
    lines = await client.ok("FETCH 1:3 BODY[HEADER.FIELDS (SUBJECT)]")
    assert [b"FLAGS (\\Seen)" in line for line in lines] == [True, True, False]
    assert await other.ok("NOOP") == [
        b"* 1 FETCH (UID 1 FLAGS (\\Seen))",
        b"* 2 FETCH (UID 2 FLAGS (\\Seen))",
    ]
    assert await client.ok("NOOP") == []


async def test_examine_never_sets_seen(rig: Rig) -> None:
    await rig.deliver(message())
    client = await rig.login()
    await client.ok("EXAMINE INBOX")
    [line] = await client.ok("FETCH 1 BODY[]")
    assert b"\\Seen" not in line
    assert await client.ok("FETCH 1 FLAGS") == [b"* 1 FETCH (FLAGS ())"]


async def test_sets(rig: Rig) -> None:
    await rig.deliver(*(message(str(number)) for number in range(6)))
    client = await rig.login("INBOX")
    await client.ok("UID STORE 2,4 +FLAGS.SILENT (\\Deleted)")
    await client.ok("EXPUNGE")  # 1 3 5 6

    async def uids(command: str) -> list[int]:
        lines = await client.ok(command)
        found = (re.search(rb"UID (\d+)", line) for line in lines)
        return [int(match[1]) for match in found if match]

    assert await uids("FETCH 1:* UID") == [1, 3, 5, 6]
    assert await uids("FETCH 4,1:2,2 UID") == [1, 3, 6]
    assert await uids("FETCH *:3 UID") == [5, 6]
    assert await uids("UID FETCH 2:5 UID") == [3, 5]
    assert await uids("UID FETCH 100:* UID") == [6]
    assert await uids("UID FETCH 100:200 (UID ENVELOPE)") == []
    assert (await client.command("FETCH 5 UID")).status == b"BAD"
    assert (await client.command("FETCH 0 UID")).status == b"BAD"
    assert await uids("FETCH $ UID") == []  # nothing is saved yet (RFC 5182 2.1)


async def test_empty_mailbox(rig: Rig) -> None:
    client = await rig.login("INBOX")
    assert await client.ok("FETCH 1:* FLAGS") == []
    assert await client.ok("UID FETCH 1:* (FLAGS BODY[])") == []
    assert (await client.command("FETCH 1 FLAGS")).status == b"BAD"


async def test_many_messages_in_pieces(rigs: MakeRig) -> None:
    rig = await rigs(limits=ImapLimits(rows=7, bodies=2000))
    await rig.deliver(*(message(str(number)) for number in range(40)))
    client = await rig.login("INBOX")
    await client.ok("UID STORE 5:9 +FLAGS.SILENT (\\Deleted)")
    await client.ok("EXPUNGE")
    for items in ("UID", "(UID ENVELOPE)", "(UID BODY.PEEK[])"):
        lines = await client.ok(f"FETCH 1:* {items}")
        heads = [b" ".join(line.split(b" ", 5)[1:5]).rstrip(b")") for line in lines]
        uids = [*range(1, 5), *range(10, 41)]
        assert heads == [b"%d FETCH (UID %d" % pair for pair in enumerate(uids, 1)]


async def test_expunged_elsewhere(rig: Rig) -> None:
    """RFC 2180 4.1.2: what is left is answered, then NO; the UID form skips it."""
    await rig.deliver(message("one"), message("two"), message("three"))
    client, other = await rig.login("INBOX"), await rig.login("INBOX")
    await other.ok("STORE 2 +FLAGS (\\Deleted)")
    await other.ok("EXPUNGE")
    answer = await client.command("FETCH 1:3 (UID RFC822.SIZE)")
    assert answer.tagged.startswith(b"NO [EXPUNGEISSUED]")
    assert [line[:15] for line in answer.lines] == [b"* 1 FETCH (UID ", b"* 3 FETCH (UID "]
    answer = await client.command("FETCH 1:3 (UID BODY.PEEK[])")
    assert answer.tagged.startswith(b"NO [EXPUNGEISSUED]")
    assert len(answer.lines) == 2
    answer = await client.command("UID FETCH 1:3 (RFC822.SIZE)")
    assert answer.status == b"OK"
    assert [line[:9] for line in answer.lines] == [b"* 1 FETCH", b"* 3 FETCH", b"* 2 EXPUN"]


async def test_changed_since(rig: Rig) -> None:
    await rig.deliver(message("one"), message("two"))
    client = await rig.login("INBOX")
    line = (await client.ok("FETCH 2 (MODSEQ)"))[-1]
    since = int(re.search(rb"MODSEQ \((\d+)\)", line)[1])  # type: ignore[index]
    await client.ok("STORE 1 +FLAGS.SILENT (\\Flagged)")
    lines = await client.ok(f"FETCH 1:* (FLAGS) (CHANGEDSINCE {since})")
    assert len(lines) == 1
    assert re.fullmatch(rb"\* 1 FETCH \(FLAGS \(\\Flagged\) MODSEQ \(\d+\)\)", lines[0])
    assert (await client.command("UID FETCH 1:* (FLAGS) (CHANGEDSINCE 1 VANISHED)")).status == b"BAD"


async def test_pages_of_messages(rig: Rig) -> None:
    """RFC 9394 3.4: of the messages named, counted from the first or from the last."""
    await rig.deliver(*(message(str(number)) for number in range(1, 9)))
    client = await rig.login("INBOX")
    await client.ok("UID STORE 2,5 +FLAGS.SILENT (\\Deleted)")
    await client.ok("EXPUNGE")  # leaves the UIDs 1 3 4 6 7 8
    for named, partial, expected in (
        ("1:*", "1:2", [1, 3]),
        ("1:*", "2:1", [1, 3]),
        ("1:*", "3:100", [4, 6, 7, 8]),
        ("1:*", "-1:-2", [7, 8]),
        ("1:*", "-2:-1", [7, 8]),
        ("1:*", "-3:-100", [1, 3, 4, 6]),
        ("1:*", "-6:-6", [1]),
        ("1:*", "7:9", []),
        ("1:*", "-7:-9", []),
        ("1:3,7:*", "2:3", [3, 7]),
        ("1:3,7:*", "-4:-3", [1, 3]),
        ("100", "1:1", []),
    ):
        lines = await client.ok(f"UID FETCH {named} (UID) (PARTIAL {partial})")
        uids = [int(line.partition(b"(UID ")[2][:-1]) for line in lines]
        assert uids == expected, (named, partial)
    highest = max(number for _, number in await modseqs(client))
    await client.ok("UID STORE 1,4,8 +FLAGS.SILENT (\\Seen)")
    lines = await client.ok(f"UID FETCH 1:* (FLAGS) (PARTIAL -1:-2 CHANGEDSINCE {highest})")
    assert [line.partition(b"(UID ")[2][:1] for line in lines] == [b"4", b"8"]
    for bad in ("0:1", "1:-1", "-0:-1", "1", "1:", ":1", "1:2 PARTIAL 3:4", "1:*"):
        assert (await client.command(f"UID FETCH 1:* (UID) (PARTIAL {bad})")).status == b"BAD", bad


async def modseqs(client: Client) -> list[tuple[int, int]]:
    lines = await client.ok("UID FETCH 1:* (UID MODSEQ)")
    found = (re.search(rb"UID (\d+) MODSEQ \((\d+)\)", line) for line in lines)
    return [(int(match[1]), int(match[2])) for match in found if match]


async def test_a_long_fetch_says_how_far_it_is(rigs: MakeRig) -> None:
    """RFC 9585; here every step is a long one."""
    rig = await rigs(limits=ImapLimits(progress=0.0, rows=2, bodies=1, large_message=10_000))
    await rig.deliver(*(message(str(number)) for number in range(3)), message("large", "x" * 20_000))
    client = await rig.login("INBOX")
    await client.talk(
        """
        C: "x FETCH 1 ENVELOPE
        S: * BAD ...
        C: a FETCH 1:4 (UID RFC822.SIZE)
        S: * 1 FETCH ...
        S: * 2 FETCH ...
        S: * OK [INPROGRESS ("a" 2 4)] ...
        S: * 3 FETCH ...
        S: * 4 FETCH ...
        S: a OK FETCH completed
        C: b FETCH 2:4 (BODY.PEEK[TEXT]<0.1>)
        S: * 2 FETCH ...
        S: * OK [INPROGRESS ("b" 1 3)] ...
        S: * 3 FETCH ...
        S: * OK [INPROGRESS ("b" 2 3)] ...
        S: * 4 FETCH ...
        S: b OK FETCH completed
        """
    )


async def test_a_short_fetch_says_nothing_of_it(rigs: MakeRig) -> None:
    rig = await rigs(limits=ImapLimits(rows=1))
    await rig.deliver(*(message(str(number)) for number in range(3)))
    client = await rig.login("INBOX")
    assert len(await client.ok("FETCH 1:* (RFC822.SIZE)")) == 3


async def test_a_disk_that_fails_amid_a_large_message_ends_the_connection(
    rigs: MakeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reply would be read as part of the message."""
    rig = await rigs(limits=ImapLimits(large_message=1000))
    await rig.deliver(message("large", "x" * 600_000))
    client = await rig.login("INBOX")
    reads = iter(range(2))

    def pread(file: BinaryIO, start: int, end: int) -> bytes:
        if next(reads, None) is None:
            raise OSError(errno.EIO, "the disk failed")
        return os.pread(file.fileno(), end - start, start)

    monkeypatch.setattr(streaming, "_pread", pread)
    client.send(b"f FETCH 1 BODY.PEEK[]\r\n")
    octets = await client.reader.read(-1)
    assert b"{600" in octets[:60]
    assert len(octets) < 600_000
    assert b"f NO" not in octets
