"""The loop of a connection: order, limits, ends."""

import gc

from mailplat.access.imap.session import Session
from mailplat.access.imap.view import View
from tests.access.imap.conftest import Rig, message
from tests.until import until


async def test_greeting_login_select_logout(rig: Rig) -> None:
    await rig.deliver(message("one"), message("two"))
    client = await rig.connect()
    assert client.greeting.startswith(b"* OK [CAPABILITY IMAP4rev1 IMAP4rev2 LITERAL+ ")
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
        S: * OK [MAILBOXID (...)] ...
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


async def test_nothing_is_left_of_clients_that_went(rig: Rig) -> None:
    """Politely, in IDLE, in the middle of a command, before the login: no session, view or subscription stays."""
    await rig.deliver(message("one"))
    for number in range(12):
        client = await (rig.connect() if number % 4 == 3 else rig.login(select="INBOX"))
        match number % 4:
            case 0:
                await client.command("LOGOUT")
            case 1:
                client.start(b"IDLE")
                await client.line()
            case 2:
                client.send(b"x APPEND INBOX {10+}\r\nabc")
        client.writer.close()

    def left() -> list[object]:
        gc.collect()
        return [each for each in gc.get_objects() if isinstance(each, (Session, View))]

    await until(lambda: not left())
    assert rig.bus._listeners.topics() == set()
