"""STORE and UID STORE."""

import re

from tests.access.imap.conftest import Rig, message


async def test_modes(rig: Rig) -> None:
    await rig.deliver(message("one"), message("two"))
    client = await rig.login()
    await client.talk(
        """
        C: a SELECT INBOX
        S: * FLAGS ...
        S: * OK [PERMANENTFLAGS ...
        S: * 2 EXISTS
        S: * 0 RECENT
        S: * OK [UNSEEN 1] ...
        S: * OK [UIDVALIDITY ...
        S: * OK [UIDNEXT ...
        S: * OK [HIGHESTMODSEQ ...
        S: * OK [MAILBOXID (...)] ...
        S: a OK ...
        C: b STORE 1:2 FLAGS (\\Seen $Work)
        S: * FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Work)
        S: * 1 FETCH (UID 1 FLAGS (\\Seen $Work))
        S: * 2 FETCH (UID 2 FLAGS (\\Seen $Work))
        S: b OK STORE completed
        C: c UID STORE 2 +FLAGS \\Answered
        S: * 2 FETCH (UID 2 FLAGS (\\Answered \\Seen $Work))
        S: c OK UID STORE completed
        C: d STORE 1 -FLAGS.SILENT ($Work)
        S: d OK STORE completed
        C: e FETCH 1 FLAGS
        S: * 1 FETCH (FLAGS (\\Seen))
        S: e OK FETCH completed
        C: f STORE 1 +FLAGS (\\Seen)
        S: * 1 FETCH (UID 1 FLAGS (\\Seen))
        S: f OK STORE completed
        C: g UID STORE 99 +FLAGS (\\Seen)
        S: g OK UID STORE completed
        C: h STORE 3 +FLAGS (\\Seen)
        S: h BAD ...
        C: i STORE 1 +FLAGS (\\Recent)
        S: * 1 FETCH (UID 1 FLAGS (\\Seen))
        S: i OK ...
        """
    )


async def test_read_only(rig: Rig) -> None:
    await rig.deliver(message())
    client = await rig.login()
    await client.ok("EXAMINE INBOX")
    for command in ("STORE 1 +FLAGS (\\Seen)", "EXPUNGE", "UID EXPUNGE 1", "MOVE 1 INBOX"):
        assert (await client.command(command)).tagged.startswith(b"NO [CANNOT]"), command


async def test_silent_does_not_hide_what_others_did(rig: Rig) -> None:
    await rig.deliver(message())
    client, other = await rig.login("INBOX"), await rig.login("INBOX")
    await other.ok("STORE 1 +FLAGS (\\Flagged)")
    assert await client.ok("STORE 1 +FLAGS.SILENT (\\Seen)") == [
        b"* 1 FETCH (UID 1 FLAGS (\\Flagged \\Seen))"
    ]


async def test_unchanged_since(rig: Rig) -> None:
    """RFC 7162 3.1.3."""
    await rig.deliver(message("one"), message("two"), message("three"))
    client, other = await rig.login("INBOX"), await rig.login("INBOX")
    lines = await client.ok("FETCH 3 (MODSEQ)")
    assert lines[0].startswith(b"* OK [HIGHESTMODSEQ ")  # FETCH MODSEQ enables CONDSTORE
    modseq = int(re.search(rb"MODSEQ \((\d+)\)", lines[-1])[1])  # type: ignore[index]
    await other.ok("STORE 2 +FLAGS (\\Flagged)")
    answer = await client.command(f"STORE 1:3 (UNCHANGEDSINCE {modseq}) +FLAGS.SILENT (\\Deleted)")
    assert answer.tagged.startswith(b"OK [MODIFIED 2] ")
    assert [re.sub(rb"MODSEQ \(\d+\)", b"MODSEQ", line) for line in answer.lines] == [
        b"* 1 FETCH (UID 1 MODSEQ FLAGS (\\Deleted))",
        b"* 2 FETCH (UID 2 MODSEQ FLAGS (\\Flagged))",
        b"* 3 FETCH (UID 3 MODSEQ FLAGS (\\Deleted))",
    ]
    answer = await client.command(f"UID STORE 2 (UNCHANGEDSINCE {modseq}) FLAGS (\\Seen)")
    assert answer.tagged.startswith(b"OK [MODIFIED 2] ")


async def test_expunged_elsewhere(rig: Rig) -> None:
    """RFC 2180 4.2.2: NO, after the others were changed; silence is fine with .SILENT and UIDs."""
    await rig.deliver(message("one"), message("two"))
    client, other = await rig.login("INBOX"), await rig.login("INBOX")
    await other.ok("STORE 1 +FLAGS (\\Deleted)")
    await other.ok("EXPUNGE")
    answer = await client.command("STORE 1:2 +FLAGS (\\Seen)")
    assert answer.tagged.startswith(b"NO [EXPUNGEISSUED]")
    assert answer.lines == [b"* 2 FETCH (UID 2 FLAGS (\\Seen))"]
    assert await client.ok("STORE 1:2 +FLAGS.SILENT (\\Answered)") == []
    assert await client.ok("UID STORE 1:2 -FLAGS.SILENT (\\Answered)") == [b"* 1 EXPUNGE"]


async def test_too_many_keywords(rig: Rig) -> None:
    await rig.deliver(message())
    client = await rig.login("INBOX")
    for start in range(0, 200, 100):
        await client.ok(f"STORE 1 +FLAGS.SILENT ({' '.join(f'k{n}' for n in range(start, start + 100))})")
    answer = await client.command(f"STORE 1 +FLAGS.SILENT ({' '.join(f'k{n}' for n in range(200, 299))})")
    assert answer.tagged.startswith(b"NO [LIMIT]")
