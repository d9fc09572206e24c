"""NOTIFY (RFC 5465)."""

import asyncio
from collections.abc import Sequence

import pytest

from mailplat.access.imap import ImapLimits
from mailplat.bus import MemoryBus
from mailplat.core.errors import Unavailable
from mailplat.core.route import Residence
from mailplat.core.spool import Body
from mailplat.store import Store
from mailplat.store.types import Mailbox, NewMessage
from tests.access.imap.client import Client
from tests.access.imap.conftest import MakeRig, Rig, message
from tests.until import until

NEW = "MessageNew MessageExpunge"
ALL_EVENTS = (
    b"BADEVENT (MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange MailboxMetadataChange"
    b" ServerMetadataChange)"
)


async def told(client: Client, *expected: str) -> None:
    """These lines come by themselves."""
    assert [await client.line() for _ in expected] == [line.encode() for line in expected]


async def quiet(client: Client, *, lines: Sequence[bytes] = ()) -> None:
    """Nothing has come by itself, and nothing comes with a command but these lines."""
    assert await client.ok("NOOP") == list(lines)


async def watching(rig: Rig, groups: str, select: str = "") -> Client:
    client = await rig.login(select)
    assert await client.ok(f"NOTIFY SET {groups}") == []
    return client


@pytest.mark.parametrize(
    ("arguments", "reply"),
    [
        ("NONE", b"OK"),
        (f"SET (selected ({NEW}))", b"OK"),
        (f"SET (selected-delayed ({NEW} FlagChange)) (personal (MailboxName))", b"OK"),
        ("set (Selected None) (Subtree (a b) NONE)", b"OK"),
        (f"SET STATUS (mailboxes nowhere ({NEW}))", b"OK"),
        ("SET (selected (MessageNew (UID BODY.PEEK[HEADER.FIELDS (From To)]) MessageExpunge))", b"OK"),
        # RFC 5465 3.1, 5.1
        (f"SET (selected ({NEW} AnnotationChange))", b"NO [" + ALL_EVENTS + b"]"),
        ("SET (personal (NoSuchEvent))", b"NO [" + ALL_EVENTS + b"]"),
        # RFC 5465 5: what comes together
        ("SET (selected (MessageNew))", b"BAD"),
        ("SET (inboxes (MessageExpunge))", b"BAD"),
        ("SET (inboxes (FlagChange))", b"BAD"),
        ("SET (inboxes (AnnotationChange))", b"BAD"),
        # RFC 5465 6.1, 8
        (f"SET (selected ({NEW})) (selected-delayed ({NEW}))", b"BAD"),
        (f"SET (selected ({NEW} MailboxName))", b"BAD"),
        ("SET (inboxes (MessageNew (UID) MessageExpunge))", b"BAD"),
        ("SET (subtree-one a (MailboxName))", b"BAD"),
        ("SET (mailboxes (MailboxName))", b"BAD"),
        ("SET (personal ())", b"BAD"),
        ("SET", b"BAD"),
        ("SET STATUS", b"BAD"),
        ("NONE (personal NONE)", b"BAD"),
        ("SET " + " ".join(["(personal NONE)"] * 21), b"BAD"),
    ],
)
async def test_syntax(rig: Rig, arguments: str, reply: bytes) -> None:
    client = await rig.login("INBOX")
    answer = await client.command(f"NOTIFY {arguments}")
    assert answer.tagged.startswith(reply), answer


async def test_selected_at_once(rig: Rig) -> None:
    """RFC 5465 6.1.1: outside any command, EXPUNGE too."""
    await rig.deliver(message("old"))
    client = await watching(rig, f"(selected ({NEW} FlagChange))", "INBOX")
    other = await rig.login("INBOX")
    await rig.deliver(message("new"))
    await told(client, "* 2 EXISTS")
    await other.ok("STORE 1 +FLAGS (\\Deleted $Work)")
    await told(client, "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Work)")
    await told(client, "* 1 FETCH (UID 1 FLAGS (\\Deleted $Work))")
    await other.ok("EXPUNGE")
    await told(client, "* 1 EXPUNGE")
    await quiet(client)
    assert await client.ok("UID FETCH 1:* (FLAGS)") == [b"* 1 FETCH (UID 2 FLAGS ())"]


