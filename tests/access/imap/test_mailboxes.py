"""CREATE, DELETE, RENAME, SUBSCRIBE, LIST, LSUB, STATUS, SELECT, CLOSE, UNSELECT."""

import re

from tests.access.imap.conftest import Rig, message


async def test_life_of_a_mailbox(rig: Rig) -> None:
    client = await rig.login()
    await client.talk(
        """
        C: a CREATE Work/2026/
        S: a OK ...
        C: b CREATE Work
        S: b NO [ALREADYEXISTS] ...
        C: c CREATE inbox
        S: c NO [ALREADYEXISTS] ...
        C: d LIST "" *
        S: * LIST (\\HasNoChildren) "/" INBOX
        S: * LIST (\\HasChildren) "/" Work
        S: * LIST (\\HasNoChildren) "/" Work/2026
        S: d OK LIST completed
        C: e RENAME Work Arbeit
        S: e OK ...
        C: f RENAME Nothing Else
        S: f NO [NONEXISTENT] ...
        C: g RENAME Arbeit INBOX
        S: g NO [ALREADYEXISTS] ...
        C: h DELETE Arbeit/2026
        S: h OK ...
        C: i DELETE Arbeit/2026
        S: i NO [NONEXISTENT] ...
        C: j DELETE INBOX
        S: j NO [CANNOT] ...
        C: k LIST "" "%"
        S: * LIST (\\HasNoChildren) "/" INBOX
        S: * LIST (\\HasNoChildren) "/" Arbeit
        S: k OK LIST completed
        C: l LIST "" ""
        S: * LIST (\\Noselect) "/" ""
        S: l OK LIST completed
        C: m CREATE "Entw&APw-rfe"
        S: m OK ...
        C: n LIST "" "Entw%"
        S: * LIST (\\HasNoChildren) "/" Entw&APw-rfe
        S: n OK LIST completed
        C: o CREATE "Mist &AP"
        S: o BAD ...
        """
    )
    assert {box.name for box in rig.shard.mailboxes(rig.residence)} == {"INBOX", "Arbeit", "Entwürfe"}


async def test_rename_of_inbox_moves_its_messages(rig: Rig) -> None:
    """RFC 3501 6.3.5."""
    await rig.deliver(message())
    client = await rig.login("INBOX")
    await client.ok("RENAME INBOX Old")
    assert await client.ok("STATUS Old (MESSAGES)") == [b"* STATUS Old (MESSAGES 1)"]
    assert await client.ok("STATUS INBOX (MESSAGES)") == [b"* STATUS INBOX (MESSAGES 0)"]


async def test_selected_mailbox_is_renamed_or_deleted(rig: Rig) -> None:
    client = await rig.login()
    await client.ok("CREATE a/b")
    await client.append(message(), "a/b")
    await client.ok("SELECT a/b")
    await client.ok("RENAME a c")
    assert await client.ok("FETCH 1 UID") == [b"* 1 FETCH (UID 1)"]
    lines = await client.ok("DELETE c/b")
    assert lines == [b"* OK [CLOSED] The selected mailbox was deleted"]
    assert (await client.command("FETCH 1 UID")).tagged == b"BAD Select a mailbox first"


async def test_mailbox_deleted_by_another_client(rig: Rig) -> None:
    """RFC 2180 3.3."""
    client, other = await rig.login(), await rig.login()
    await client.ok("CREATE a")
    await client.ok("SELECT a")
    await other.ok("DELETE a")
    client.start(b"NOOP")
    assert (await client.line()).startswith(b"* BYE ")
    await client.closed()


