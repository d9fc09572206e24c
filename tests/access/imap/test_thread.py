"""THREAD and UID THREAD (RFC 5256)."""

import pytest

from tests.access.imap.conftest import Rig


def letter(name: str, subject: str, *references: str, minute: int, field: str = "References") -> bytes:
    lines = f"From: a@x\r\nSubject: {subject}\r\nMessage-ID: <{name}@x>\r\n"
    lines += f"Date: Tue, 1 Jan 2019 10:{minute:02}:00 +0000\r\n"
    if references:
        lines += f"{field}: " + "\r\n ".join(f"<{each}@x>" for each in references) + "\r\n"
    return f"{lines}\r\nText\r\n".encode()


@pytest.fixture
async def filled(rig: Rig) -> Rig:
    await rig.deliver(
        letter("gone", "gone", minute=0),
        letter("a", "Plans", minute=1),
        letter("c", "Re: Plans", "a", "b", minute=3),  # b is not here
        letter("d", "Re: Plans", "a", minute=2, field="In-Reply-To"),
        letter("e", "Other", minute=4),
        letter("f", "Re: [list] other (fwd)", minute=5),  # by its subject only
        letter("g", "New subject", "a", "b", "c", minute=6),
    )
    client = await rig.login("INBOX")
    await client.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
    await client.ok("EXPUNGE")
    await client.close()
    return rig


async def test_references(filled: Rig) -> None:
    client = await filled.login("INBOX")
    await client.talk(
        """
        C: a THREAD REFERENCES UTF-8 ALL
        S: * THREAD (1 (3)(2 6))(4 5)
        S: a OK THREAD completed
        C: b UID THREAD references US-ASCII ALL
        S: * THREAD (2 (4)(3 7))(5 6)
        S: b OK UID THREAD completed
        C: c THREAD REFERENCES UTF-8 2:3
        S: * THREAD ((3)(2))
        S: c OK THREAD completed
        C: d THREAD REFERENCES UTF-8 SUBJECT nothing
        S: * THREAD
        S: d OK THREAD completed
        """
    )


async def test_ordered_subject(filled: Rig) -> None:
    client = await filled.login("INBOX")
    await client.talk(
        """
        C: a THREAD ORDEREDSUBJECT UTF-8 ALL
        S: * THREAD (1 (3)(2))(4 5)(6)
        S: a OK THREAD completed
        C: b SEARCH RETURN (SAVE) SUBJECT plans
        S: b OK SEARCH completed
        C: c UID THREAD ORDEREDSUBJECT UTF-8 $
        S: * THREAD (2 (4)(3))
        S: c OK UID THREAD completed
        """
    )


async def test_bad(filled: Rig) -> None:
    client = await filled.login("INBOX")
    for arguments in ("REFS UTF-8 ALL", "REFERENCES ALL", "REFERENCES UTF-8", "UTF-8 ALL", ""):
        assert (await client.command(f"THREAD {arguments}")).status in (b"BAD", b"NO"), arguments
    answer = await client.command("THREAD REFERENCES KOI8-R ALL")
    assert answer.tagged.startswith(b"NO [BADCHARSET (US-ASCII UTF-8)]")


async def test_empty_mailbox(rig: Rig) -> None:
    client = await rig.login("INBOX")
    for algorithm in ("ORDEREDSUBJECT", "REFERENCES"):
        assert await client.ok(f"THREAD {algorithm} UTF-8 ALL") == [b"* THREAD"]


async def test_no_expunge_while_it_runs(filled: Rig) -> None:
    client, other = await filled.login("INBOX"), await filled.login("INBOX")
    await other.ok("STORE 4 +FLAGS.SILENT (\\Deleted)")
    await other.ok("EXPUNGE")
    assert await client.ok("THREAD REFERENCES UTF-8 4:6") == [b"* THREAD (5)(6)"]
    assert await client.ok("UID THREAD REFERENCES UTF-8 UID 5:7") == [b"* 4 EXPUNGE", b"* THREAD (6)(7)"]