async def test_attributes_of_new_messages(rig: Rig) -> None:
    """RFC 5465 5.2: FETCH behind EXISTS, not of what this client has added."""
    client = await watching(
        rig,
        "(selected (MessageNew (FLAGS RFC822.SIZE BODY.PEEK[HEADER.FIELDS (Subject)]) MessageExpunge))",
        "INBOX",
    )
    await rig.deliver(message("one"), message("two"), flags=("\\Flagged",))
    size = len(message("one"))
    head = "(UID {} FLAGS (\\Flagged) RFC822.SIZE {} BODY[HEADER.FIELDS (Subject)] {{16}}\r\nSubject: {}\r\n\r\n)"
    await told(client, "* 2 EXISTS", "* 1 FETCH " + head.format(1, size, "one"))
    await told(client, "* 2 FETCH " + head.format(2, size, "two"))
    assert await client.append(message("mine")) == 3
    copied = await client.command("COPY 1 INBOX")
    assert copied.lines == [b"* 4 EXISTS"]
    await rig.deliver(message("her"))
    assert await client.line() == b"* 5 EXISTS"
    assert b"(UID 5 " in await client.line()
    await quiet(client)
    # with a command that runs meanwhile as well
    rig.bus.publish = lambda hint: None  # type: ignore[method-assign]
    await rig.deliver(message("him"))
    [exists, fetched] = await client.ok("UID STORE 5 +FLAGS.SILENT (\\Seen)")
    assert exists == b"* 6 EXISTS"
    assert fetched.startswith(b"* 6 FETCH (UID 6 ")


async def test_delayed(rig: Rig) -> None:
    """RFC 5465 6.1.2: EXPUNGE only where a command allows it, IDLE among them; the rest at once."""
    await rig.deliver(message("1"), message("2"), message("3"))
    client = await watching(rig, f"(selected-delayed ({NEW}))", "INBOX")
    other = await rig.login("INBOX")
    await other.ok("STORE 1 +FLAGS (\\Deleted)")
    await other.ok("EXPUNGE")
    await rig.deliver(message("4"))
    await told(client, "* 4 EXISTS")
    assert await client.ok("FETCH 2 (UID)") == [b"* 2 FETCH (UID 2)"]
    await quiet(client, lines=[b"* 1 EXPUNGE"])
    await other.ok("STORE 1 +FLAGS (\\Deleted)")  # of which nobody asked to hear
    await other.ok("EXPUNGE")
    client.send(b"a IDLE\r\n")
    await told(client, "+ idling", "* 1 EXPUNGE")
    await rig.deliver(message("5"))
    await told(client, "* 3 EXISTS")
    client.send(b"DONE\r\n")
    await told(client, "a OK IDLE completed")


async def test_no_renumbering_while_a_command_arrives(rig: Rig) -> None:
    """A sequence number in a command that has begun means what the client had been told before."""
    await rig.deliver(message("1"), message("2"), message("3"))
    client = await watching(rig, f"(selected ({NEW})) (mailboxes x ({NEW}))", "INBOX")
    other = await rig.login("INBOX")
    session = next(each for each in rig.server.sessions._all if each.watch.speaks)
    client.send(b"a FETCH 2 ")
    await until(lambda: session.framer.midway)
    await other.ok("STORE 1 +FLAGS (\\Deleted)")
    await other.ok("EXPUNGE")
    client.send(b"(UID)\r\n")
    await told(client, "* 2 FETCH (UID 2)", "a OK FETCH completed", "* 1 EXPUNGE")
    client.send(b"b APPEND INBOX {4}\r\n")
    await told(client, "+ OK")
    await rig.deliver(message("4"))
    client.send(b"a: b\r\n")
    line = await client.line()
    assert line == b"* 4 EXISTS"
    await told(
        client, "b OK [APPENDUID " + str(rig.shard.mailbox(rig.residence, "INBOX").uidvalidity) + " 5] Stored"
    )
    await rig.deliver(message("6"))  # and after an APPEND it listens again
    await told(client, "* 5 EXISTS")


