"""UIDONLY (RFC 9586): no sequence number in either direction."""

from tests.access.imap.conftest import Rig, message


async def test_commands_and_replies(rig: Rig) -> None:
    await rig.deliver(*(message(str(number)) for number in range(1, 6)))
    client, other = await rig.login(), await rig.login("INBOX")
    await other.ok("UID STORE 1:2 +FLAGS.SILENT (\\Deleted)")
    await other.ok("EXPUNGE")
    await client.talk(
        """
        C: a ENABLE UIDONLY
        S: * ENABLED UIDONLY
        S: a OK ...
        C: b SELECT INBOX
        S: * FLAGS ...
        S: * OK [PERMANENTFLAGS ...
        S: * 3 EXISTS
        S: * 0 RECENT
        S: * OK [UIDVALIDITY ...
        S: * OK [UIDNEXT 6] ...
        S: * OK [HIGHESTMODSEQ ...
        S: b OK [READ-WRITE] ...
        C: c FETCH 1 FLAGS
        S: c BAD [UIDREQUIRED] ...
        C: d STORE 1 +FLAGS (\\Seen)
        S: d BAD [UIDREQUIRED] ...
        C: e SEARCH ALL
        S: e BAD [UIDREQUIRED] ...
        C: f COPY 1 INBOX
        S: f BAD [UIDREQUIRED] ...
        C: g MOVE 1 INBOX
        S: g BAD [UIDREQUIRED] ...
        C: h REPLACE 1 INBOX {3+}
        C: abc
        S: h BAD [UIDREQUIRED] ...
        C: i UID SEARCH 1:2 UNSEEN
        S: i BAD [UIDREQUIRED] ...
        C: j UID SEARCH UID 3:* UNSEEN
        S: * SEARCH 3 4 5
        S: j OK ...
        C: k UID FETCH 3:4 FLAGS
        S: * 3 UIDFETCH (FLAGS ())
        S: * 4 UIDFETCH (FLAGS ())
        S: k OK ...
        C: l UID FETCH 4:5 (UID RFC822.SIZE)
        S: * 4 UIDFETCH (UID 4 RFC822.SIZE ...)
        S: * 5 UIDFETCH (UID 5 RFC822.SIZE ...)
        S: l OK ...
        C: m UID FETCH 5 BODY.PEEK[HEADER.FIELDS (Subject)]
        S: * 5 UIDFETCH (BODY[HEADER.FIELDS (Subject)] {14}...Subject: 5...)
        S: m OK ...
        C: n UID FETCH 5 BODY[TEXT]
        S: * 5 UIDFETCH (BODY[TEXT] {6}...Text... FLAGS (\\Seen))
        S: n OK ...
        C: o UID STORE 3,5 +FLAGS (\\Deleted)
        S: * 3 UIDFETCH (FLAGS (\\Deleted))
        S: * 5 UIDFETCH (FLAGS (\\Deleted \\Seen))
        S: o OK ...
        C: p EXPUNGE
        S: * VANISHED 3,5
        S: p OK ...
        C: q UID COPY 4 INBOX
        S: * 2 EXISTS
        S: q OK [COPYUID ... 4 6] ...
        C: r ENABLE QRESYNC
        S: * ENABLED QRESYNC
        S: * OK [HIGHESTMODSEQ ...
        S: r OK ...
        C: s SELECT INBOX (QRESYNC (1 1 1:9 (1 1)))
        S: s BAD [UIDREQUIRED] ...
        C: t UID STORE 6 +FLAGS (\\Seen)
        S: * 6 UIDFETCH (MODSEQ (...) FLAGS (\\Seen))
        S: t OK ...
        """
    )
    await other.ok("UID STORE 4 +FLAGS.SILENT (\\Flagged)")
    [line] = await client.ok("NOOP")
    assert line.startswith(b"* 4 UIDFETCH (MODSEQ (")
    validity = rig.shard.mailbox(rig.residence, "INBOX").uidvalidity
    lines = await client.ok(f"SELECT INBOX (QRESYNC ({validity} 1))")
    assert [line for line in lines if b"VANISHED" in line] == [b"* VANISHED (EARLIER) 1:3,5"]
    assert [line.split(b" (")[0] for line in lines if b"UIDFETCH" in line] == [
        b"* 4 UIDFETCH",
        b"* 6 UIDFETCH",
    ]