async def test_subscriptions(rig: Rig) -> None:
    client = await rig.login()
    await client.ok("CREATE a/b/c")
    for name in ("a/b/c", "gone/below", "INBOX"):
        await client.ok(f"SUBSCRIBE {name}")
    await client.talk(
        """
        C: a LSUB "" *
        S: * LSUB () "/" INBOX
        S: * LSUB () "/" a/b/c
        S: * LSUB () "/" gone/below
        S: a OK ...
        C: b LSUB "" %
        S: * LSUB () "/" INBOX
        S: * LSUB (\\Noselect) "/" a
        S: * LSUB (\\Noselect) "/" gone
        S: b OK ...
        C: c LIST (SUBSCRIBED) "" *
        S: * LIST (\\HasNoChildren \\Subscribed) "/" INBOX
        S: * LIST (\\HasNoChildren \\Subscribed) "/" a/b/c
        S: * LIST (\\NonExistent \\HasNoChildren \\Subscribed) "/" gone/below
        S: c OK ...
        C: d LIST (SUBSCRIBED RECURSIVEMATCH) "" %
        S: * LIST (\\HasNoChildren \\Subscribed) "/" INBOX
        S: * LIST (\\HasChildren) "/" a ("CHILDINFO" ("SUBSCRIBED"))
        S: * LIST (\\NonExistent \\HasNoChildren) "/" gone ("CHILDINFO" ("SUBSCRIBED"))
        S: d OK ...
        C: e LIST (RECURSIVEMATCH) "" %
        S: e BAD ...
        C: f LIST "" (INBOX a/%) RETURN (SUBSCRIBED CHILDREN)
        S: * LIST (\\HasNoChildren \\Subscribed) "/" INBOX
        S: * LIST (\\HasChildren) "/" a/b
        S: f OK ...
        C: g UNSUBSCRIBE gone/below
        S: g OK ...
        C: h LSUB "" gone*
        S: h OK ...
        """
    )


async def test_extended_list(rig: Rig) -> None:
    """RFC 5258: options alone and together, several patterns, what RECURSIVEMATCH tells of a mailbox that is chosen
    itself or whose children match no pattern, no STATUS of what is no mailbox."""
    client = await rig.login()
    for name in ("Fruit/Apple", "Fruit/Banana/Green", "Tofu", "Vegetable/Corn"):
        await client.ok(f"CREATE {name}")
    await client.ok("CREATE Vegetable/Old (USE (\\Archive))")
    await client.ok("DELETE Fruit/Banana")
    for name in ("Fruit", "Fruit/Banana/Green", "Fruit/Peach", "Vegetable", "inbox"):
        await client.ok(f"SUBSCRIBE {name}")
    await client.talk(
        """
        C: a LIST () "" % RETURN ()
        S: * LIST (\\HasNoChildren) "/" INBOX
        S: * LIST (\\HasChildren) "/" Fruit
        S: * LIST (\\HasNoChildren) "/" Tofu
        S: * LIST (\\HasChildren) "/" Vegetable
        S: a OK ...
        C: b LIST (remote subscribed) "" (Fruit/% inbox Fruit/P*)
        S: * LIST (\\HasNoChildren \\Subscribed) "/" INBOX
        S: * LIST (\\NonExistent \\HasNoChildren \\Subscribed) "/" Fruit/Peach
        S: b OK ...
        C: c LIST (REMOTE) "" Tofu RETURN (CHILDREN SUBSCRIBED)
        S: * LIST (\\HasNoChildren) "/" Tofu
        S: c OK ...
        C: d LIST (SUBSCRIBED RECURSIVEMATCH REMOTE) "" (% Fruit/Banana) RETURN (STATUS (MESSAGES))
        S: * LIST (\\HasNoChildren \\Subscribed) "/" INBOX
        S: * STATUS INBOX (MESSAGES 0)
        S: * LIST (\\HasChildren \\Subscribed) "/" Fruit ("CHILDINFO" ("SUBSCRIBED"))
        S: * STATUS Fruit (MESSAGES 0)
        S: * LIST (\\NonExistent \\HasChildren) "/" Fruit/Banana ("CHILDINFO" ("SUBSCRIBED"))
        S: * LIST (\\HasChildren \\Subscribed) "/" Vegetable
        S: * STATUS Vegetable (MESSAGES 0)
        S: d OK ...
        C: e LIST (RECURSIVEMATCH SPECIAL-USE) "" %
        S: * LIST (\\HasChildren) "/" Vegetable ("CHILDINFO" ("SPECIAL-USE"))
        S: e OK ...
        C: f LIST (SUBSCRIBED SPECIAL-USE) "" *
        S: f OK ...
        C: g LIST (RECURSIVEMATCH REMOTE) "" *
        S: g BAD ...
        C: h LIST (SUBSCRIBED NOSUCH) "" *
        S: h BAD ...
        C: i LIST "" * RETURN (NOSUCH)
        S: i BAD ...
        C: j LIST "" ()
        S: j BAD ...
        C: k LIST "Fruit/" (Apple %/Green)
        S: * LIST (\\HasNoChildren) "/" Fruit/Apple
        S: * LIST (\\HasNoChildren) "/" Fruit/Banana/Green
        S: k OK ...
        C: l LIST "" Fruit/Banana
        S: * LIST (\\Noselect \\HasChildren) "/" Fruit/Banana
        S: l OK ...
        C: m ENABLE IMAP4rev2
        S: * ENABLED IMAP4rev2
        S: m OK ...
        C: n LIST "" Fruit/Banana
        S: * LIST (\\NonExistent \\HasChildren) "/" Fruit/Banana
        S: n OK ...
        """
    )