async def test_nothing(rig: Rig) -> None:
    """RFC 5465 3.1, 5: NONE is a snapshot; what the client does itself is answered."""
    await rig.deliver(*(message(str(n)) for n in range(1, 5)))
    client, other = await rig.login("INBOX"), await rig.login("INBOX")
    await client.ok("NOTIFY NONE")
    await other.ok("STORE 1:2 +FLAGS (\\Deleted)")
    await other.ok("UID EXPUNGE 1")
    await rig.deliver(message("5"))
    await quiet(client)
    assert await client.ok("FETCH 1:* (UID)") == [b"* %d FETCH (UID %d)" % (n, n) for n in range(1, 5)]
    assert await client.ok("STORE 3 +FLAGS (\\Deleted)") == [b"* 3 FETCH (UID 3 FLAGS (\\Deleted))"]
    assert await client.ok("EXPUNGE") == [b"* 3 EXPUNGE", b"* 2 EXPUNGE", b"* 1 EXPUNGE"]
    # An implicit NOOP tells what it did not want to hear; after that it is a snapshot again.
    assert await client.ok("NOTIFY SET (personal (MailboxName))") == [b"* 2 EXISTS"]
    await rig.deliver(message("6"))
    await other.ok("CREATE x")
    await told(client, '* LIST (\\HasNoChildren) "/" x')
    await quiet(client)
    assert b"* 3 EXISTS" in await client.ok("SELECT INBOX")


async def test_other_mailboxes(rig: Rig) -> None:
    """RFC 5465 5.1 to 5.3 without CONDSTORE; the selected mailbox is not among them."""
    other = await rig.login()
    for name in ("Lists", "Lists/one", "Else", "Müll"):
        await other.ok(f"CREATE {'M&APw-ll' if name == 'Müll' else name}")
    validity = rig.shard.mailbox(rig.residence, "Lists").uidvalidity
    client = await rig.login("INBOX")
    lines = await client.ok(f"NOTIFY SET STATUS (selected ({NEW})) (subtree (Lists M&APw-ll INBOX) ({NEW}))")
    assert [line.split(b" (")[0] for line in lines] == [
        b"* STATUS Lists",
        b"* STATUS Lists/one",
        b"* STATUS M&APw-ll",
    ]
    assert lines[0] == b"* STATUS Lists (MESSAGES 0 UIDNEXT 1 UIDVALIDITY %d)" % validity
    await rig.deliver(message("a"), mailbox="Else")
    await rig.deliver(message("a"), message("b"), mailbox="Lists/one")
    validity = rig.shard.mailbox(rig.residence, "Lists/one").uidvalidity
    await told(client, f"* STATUS Lists/one (MESSAGES 2 UIDNEXT 3 UIDVALIDITY {validity})")
    await rig.deliver(message("a"), mailbox="Müll")
    assert (await client.line()).startswith(b"* STATUS M&APw-ll (MESSAGES 1 UIDNEXT 2 ")
    await other.ok("SELECT Lists/one")
    await other.ok("STORE 1 +FLAGS (\\Deleted \\Seen)")
    await other.ok("EXPUNGE")
    await told(client, f"* STATUS Lists/one (MESSAGES 1 UIDNEXT 3 UIDVALIDITY {validity})")
    await client.ok("UNSELECT")
    await rig.deliver(message("c"))
    assert (await client.line()).startswith(b"* STATUS INBOX (MESSAGES 1 UIDNEXT 2 ")


