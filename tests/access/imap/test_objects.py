"""OBJECTID (RFC 8474), SAVEDATE (RFC 8514) and PREVIEW (RFC 8970) as FETCH items, STATUS item and response codes."""

import re

from mailplat.core.clock import SystemClock
from mailplat.store.repair import rebuild
from tests.access.imap.client import Client
from tests.access.imap.conftest import Rig, message


def object_id(octets: bytes, name: bytes) -> bytes:
    found = re.search(name + rb" \(([A-Za-z0-9_-]{1,255})\)", octets)
    assert found is not None, octets
    return found[1]


async def email_ids(client: Client, mailbox: str) -> list[bytes]:
    await client.ok(f"EXAMINE {mailbox}")
    return [object_id(line, b"EMAILID") for line in await client.ok("FETCH 1:* EMAILID")]


async def mailbox_id(client: Client, mailbox: str) -> bytes:
    [line] = await client.ok(f"STATUS {mailbox} (MAILBOXID)")
    return object_id(line, b"MAILBOXID")


async def test_a_mailbox_says_its_id(rig: Rig) -> None:
    client = await rig.login()
    answer = await client.command("CREATE Work")
    made = object_id(answer.tagged, rb"OK \[MAILBOXID")
    assert await mailbox_id(client, "Work") == made
    assert await mailbox_id(client, "INBOX") != made
    lines = await client.ok("SELECT Work")
    assert [object_id(line, rb"\* OK \[MAILBOXID") for line in lines if b"MAILBOXID" in line] == [made]
    listed = await client.ok('LIST "" % RETURN (STATUS (MESSAGES MAILBOXID))')
    assert {object_id(line, b"MAILBOXID") for line in listed if b"STATUS Work" in line} == {made}
    await client.ok("RENAME Work Filed")
    assert await mailbox_id(client, "Filed") == made
    await client.ok("DELETE Filed")
    await client.ok("CREATE Filed")
    assert await mailbox_id(client, "Filed") != made


async def test_copies_of_a_message_have_its_id(rig: Rig) -> None:
    client = await rig.login()
    await client.ok("CREATE Work")
    await rig.deliver(message("one"), message("two"))
    one, two = await email_ids(client, "INBOX")
    assert one != two
    await client.ok("SELECT INBOX")
    await client.ok("COPY 1 Work")
    await client.ok("MOVE 2 Work")
    await client.append(message("two"))
    assert await email_ids(client, "Work") == [one, two]
    assert await email_ids(client, "INBOX") == [one, two]


async def test_messages_are_found_by_their_id(rig: Rig) -> None:
    await rig.deliver(message("one"), message("two"), message("one"))
    client = await rig.login()
    one, two, _ = await email_ids(client, "INBOX")
    await client.talk(
        f"""
        C: a SEARCH EMAILID {one.decode()}
        S: * SEARCH 1 3
        S: a OK SEARCH completed
        C: b UID SEARCH OR EMAILID {two.decode()} EMAILID Mnone
        S: * SEARCH 2
        S: b OK UID SEARCH completed
        C: c SEARCH THREADID {one.decode()}
        S: * SEARCH
        S: c OK SEARCH completed
        C: d SEARCH EMAILID "x y"
        S: d BAD ...
        C: e SEARCH EMAILID {"M" * 256}
        S: e BAD ...
        """
    )
    with rig.shard.site.database.write() as connection:
        connection.exec_driver_sql("UPDATE rendering SET preview = NULL, email_id = NULL")
    assert await client.ok(b"SEARCH EMAILID " + two) == [b"* SEARCH 2"]
    [line] = await client.ok("CAPABILITY")
    assert {b"OBJECTID", b"PREVIEW"} <= set(line.split())


async def test_ids_survive_a_rebuild(rig: Rig) -> None:
    rig.shard.create(rig.residence, "Moved", object_id="F-of-another-shard")
    client = await rig.login()
    await client.ok("CREATE Work")
    await rig.deliver(message("one"), message("two"), mailbox="Work")
    before = await mailbox_id(client, "Work"), await email_ids(client, "Work")
    await client.ok("LOGOUT")
    rebuild(rig.shard)
    client = await rig.login()
    assert (await mailbox_id(client, "Work"), await email_ids(client, "Work")) == before
    assert await mailbox_id(client, "Moved") == b"F-of-another-shard"


