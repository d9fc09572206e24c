"""The loop of a connection: order, limits, ends."""

from tests.access.imap.conftest import Rig, message


async def test_greeting_login_select_logout(rig: Rig) -> None:
    await rig.deliver(message("one"), message("two"))
    client = await rig.connect()
    assert client.greeting.startswith(b"* OK [CAPABILITY IMAP4rev1 LITERAL+ ")
    await client.talk(
        """
        C: a LOGIN user@example.test secret
        S: a OK [CAPABILITY ...IDLE...] Logged in
        C: b SELECT INBOX
        S: * FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)
        S: * OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft \\*)] ...
        S: * 2 EXISTS
        S: * 0 RECENT
        S: * OK [UNSEEN 1] ...
        S: * OK [UIDVALIDITY ...] ...
        S: * OK [UIDNEXT 3] ...
        S: * OK [HIGHESTMODSEQ ...] ...
        S: b OK [READ-WRITE] SELECT completed
        C: c FETCH 1:* (UID FLAGS)
        S: * 1 FETCH (UID 1 FLAGS ())
        S: * 2 FETCH (UID 2 FLAGS ())
        S: c OK FETCH completed
        C: d LOGOUT
        S: * BYE ...
        S: d OK LOGOUT completed
        """
    )
    await client.closed()