async def test_flags_of_other_mailboxes(rig: Rig) -> None:
    """RFC 5465 5.1: UNSEEN, and with CONDSTORE enabled UIDVALIDITY and HIGHESTMODSEQ."""
    await rig.deliver(message("a"), message("b"))
    validity = rig.shard.mailbox(rig.residence, "INBOX").uidvalidity
    other = await rig.login("INBOX")
    client = await rig.login()
    [line] = await client.ok(f"NOTIFY SET STATUS (inboxes ({NEW} FlagChange))")
    assert line == b"* STATUS INBOX (MESSAGES 2 UIDNEXT 3 UIDVALIDITY %d UNSEEN 2 HIGHESTMODSEQ 2)" % validity
    await other.ok("STORE 1 +FLAGS (\\Flagged)")
    await other.ok("STORE 1 +FLAGS (\\Seen)")
    await told(client, "* STATUS INBOX (UNSEEN 1)")
    await client.ok("ENABLE CONDSTORE")
    await other.ok("STORE 2 +FLAGS (\\Flagged)")
    await told(client, f"* STATUS INBOX (UIDVALIDITY {validity} HIGHESTMODSEQ 5)")
    await rig.deliver(message("c"))
    await told(
        client, f"* STATUS INBOX (MESSAGES 3 UIDNEXT 4 UIDVALIDITY {validity} UNSEEN 2 HIGHESTMODSEQ 6)"
    )


async def test_names(rig: Rig) -> None:
    """RFC 5465 5.4, 5.5; not what this client does itself."""
    client = await watching(rig, "(personal (MailboxName SubscriptionChange))")
    other = await rig.login()
    await client.ok("CREATE mine/below")
    await client.ok("SUBSCRIBE mine")
    await client.ok("RENAME mine/below mine/under")
    await client.ok("DELETE mine/under")
    await quiet(client)
    await other.ok("CREATE a/b")
    await told(client, '* LIST (\\HasChildren) "/" a', '* LIST (\\HasNoChildren) "/" a/b')
    await other.ok("SUBSCRIBE a/b")
    await told(client, '* LIST (\\HasNoChildren \\Subscribed) "/" a/b')
    await other.ok("CREATE a/c")
    await told(client, '* LIST (\\HasChildren) "/" a', '* LIST (\\HasNoChildren) "/" a/c')
    await other.ok("RENAME a z")  # what is below comes along untold
    await told(client, '* LIST (\\HasChildren) "/" z ("OLDNAME" (a))')
    await other.ok("DELETE z")
    await told(client, '* LIST (\\NonExistent \\HasChildren) "/" z')
    await other.ok("UNSUBSCRIBE a/b")
    await told(client, '* LIST (\\NonExistent \\HasNoChildren) "/" a/b')
    await other.ok("DELETE mine")
    await told(client, '* LIST (\\NonExistent \\HasNoChildren \\Subscribed) "/" mine')
    await quiet(client)


async def test_what_was_done_and_undone(rig: Rig) -> None:
    """Its own CREATE is not told, but that somebody has removed that mailbox since."""
    client = await watching(rig, "(personal (MailboxName SubscriptionChange))")
    other = await rig.login()
    await client.ok("CREATE x")
    await other.ok("DELETE x")
    await told(client, '* LIST (\\NonExistent \\HasNoChildren) "/" x')
    await other.ok("CREATE y")
    await told(client, '* LIST (\\HasNoChildren) "/" y')
    await client.ok("DELETE y")
    await other.ok("CREATE y")
    await told(client, '* LIST (\\HasNoChildren) "/" y')


async def test_a_mailbox_that_comes_back_is_another(rig: Rig) -> None:
    client = await watching(rig, f"(mailboxes x ({NEW}))")
    other = await rig.login()
    await other.ok("CREATE x")
    await rig.deliver(message("a"), mailbox="x")
    validity = rig.shard.mailbox(rig.residence, "x").uidvalidity
    await told(client, f"* STATUS x (MESSAGES 1 UIDNEXT 2 UIDVALIDITY {validity})")
    await other.ok("RENAME x y")
    await rig.deliver(message("b"), mailbox="y")  # which nobody watches
    await quiet(client)