async def test_what_a_message_says(rig: Rig) -> None:
    await rig.deliver(message("one", "Hello,\r\n> old\r\nhow are you?\r\n"), message("two", "f\u00fcr dich"))
    await rig.deliver(b"Content-Type: image/png\r\n\r\nxxxx")
    client = await rig.login("INBOX")
    await client.talk(
        """
        C: a FETCH 1 (PREVIEW)
        S: * 1 FETCH (PREVIEW "Hello, how are you?")
        S: a OK FETCH completed
        C: b FETCH 1:3 (UID PREVIEW (LAZY) THREADID)
        S: * 1 FETCH (UID 1 PREVIEW "Hello, how are you?" THREADID NIL)
        S: * 2 FETCH (UID 2 PREVIEW {9}...für dich THREADID NIL)
        S: * 3 FETCH (UID 3 PREVIEW "" THREADID NIL)
        S: b OK FETCH completed
        C: c UID FETCH 1 PREVIEW (LAZY) (CHANGEDSINCE 1)
        S: * OK [HIGHESTMODSEQ ...] ...
        S: * 1 FETCH (UID 1 PREVIEW "Hello, how are you?" MODSEQ (...))
        S: c OK UID FETCH completed
        C: d FETCH 1 PREVIEW (FUZZY)
        S: d BAD ...
        C: e FETCH 1 (PREVIEW BODY.PEEK[TEXT]<0.5>)
        S: * 1 FETCH (PREVIEW "Hello, how are you?" BODY[TEXT]<0> {5}...Hello)
        S: e OK FETCH completed
        C: f FETCH 1 THREADID
        S: * 1 FETCH (THREADID NIL)
        S: f OK FETCH completed
        """
    )


async def test_when_a_message_came_into_its_mailbox(rig: Rig) -> None:
    client = await rig.login("INBOX")
    began = int(SystemClock().now())
    await client.append(message(), date="17-Jul-1996 02:44:25 -0700")
    [line] = await client.ok("FETCH 1 (INTERNALDATE SAVEDATE)")
    assert re.fullmatch(
        rb'\* 1 FETCH \(INTERNALDATE "17-Jul-1996 02:44:25 -0700" SAVEDATE "[ \d]\d-\w{3}-\d{4} [\d:]{8} \+0000"\)',
        line,
    )
    mailbox = rig.shard.mailbox(rig.residence, "INBOX")
    [(saved,)] = rig.shard.rows(rig.residence, mailbox.id, None, ["saved_at"])
    assert began <= saved <= int(SystemClock().now())


async def test_a_preview_of_what_came_from_elsewhere_is_made_for_who_asks(rig: Rig) -> None:
    await rig.deliver(message("one", "Hello"), message("two", "Bye"), render_later=True)
    client = await rig.login("INBOX")
    await client.talk(
        """
        C: a FETCH 1:2 (PREVIEW (LAZY))
        S: * 1 FETCH (PREVIEW NIL)
        S: * 2 FETCH (PREVIEW NIL)
        S: a OK FETCH completed
        C: b FETCH 2 (PREVIEW)
        S: * 2 FETCH (PREVIEW "Bye")
        S: b OK FETCH completed
        C: c FETCH 1:2 (PREVIEW (LAZY))
        S: * 1 FETCH (PREVIEW NIL)
        S: * 2 FETCH (PREVIEW "Bye")
        S: c OK FETCH completed
        """
    )
    one, two = await email_ids(client, "INBOX")
    assert one != two, "SEARCH finds messages by them"


async def test_messages_from_before_the_index_kept_these(rig: Rig) -> None:
    """As revision 0006 finds them; the first who asks has them made, and nobody after him."""
    await rig.deliver(message("one", "Hello"), message("two", "Bye"), message("three", "Again"))
    client = await rig.login()
    before = await email_ids(client, "INBOX")
    with rig.shard.site.database.write() as connection:
        connection.exec_driver_sql("UPDATE rendering SET preview = NULL, email_id = NULL")
    await client.talk(
        """
        C: a FETCH 1:2 (PREVIEW (LAZY))
        S: * 1 FETCH (PREVIEW NIL)
        S: * 2 FETCH (PREVIEW NIL)
        S: a OK FETCH completed
        C: b FETCH 2 (BODY.PEEK[TEXT] PREVIEW)
        S: * 2 FETCH (PREVIEW "Bye" BODY[TEXT] {3}...Bye)
        S: b OK FETCH completed
        C: c FETCH 1:2 (PREVIEW (LAZY))
        S: * 1 FETCH (PREVIEW NIL)
        S: * 2 FETCH (PREVIEW "Bye")
        S: c OK FETCH completed
        """
    )
    assert await email_ids(client, "INBOX") == before
    with rig.shard.site.read() as connection:
        left = connection.exec_driver_sql(
            "SELECT count(*) FROM rendering WHERE email_id IS NULL"
        ).scalar_one()
    assert left == 0
