"""SEARCH and UID SEARCH, ESEARCH."""

import re

import pytest

from tests.access.imap.conftest import Rig, message


@pytest.fixture
async def filled(rig: Rig) -> Rig:
    await rig.deliver(message("apple"), flags=("\\Seen",))
    await rig.deliver(message("pear"), flags=("\\Flagged", "$Work"))
    await rig.deliver(message("apple pie", "with cream\r\n"), message("gone"), message("plum"))
    client = await rig.login("INBOX")
    await client.ok("STORE 4 +FLAGS.SILENT (\\Deleted)")
    await client.ok("EXPUNGE")
    await client.close()
    return rig


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("ALL", "1 2 3 4"),
        ("1:2", "1 2"),
        ("UID 3:*", "3 4"),
        ("*", "4"),
        ("SEEN", "1"),
        ("UNSEEN", "2 3 4"),
        ("NOT (FLAGGED UNSEEN)", "1 3 4"),
        ("OR SEEN KEYWORD $Work", "1 2"),
        ("UNKEYWORD $Work UNSEEN", "3 4"),
        ("RECENT", ""),
        ("NEW", ""),
        ("OLD", "1 2 3 4"),
        ("SUBJECT apple", "1 3"),
        ("SUBJECT APPLE UNSEEN", "3"),
        ("BODY cream", "3"),
        ("TEXT plum", "4"),
        ("HEADER Message-ID pear", "2"),
        ("FROM ann 2:4", "2 3 4"),
        ("LARGER 1", "1 2 3 4"),
        ("SMALLER 1", ""),
        ("SENTON 7-Feb-2022", "1 2 3 4"),
        ("SINCE 1-Jan-2000", "1 2 3 4"),
        ("CHARSET UTF-8 SUBJECT pear", "2"),
        ("YOUNGER 3600", "1 2 3 4"),
        ("OLDER 3600", ""),
        ("SAVEDSINCE 1-Jan-2000 SAVEDATESUPPORTED", "1 2 3 4"),
        ("SAVEDBEFORE 1-Jan-2000", ""),
    ],
)
async def test_keys(filled: Rig, query: str, found: str) -> None:
    client = await filled.login("INBOX")
    assert await client.ok(f"SEARCH {query}") == [f"* SEARCH {found}".rstrip().encode()]
    uids = found.replace("4", "5")
    assert await client.ok(f"UID SEARCH {query}") == [f"* SEARCH {uids}".rstrip().encode()]


async def test_extended(filled: Rig) -> None:
    """RFC 4731."""
    client = await filled.login("INBOX")
    await client.talk(
        """
        C: a SEARCH RETURN (MIN MAX COUNT ALL) UNSEEN
        S: * ESEARCH (TAG "a") MIN 2 MAX 4 ALL 2:4 COUNT 3
        S: a OK SEARCH completed
        C: b UID SEARCH RETURN () UNSEEN
        S: * ESEARCH (TAG "b") UID ALL 2:3,5
        S: b OK UID SEARCH completed
        C: c SEARCH RETURN (COUNT MIN) SUBJECT nothing
        S: * ESEARCH (TAG "c") COUNT 0
        S: c OK SEARCH completed
        """
    )


async def test_partial(filled: Rig) -> None:
    """RFC 9394 3.1."""
    client = await filled.login("INBOX")
    await client.talk(
        """
        C: A01 UID SEARCH RETURN (PARTIAL 1:2) UNSEEN
        S: * ESEARCH (TAG "A01") UID PARTIAL (1:2 2:3)
        S: A01 OK UID SEARCH completed
        C: A02 UID SEARCH RETURN (PARTIAL -1:-2 COUNT) UNSEEN
        S: * ESEARCH (TAG "A02") UID COUNT 3 PARTIAL (-1:-2 3,5)
        S: A02 OK UID SEARCH completed
        C: A03 SEARCH RETURN (PARTIAL 24000:24500) UNSEEN
        S: * ESEARCH (TAG "A03") PARTIAL (24000:24500 NIL)
        S: A03 OK SEARCH completed
        C: A04 SEARCH RETURN (PARTIAL 1:2 ALL) UNSEEN
        S: A04 BAD ...
        """
    )


async def test_mod_sequence(filled: Rig) -> None:
    client = await filled.login("INBOX")
    line = (await client.ok("SEARCH ALL MODSEQ 1"))[-1]
    found = re.fullmatch(rb"\* SEARCH 1 2 3 4 \(MODSEQ (\d+)\)", line)
    assert found is not None, line
    assert await client.ok(f"SEARCH MODSEQ {int(found[1]) + 1}") == [b"* SEARCH"]
    await client.ok("STORE 2 +FLAGS.SILENT (\\Seen)")
    highest = (await client.ok("SEARCH RETURN (COUNT) MODSEQ 1"))[0].rpartition(b" ")[2]
    assert int(highest) > int(found[1])
    for options, has in (
        ("MIN MAX", False),
        ("PARTIAL 3:4", False),
        ("PARTIAL 2:2", True),
        ("MIN ALL", True),
    ):
        line = (await client.ok(f"SEARCH RETURN ({options}) MODSEQ 1"))[0]
        assert (line.rpartition(b" ")[2] == highest) is has, line
    lines = await client.ok("SEARCH RETURN (MIN) MODSEQ 1")
    assert re.fullmatch(rb'\* ESEARCH \(TAG "t\d+"\) MIN 1 MODSEQ \d+', lines[0])


async def test_bad(filled: Rig) -> None:
    client = await filled.login("INBOX")
    answer = await client.command("SEARCH CHARSET KOI8-R SUBJECT x")
    assert answer.tagged.startswith(b"NO [BADCHARSET (US-ASCII UTF-8)]")
    for query in ("", " ", " NONSENSE", " 9", " SUBJECT", " (ALL", " BEFORE 31-Foo-2022"):
        assert (await client.command(f"SEARCH{query}")).status == b"BAD", query


async def test_empty_mailbox(rig: Rig) -> None:
    client = await rig.login("INBOX")
    for query in ("ALL", "1:*", "SUBJECT x", "UID 1:*"):
        assert await client.ok(f"SEARCH {query}") == [b"* SEARCH"]


async def test_new_messages_have_numbers(filled: Rig) -> None:
    """What SEARCH finds was announced before."""
    client = await filled.login("INBOX")
    await filled.deliver(message("apple again"))
    assert await client.ok("SEARCH SUBJECT apple") == [b"* 5 EXISTS", b"* SEARCH 1 3 5"]