async def test_subscribed_is_looked_at_anew(rig: Rig) -> None:
    """RFC 5465 6.4."""
    other = await rig.login()
    await other.ok("CREATE x")
    client = await watching(rig, f"(subscribed ({NEW}))")
    await rig.deliver(message("a"), mailbox="x")
    await other.ok("SUBSCRIBE x")
    await rig.deliver(message("b"), mailbox="x")
    while b"(MESSAGES 2 UIDNEXT 3 " not in (line := await client.line()):
        assert line.startswith(b"* STATUS x (MESSAGES 1 ")  # subscribed when it was looked at first
    await other.ok("UNSUBSCRIBE x")
    await rig.deliver(message("c"), mailbox="x")
    await quiet(client)


async def test_metadata(rig: Rig) -> None:
    """RFC 5465 5.6, 5.7: names of entries, removed ones too; not what this client has set."""
    other = await rig.login()
    await other.ok("CREATE x")
    await other.ok('SETMETADATA x (/private/comment "old" /shared/color "red")')
    client = await watching(rig, "(personal (MailboxMetadataChange ServerMetadataChange))")
    await other.ok('SETMETADATA x (/private/comment NIL /private/a "1" /shared/color "red")')
    await told(client, "* METADATA x /private/a /private/comment")
    await client.ok('SETMETADATA x (/private/a "2")')
    await client.ok('SETMETADATA "" (/private/a "2")')
    await quiet(client)
    await other.ok('SETMETADATA "" (/private/token "t")')
    await told(client, '* METADATA "" /private/token')
    await rig.deliver(message("a"), mailbox="x")
    await quiet(client)


async def test_overflow(rigs: MakeRig) -> None:
    """RFC 5465 3.1, 5.8."""
    rig = await rigs(limits=ImapLimits(notify_mailboxes=3, notify_burst=2))
    other = await rig.login()
    await other.ok("CREATE a")
    await other.ok("CREATE b")
    client = await watching(rig, f"(selected (MessageNew (UID) MessageExpunge)) (personal ({NEW}))", "INBOX")
    await rig.deliver(message("1"), message("2"), message("3"))
    await told(client, "* 3 EXISTS")
    line = await client.line()
    assert line.startswith(b"* OK [NOTIFICATIONOVERFLOW]")
    await rig.deliver(message("4"))
    await quiet(client)  # as after NOTIFY NONE
    client.send(b"a NOTIFY SET (personal (MailboxName))\r\n")
    await told(client, "* 4 EXISTS", "a OK NOTIFY completed")
    await other.ok("CREATE c")
    assert (await client.line()).startswith(b"* OK [NOTIFICATIONOVERFLOW]")
    answer = await client.command("NOTIFY SET (personal (MailboxName))")
    assert answer.tagged.startswith(b"NO [NOTIFICATIONOVERFLOW]")
    assert (await client.command("NOTIFY SET (subtree a (MailboxName))")).status == b"OK"