async def test_special_use(rig: Rig) -> None:
    """RFC 6154."""
    client = await rig.login()
    await client.talk(
        """
        C: a CREATE Sent (USE (\\sent))
        S: a OK ...
        C: b CREATE Everything (USE (\\All))
        S: b NO [USEATTR] ...
        C: c LIST (SPECIAL-USE) "" *
        S: * LIST (\\HasNoChildren \\Sent) "/" Sent
        S: c OK ...
        C: d LIST "" Sent RETURN (SPECIAL-USE)
        S: * LIST (\\HasNoChildren \\Sent) "/" Sent
        S: d OK ...
        """
    )


async def test_status(rig: Rig) -> None:
    await rig.deliver(message("one"), message("two"))
    await rig.deliver(message("three"), flags=("\\Seen", "\\Deleted"))
    size = sum(len(message(name)) for name in ("one", "two", "three"))
    client = await rig.login()
    [line] = await client.ok("STATUS inbox (MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN SIZE DELETED)")
    assert re.fullmatch(
        rb"\* STATUS INBOX \(MESSAGES 3 RECENT 0 UIDNEXT 4 UIDVALIDITY \d+ UNSEEN 2 SIZE %d DELETED 1\)"
        % size,
        line,
    )
    [line] = await client.ok("STATUS INBOX (HIGHESTMODSEQ)")
    assert re.fullmatch(rb"\* STATUS INBOX \(HIGHESTMODSEQ \d+\)", line)
    assert (await client.command("STATUS Nothing (MESSAGES)")).tagged.startswith(b"NO [NONEXISTENT]")
    assert (await client.command("STATUS INBOX ()")).status == b"BAD"
    lines = await client.ok('LIST "" * RETURN (STATUS (MESSAGES UNSEEN))')
    assert lines == [b'* LIST (\\HasNoChildren) "/" INBOX', b"* STATUS INBOX (MESSAGES 3 UNSEEN 2)"]


async def test_close_unselect_and_failed_select(rig: Rig) -> None:
    await rig.deliver(message("one"), message("two"))
    client = await rig.login("INBOX")
    await client.ok("STORE 1 +FLAGS (\\Deleted)")
    assert await client.ok("UNSELECT") == []
    assert (await client.command("CLOSE")).status == b"BAD"
    await client.ok("EXAMINE INBOX")
    await client.ok("CLOSE")
    assert await client.ok("STATUS INBOX (MESSAGES)") == [b"* STATUS INBOX (MESSAGES 2)"]
    await client.ok("SELECT INBOX")
    assert await client.ok("CLOSE") == []
    assert await client.ok("STATUS INBOX (MESSAGES)") == [b"* STATUS INBOX (MESSAGES 1)"]
    await client.ok("SELECT INBOX")
    answer = await client.command("SELECT Nothing")
    assert answer.lines == [b"* OK [CLOSED] Previous mailbox closed"]
    assert answer.tagged.startswith(b"NO [NONEXISTENT]")
    assert (await client.command("FETCH 1 FLAGS")).status == b"BAD"
    answer = await client.command("EXAMINE INBOX (CONDSTORE)")
    assert answer.tagged.startswith(b"OK [READ-ONLY]")
    assert answer.having(b"PERMANENTFLAGS ()")