@pytest.mark.parametrize("verb", ["mailboxes", "changes"])
async def test_a_refused_command_leaves_all_as_it_was(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    """The shard cannot be read just now."""
    client = await watching(rig, f"(selected ({NEW})) (personal (MailboxName))", "INBOX")
    other = await rig.login()

    def stalled(*arguments: object) -> None:
        raise Unavailable("the disk does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(rig.shard, verb, stalled)
        answer = await client.command("NOTIFY SET (selected NONE) (personal (SubscriptionChange))")
    assert answer.tagged.startswith(b"NO [UNAVAILABLE]")
    await rig.deliver(message("one"))
    await told(client, "* 1 EXISTS")
    await other.ok("CREATE x")
    await told(client, '* LIST (\\HasNoChildren) "/" x')
    await client.close()
    await other.close()
    await until(lambda: len(rig.server.sessions) == 0)
    assert not rig.bus._listeners.topics()


async def test_a_stalled_shard_is_looked_at_again(rigs: MakeRig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = await rigs(limits=ImapLimits(idle_poll=0.05))
    client = await watching(rig, f"(personal ({NEW}))")
    read = rig.shard.mailboxes
    failures = 0

    def stalled(residence: Residence) -> list[Mailbox]:
        nonlocal failures
        if failures < 3:
            failures += 1
            raise Unavailable("the disk does not answer")
        return read(residence)

    monkeypatch.setattr(rig.shard, "mailboxes", stalled)
    await rig.deliver(message("one"))
    assert (await client.line()).startswith(b"* STATUS INBOX (MESSAGES 1 ")
    assert failures == 3


async def test_another_process_whose_hints_are_lost(rigs: MakeRig) -> None:
    rig = await rigs(limits=ImapLimits(idle_poll=0.05))
    client = await watching(rig, f"(selected ({NEW})) (personal (MailboxName {NEW}))", "INBOX")
    elsewhere = Store({"s1": rig.folder / "s1"}, rig.executors, MemoryBus())
    try:
        shard = elsewhere.shard("s1")
        await elsewhere.append(rig.residence, "INBOX", [NewMessage(Body.of(message("one")))])
        await told(client, "* 1 EXISTS")
        shard.create(rig.residence, "x")
        await told(client, '* LIST (\\HasNoChildren) "/" x')
        # and a client that never falls silent hears of it all the same
        shard.create(rig.residence, "y")
        heard: list[bytes] = []
        while not heard:
            heard = await client.ok("NOOP")
        assert heard == [b'* LIST (\\HasNoChildren) "/" y']
    finally:
        elsewhere.close()


async def test_silence_costs_nothing(rig: Rig) -> None:
    """No look without a hint; one for each hint, or for several at once."""
    client = await watching(rig, f"(selected ({NEW})) (personal (MailboxName))", "INBOX")
    session = next(each for each in rig.server.sessions._all if each.watch.speaks)
    looks = 0
    read = session.watch.read

    def counted(*arguments: object) -> object:
        nonlocal looks
        looks += 1
        return read(*arguments)  # type: ignore[arg-type]

    session.watch.read = counted  # type: ignore[method-assign, assignment]
    for _ in range(5):
        await quiet(client)
    assert looks == 0
    await rig.deliver(message("one"))
    await told(client, "* 1 EXISTS")
    await quiet(client)
    assert looks == 1


async def test_a_stop_wakes_it(rig: Rig) -> None:
    client = await watching(rig, f"(selected ({NEW}))", "INBOX")
    idling = await watching(rig, f"(selected ({NEW}))", "INBOX")
    idling.send(b"a IDLE\r\n")
    await told(idling, "+ idling")
    await asyncio.wait_for(rig.server.close(), 5)
    assert (await client.line()).startswith(b"* BYE [UNAVAILABLE]")
    assert (await idling.line()).startswith(b"* BYE [UNAVAILABLE]")


async def test_client_that_goes_away(rig: Rig) -> None:
    client = await watching(rig, f"(selected ({NEW})) (personal (MailboxName))", "INBOX")
    await client.close()
    await until(lambda: len(rig.server.sessions) == 0)
    assert not rig.bus._listeners.topics()


async def test_uidonly_qresync_and_unauthenticate(rig: Rig) -> None:
    client, other = await rig.login(), await rig.login("INBOX")
    await client.ok("ENABLE QRESYNC UIDONLY")
    await client.ok("SELECT INBOX")
    await client.ok("NOTIFY SET (selected (MessageNew (FLAGS MODSEQ) MessageExpunge FlagChange))")
    await rig.deliver(message("one"))
    await told(client, "* 1 EXISTS", "* 1 UIDFETCH (FLAGS () MODSEQ (2))")
    await other.ok("NOOP")
    await other.ok("STORE 1 +FLAGS (\\Deleted)")
    await told(client, "* 1 UIDFETCH (MODSEQ (3) FLAGS (\\Deleted))")
    await other.ok("EXPUNGE")
    await told(client, "* VANISHED 1")
    await client.ok("UNAUTHENTICATE")
    await client.ok("LOGIN user@example.test secret")
    await client.ok("SELECT INBOX")
    await rig.deliver(message("two"))
    await quiet(client, lines=[b"* 1 EXISTS"])  # with a command, as for all who have not asked
