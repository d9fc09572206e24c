"""Mailboxes of others: where they are seen, what they tell, to whom they tell nothing. The owner lives in the same
shard as who looks on, and in another one."""

import ast
import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailplat.access.imap import ImapLimits
from mailplat.access.imap.command import ANY, registry
from mailplat.core.address import Address
from mailplat.core.clock import SystemClock
from mailplat.core.route import BackendHome, Residence, Route, RouteState, ShardHome
from mailplat.directory import Backend
from mailplat.directory.shares import Shares
from tests.access.imap.client import Answer, Client
from tests.access.imap.conftest import DOMAIN, PASSWORD, MakeRig, Rig, message
from tests.access.imap.pair import TEAM, Pair, make_pair

ANN = f"user/ann@{DOMAIN}"


@pytest.fixture(params=["s1", "s2"])
async def pair(rig: Rig, request: pytest.FixtureRequest) -> Pair:
    return await make_pair(rig, request.param)


@pytest.fixture
async def near(rig: Rig) -> Pair:
    return await make_pair(rig)


async def test_what_bob_does_and_ann_sees(pair: Pair) -> None:
    await pair.grant("lrswi")
    assert await pair.bob.ok(f'LIST "" "{ANN}/*"') == [
        b'* LIST (\\HasNoChildren) "/" user/ann@example.test/Team'
    ]
    await pair.bob.talk(
        f"""
        C: a SELECT {TEAM}
        S: * FLAGS ...
        S: * OK [PERMANENTFLAGS (\\Answered \\Flagged \\Seen \\Draft \\*)] ...
        S: * 3 EXISTS
        S: * 0 RECENT
        S: * OK [UNSEEN 1] ...
        S: * OK [UIDVALIDITY ...
        S: * OK [UIDNEXT 4] ...
        S: * OK [HIGHESTMODSEQ ...
        S: * OK [MAILBOXID ...
        S: a OK [READ-WRITE] ...
        C: b FETCH 2 (UID BODY[HEADER.FIELDS (SUBJECT)])
        S: * 2 FETCH (UID 2 BODY[HEADER.FIELDS (SUBJECT)] ...two... FLAGS (\\Seen))
        S: b OK ...
        C: c STORE 1 +FLAGS (\\Flagged)
        S: * 1 FETCH (UID 1 FLAGS (\\Flagged))
        S: c OK ...
        C: d SEARCH SUBJECT three
        S: * SEARCH 3
        S: d OK ...
        C: e UID SORT (REVERSE SUBJECT) US-ASCII TEXT Text
        S: * SORT 2 3 1
        S: e OK ...
        C: f THREAD REFERENCES US-ASCII ALL
        S: * THREAD ...
        S: f OK ...
        C: g STORE 3 +FLAGS (\\Deleted)
        S: g NO [NOPERM] ...
        C: h EXPUNGE
        S: h NO [NOPERM] ...
        """
    )
    assert await pair.bob.append(message("four"), TEAM) == 4
    await pair.ann.ok("SELECT Team")
    lines = await pair.ann.ok("FETCH 1:* FLAGS")
    assert lines[:2] == [b"* 1 FETCH (FLAGS (\\Flagged))", b"* 2 FETCH (FLAGS (\\Seen))"]
    assert len(lines) == 4


async def test_idle_hears_of_the_owner_s_mailbox(pair: Pair) -> None:
    await pair.grant("lrs")
    await pair.bob.ok(f"SELECT {TEAM}")
    tag = pair.bob.start(b"IDLE")
    assert await pair.bob.line() == b"+ idling"
    await pair.rig.deliver(message("new"), mailbox="Team", to=pair.home)
    assert await pair.bob.line() == b"* 4 EXISTS"
    await pair.ann.ok("SELECT Team")
    await pair.ann.ok("STORE 1 +FLAGS (\\Flagged)")
    assert await pair.bob.line() == b"* 1 FETCH (UID 1 FLAGS (\\Flagged))"
    await pair.grant("l")
    assert await pair.bob.line() == b"* BYE The selected mailbox is gone", "taken back while it idles"
    assert tag


async def test_a_session_hears_of_its_own_again(near: Pair) -> None:
    await near.grant("lr")
    await near.bob.ok(f"SELECT {TEAM}")
    await near.bob.ok("SELECT INBOX")
    near.bob.start(b"IDLE")
    assert await near.bob.line() == b"+ idling"
    login = near.rig.directory.login(f"bob@{DOMAIN}")
    assert login is not None
    await near.ann.append(message(), "Team")  # nothing that Bob is told of
    bob = await near.rig.login(name="bob")
    await bob.append(message())
    assert await near.bob.line() == b"* 1 EXISTS"


@pytest.mark.parametrize("command", ["COPY", "MOVE"])
async def test_from_account_to_account(pair: Pair, command: str) -> None:
    await pair.grant("lrite")
    date = '" 7-Feb-2022 21:52:25 -0800"'
    await pair.bob.append(message("mine"), flags="(\\Seen $Work)", date=date.strip('"'))
    await pair.bob.ok("SELECT INBOX")
    answer = await pair.bob.command(f"UID {command} 1:* {TEAM}")
    assert re.search(rb"COPYUID \d+ 1 4\]", b" ".join([*answer.lines, answer.tagged])), answer
    await pair.ann.ok("SELECT Team")
    assert await pair.ann.ok("UID FETCH 4 (FLAGS INTERNALDATE BODY.PEEK[HEADER.FIELDS (SUBJECT)])") == [
        b"* 4 FETCH (UID 4 FLAGS () INTERNALDATE %b BODY[HEADER.FIELDS (SUBJECT)] {17}\r\nSubject: mine\r\n\r\n)"
        % date.encode()
    ]
    assert bool(answer.having(b"1 EXPUNGE")) is (command == "MOVE")
    await pair.bob.ok(f"SELECT {TEAM}")
    answer = await pair.bob.command(f"{command} 1:2 INBOX")
    assert answer.status == b"OK"
    there = pair.rig.store.shard(pair.home.shard).mailbox(pair.home, "Team").messages
    assert there == (2 if command == "MOVE" else 4)
    lines = await pair.bob.ok("STATUS INBOX (MESSAGES)")
    assert lines == [b"* STATUS INBOX (MESSAGES %d)" % (2 if command == "MOVE" else 3)]


async def test_a_copy_that_finds_no_room_leaves_nothing(rigs: MakeRig) -> None:
    """In commits of one message: the second one is refused, the first one is taken out again."""
    rig = await rigs(limits=ImapLimits(foreign_copy=1))
    pair = await make_pair(rig)
    login = rig.directory.login(f"ann@{DOMAIN}")
    assert login is not None
    await pair.grant("lri")
    used, _ = rig.shard.usage(pair.home)
    size = len(message("mine"))
    rig.directory.set_account(login.account.id, quota=used + size * 3 // 2)
    for _ in range(2):
        await pair.bob.append(message("mine"))
    await pair.bob.ok("SELECT INBOX")
    answer = await pair.bob.command(f"COPY 1:2 {TEAM}")
    assert answer.tagged.startswith(b"NO [OVERQUOTA]"), "the owner's"
    assert rig.shard.mailbox(pair.home, "Team").messages == 3
    answer = await pair.bob.command(f"MOVE 1:2 {TEAM}")
    assert answer.tagged.startswith(b"NO [OVERQUOTA]")
    assert answer.having(b"COPYUID"), "what was moved is told"
    assert rig.shard.mailbox(pair.home, "Team").messages == 4
    assert await pair.bob.ok("STATUS INBOX (MESSAGES)") == [b"* STATUS INBOX (MESSAGES 1)", b"* 1 EXPUNGE"]
    answer = await pair.bob.command(f"APPEND {TEAM} {{{size}+}}\r\n{message('mine').decode()}")
    assert answer.tagged.startswith(b"NO [OVERQUOTA]")


async def test_a_move_that_cannot_take_the_originals_leaves_no_copies(rig: Rig) -> None:
    pair = await make_pair(rig, "s2")
    await pair.grant("lri")
    uid = await pair.bob.append(message("mine"))
    await pair.bob.ok("SELECT INBOX")
    login = rig.directory.login(f"bob@{DOMAIN}")
    assert login is not None
    rig.store.shard("s1").grant(login.account.id, login.route.epoch + 1)  # somebody else may write it now
    pair.bob.start(f"UID MOVE {uid} {TEAM}".encode())
    assert (await pair.bob.line()).startswith(b"* BYE [UNAVAILABLE]")
    shard = rig.store.shard("s2")
    assert shard.mailbox(pair.home, "Team").messages == 3
    assert shard.mailbox(pair.home, "Team").uidnext == 5, "it was there for a moment"


async def test_a_copy_in_several_commits_has_each_message_once(rigs: MakeRig) -> None:
    rig = await rigs(limits=ImapLimits(foreign_copy=3))
    pair = await make_pair(rig, "s2")
    await pair.grant("lrite")
    for number in range(11):
        await pair.bob.append(message(str(number)))
    await pair.bob.ok("SELECT INBOX")
    answer = await pair.bob.command(f"COPY 1:2,4,6:11 {TEAM}")
    assert re.search(rb"COPYUID \d+ 1:2,4,6:11 4:12\]", answer.tagged), answer
    answer = await pair.bob.command(f"MOVE 1:2,4,6:11 {TEAM}")
    assert answer.having(b"1:2,4,6:11 13:21]"), answer
    assert rig.store.shard("s2").mailbox(pair.home, "Team").messages == 21


async def test_a_search_of_what_is_selected_asks_again_whether_it_may_be_read(pair: Pair) -> None:
    """Also where the hint was lost that something has changed."""
    await pair.grant("lr")
    await pair.bob.ok(f"SELECT {TEAM}")
    pair.rig.bus.publish = lambda hint: None  # type: ignore[method-assign]
    await pair.grant("l")
    pair.bob.start(b"ESEARCH IN (selected) RETURN (COUNT) SUBJECT two")
    assert await pair.bob.line() == b"* BYE The selected mailbox is gone"


async def test_notes_on_another_s_mailbox_say_nothing_of_one_s_own(rig: Rig) -> None:
    """Its number is that of an own mailbox too: another shard counts for itself."""
    pair = await make_pair(rig, "s2")
    await pair.grant("lrw")
    login = rig.directory.login(f"bob@{DOMAIN}")
    assert login is not None
    own = rig.store.shard("s1").mailboxes(Residence(login.account.id, "s1", login.route.epoch))
    theirs = rig.store.shard("s2").mailbox(pair.home, "Team").id
    assert theirs in {mailbox.id for mailbox in own}
    await pair.bob.ok("NOTIFY SET (personal (MailboxMetadataChange))")
    await pair.bob.ok(f'SETMETADATA {TEAM} (/shared/theirs "x")')
    other = await rig.login(name="bob")
    await other.ok('SETMETADATA INBOX (/shared/comment "own")')
    pair.bob.start(b"IDLE")
    lines = [await pair.bob.line() for _ in range(2)]
    assert sorted(lines) == [b"* METADATA INBOX /shared/comment", b"+ idling"]
    await other.ok('SETMETADATA INBOX (/shared/color "red")')
    assert await pair.bob.line() == b"* METADATA INBOX /shared/color"


async def test_replace(pair: Pair) -> None:
    await pair.grant("lrite")
    await pair.bob.ok(f"SELECT {TEAM}")
    answer = await pair.bob.command(f"UID REPLACE 2 {TEAM} {{3+}}\r\na\r\n")
    assert answer.status == b"OK", answer
    assert answer.having(b"2 EXPUNGE")
    answer = await pair.bob.command("UID REPLACE 1 INBOX {3+}\r\na\r\n")
    assert answer.tagged == b"NO [CANNOT] Not possible", "not from one account to another"


async def test_make_rename_and_delete(pair: Pair) -> None:
    await pair.grant("lrkxi")
    await pair.bob.talk(
        f"""
        C: a CREATE {TEAM}/2026/May
        S: a OK [MAILBOXID ...
        C: b MYRIGHTS {TEAM}/2026
        S: * MYRIGHTS {TEAM}/2026 lrikxc
        S: b OK ...
        C: c RENAME {TEAM}/2026 {TEAM}/Old
        S: c OK ...
        C: d LIST "" {TEAM}/*
        S: * LIST (\\HasChildren) "/" {TEAM}/Old
        S: * LIST (\\HasNoChildren) "/" {TEAM}/Old/May
        S: d OK ...
        C: e RENAME {TEAM}/Old Mine
        S: e NO [CANNOT] A mailbox cannot be renamed into another account
        C: f RENAME INBOX {TEAM}/Mine
        S: f NO [CANNOT] A mailbox cannot be renamed into another account
        C: g RENAME {TEAM} {ANN}/Elsewhere
        S: g NO [NONEXISTENT] No such mailbox
        C: h CREATE {ANN}/Elsewhere
        S: h NO [NONEXISTENT] No such mailbox
        C: i CREATE (USE (\\Sent))
        S: i BAD ...
        C: j CREATE {TEAM}/Sent (USE (\\Sent))
        S: j NO [USEATTR] ...
        C: k SELECT {TEAM}/Old/May
        S: * FLAGS ...
        S: * OK ...
        S: * 0 EXISTS
        S: * 0 RECENT
        S: * OK ...
        S: * OK ...
        S: * OK ...
        S: * OK ...
        S: k OK [READ-WRITE] ...
        C: l DELETE user/ANN@EXAMPLE.test/Team/Old/May
        S: * OK [CLOSED] ...
        S: l OK ...
        """
    )
    await pair.grant("lrx", mailbox="INBOX")
    answer = await pair.bob.command(f"RENAME {ANN}/INBOX {TEAM}/Taken")
    assert answer.tagged.startswith(b"NO [CANNOT] INBOX of somebody else")
    assert (await pair.bob.command(f"DELETE {ANN}/inbox")).tagged.startswith(b"NO [CANNOT]")
    assert b'* LIST (\\HasNoChildren) "/" Team/Old' in await pair.ann.ok('LIST "" *')


async def test_list_and_its_relatives(pair: Pair) -> None:
    await pair.ann.ok("CREATE Team/Hidden/Below")
    await pair.grant("lr")
    await pair.grant("", mailbox="Team/Hidden")
    await pair.grant("lr", mailbox="Team/Hidden/Below")
    await pair.ann.ok("CREATE Sent (USE (\\Sent))")
    await pair.grant("l", mailbox="Sent")
    assert await pair.bob.ok('LIST "" %') == [
        b'* LIST (\\HasNoChildren) "/" INBOX',
        b'* LIST (\\Noselect \\HasChildren) "/" user',
    ]
    assert await pair.bob.ok(f'LIST "{ANN}/" "*" RETURN (STATUS (MESSAGES) CHILDREN)') == [
        b'* LIST (\\HasNoChildren) "/" user/ann@example.test/Sent',
        b'* LIST (\\HasChildren) "/" user/ann@example.test/Team',
        b"* STATUS user/ann@example.test/Team (MESSAGES 3)",
        b'* LIST (\\NonExistent \\HasChildren) "/" user/ann@example.test/Team/Hidden',
        b'* LIST (\\HasNoChildren) "/" user/ann@example.test/Team/Hidden/Below',
        b"* STATUS user/ann@example.test/Team/Hidden/Below (MESSAGES 0)",
    ], "no STATUS without the right, no special use, a level that is not hers to see is none"
    await pair.bob.ok("SUBSCRIBE user/Ann@Example.TEST/Team")
    assert await pair.bob.ok('LSUB "" *') == [b'* LSUB () "/" user/ann@example.test/Team']
    assert await pair.bob.ok('LIST (SUBSCRIBED) "" *') == [
        b'* LIST (\\HasChildren \\Subscribed) "/" user/ann@example.test/Team'
    ]
    assert await pair.ann.ok('LSUB "" *') == [], "each has his own subscriptions"
    await pair.ann.ok(f"DELETEACL Team bob@{DOMAIN}")
    assert await pair.bob.ok('LIST (SUBSCRIBED) "" *') == [
        b'* LIST (\\NonExistent \\HasChildren \\Subscribed) "/" user/ann@example.test/Team'
    ]
    await pair.bob.ok(f"UNSUBSCRIBE {TEAM}")
    assert await pair.bob.ok('LSUB "" *') == []


async def test_own_mailboxes_below_the_prefix(near: Pair) -> None:
    """Only what has an address behind the prefix is somebody's."""
    await near.bob.ok("CREATE user/holiday")
    await near.bob.ok("SELECT user/holiday")
    assert b'* LIST (\\HasNoChildren) "/" user/holiday' in await near.bob.ok('LIST "" *')
    assert (await near.bob.command("CREATE user/x@example.test")).status == b"NO"


async def test_multisearch(pair: Pair) -> None:
    await pair.grant("lr")
    await pair.ann.ok("CREATE Listed")
    await pair.grant("l", mailbox="Listed")
    await pair.bob.append(message("mine"))
    await pair.bob.ok(f"SUBSCRIBE {TEAM}")

    async def found(source: str) -> list[bytes]:
        lines = await pair.bob.ok(f"ESEARCH IN ({source}) TEXT Text")
        return [re.findall(rb'MAILBOX "?([^" ]+)', line)[0] for line in lines]

    team = TEAM.encode()
    assert await found("personal") == [b"INBOX"]
    assert await found("subscribed") == [team]
    assert await found(f"mailboxes (INBOX user/ANN@{DOMAIN}/Team {ANN}/Listed {ANN}/INBOX)") == [
        b"INBOX",
        team,
    ]
    assert await found(f"subtree {ANN}") == await found(f"subtree-one {ANN}") == [team]
    assert await found("inboxes") == [b"INBOX"]
    await pair.bob.ok(f"SELECT {TEAM}")
    assert await found("selected personal") == [b"INBOX", team]


async def test_an_append_is_answered_though_what_is_selected_is_gone(near: Pair) -> None:
    await near.grant("lr")
    await near.bob.ok(f"SELECT {TEAM}")
    await near.grant("l")
    answer = await near.bob.command(b"APPEND INBOX {3+}\r\na\r\n")
    assert answer.tagged.startswith(b"OK [APPENDUID"), "or it would be sent again"
    assert await near.bob.line() == b"* BYE The selected mailbox is gone"


async def test_metadata(pair: Pair) -> None:
    await pair.grant("lr")
    await pair.ann.ok('SETMETADATA Team (/private/comment "secret" /shared/comment "said")')
    assert await pair.bob.ok(f"GETMETADATA (DEPTH infinity) {TEAM} (/private /shared)") == [
        b'* METADATA user/ann@example.test/Team (/shared/comment "said")'
    ]
    assert await pair.bob.ok(f'LIST "" {TEAM} RETURN (METADATA (/private/comment /shared/comment))') == [
        b'* LIST (\\HasNoChildren) "/" user/ann@example.test/Team',
        b'* METADATA user/ann@example.test/Team (/private/comment NIL /shared/comment "said")',
    ]
    command = f'SETMETADATA {TEAM} (/shared/comment "other")'
    assert (await pair.bob.command(command)).tagged.startswith(b"NO [NOPERM]")
    await pair.grant("lrw")
    await pair.bob.ok(command)
    answer = await pair.bob.command(f'SETMETADATA {TEAM} (/private/comment "x")')
    assert answer.tagged.startswith(b"NO [NOPERM]")
    assert await pair.ann.ok("GETMETADATA Team (/private/comment /shared/comment)") == [
        b'* METADATA Team (/private/comment "secret" /shared/comment "other")'
    ]


async def test_quota_tells_nothing_of_the_owner(pair: Pair) -> None:
    await pair.grant("lri")
    pair.rig.directory.set_account(pair.home.account_id, quota=1 << 20)
    assert await pair.bob.ok(f"GETQUOTAROOT {TEAM}") == [b"* QUOTAROOT user/ann@example.test/Team"]
    before, _ = pair.rig.store.shard(pair.home.shard).usage(pair.home)
    await pair.bob.append(message(), TEAM)
    after, _ = pair.rig.store.shard(pair.home.shard).usage(pair.home)
    assert after - before == len(message()), "what is put there counts for its owner"


async def test_rev2_and_qresync(pair: Pair) -> None:
    await pair.grant("lrste")
    await pair.bob.ok("ENABLE QRESYNC IMAP4rev2")
    lines = await pair.bob.ok(f"SELECT {TEAM}")
    assert lines[-1] == b'* LIST (\\HasNoChildren) "/" user/ann@example.test/Team'
    (validity,) = (re.findall(rb"UIDVALIDITY (\d+)", line) for line in lines if b"UIDVALIDITY" in line)
    (modseq,) = (re.findall(rb"HIGHESTMODSEQ (\d+)", line) for line in lines if b"HIGHESTMODSEQ" in line)
    await pair.ann.ok("SELECT Team")
    await pair.ann.ok("STORE 2 +FLAGS (\\Deleted)")
    await pair.ann.ok("EXPUNGE")
    lines = await pair.bob.ok(f"SELECT {TEAM} (QRESYNC ({validity[0].decode()} {modseq[0].decode()}))")
    assert b"* VANISHED (EARLIER) 2" in lines


# Who may know nothing.


def commands_about(name: str) -> Iterator[str]:
    """Every command of the registry that takes a mailbox's name, with this one."""
    yield from (
        f"APPEND {name} {{3+}}\r\na\r\n", f"CREATE {name}/Below", f"DELETE {name}", f"DELETEACL {name} anyone",
        f"ESEARCH IN (mailboxes {name}) ALL", f"ESEARCH IN (subtree {name}) RETURN (COUNT) ALL",
        f"EXAMINE {name}", f"GETACL {name}", f"GETMETADATA {name} /shared/comment", f"GETQUOTAROOT {name}",
        f'LIST "" {name}', f'LIST "" {name}/%', f'LIST (SUBSCRIBED) "" {name}',
        f'LIST "" ({name}) RETURN (STATUS (MESSAGES) MYRIGHTS METADATA (/shared/comment))',
        f"LISTRIGHTS {name} anyone", f'LSUB "" {name}', f"MYRIGHTS {name}", f"RENAME {name} Mine",
        f"RENAME Own {name}/Own", f"SELECT {name}", f"SELECT {name} (QRESYNC (1 1))", f"SETACL {name} anyone lr",
        f'SETMETADATA {name} (/shared/comment "x")', f"STATUS {name} (MESSAGES UIDNEXT)", f"SUBSCRIBE {name}",
        f"UNSUBSCRIBE {name}",
    )  # fmt: skip
    for command in ("COPY", "MOVE"):
        yield f"{command} 1 {name}"
        yield f"UID {command} 1 {name}"
    yield f"REPLACE 1 {name} {{3+}}\r\na\r\n"
    yield f"UID REPLACE 1 {name} {{3+}}\r\na\r\n"


# Commands that take no name of a mailbox, and what they are about is the selected one or none.
NAMELESS = {
    "CHECK", "CLOSE", "COMPRESS", "ENABLE", "EXPUNGE", "FETCH", "GETQUOTA", "IDLE", "NAMESPACE", "SEARCH", "SORT",
    "STORE", "THREAD", "UNAUTHENTICATE", "UNSELECT", "UID EXPUNGE", "UID FETCH", "UID SEARCH", "UID SORT",
    "UID STORE", "UID THREAD",
}  # fmt: skip


def test_every_command_is_tried() -> None:
    """A command that comes new into the registry has to be thought of here."""
    tried = {re.match(r"(UID )?[A-Z]+", command)[0] for command in commands_about("X")}  # type: ignore[index]
    before_login = {"AUTHENTICATE", "LOGIN", "STARTTLS"}
    free = {name for name, command in registry().items() if command.states == ANY}
    tried.add("NOTIFY")  # by test_notify_tells_a_stranger_nothing
    assert set(registry()) == tried | NAMELESS | before_login | free


Told = tuple[str, list[bytes], bytes]  # the command, untagged lines, the tagged one


async def answers(client: Client, name: str) -> list[Told]:
    """What a client is told, his own INBOX being selected before each command."""
    told: list[Told] = []
    for command in commands_about(name):
        await client.ok("SELECT INBOX")
        answer = await client.command(command)
        told.append((command.partition(name)[0], *_plain(answer, name)))
    return told


def _plain(answer: Answer, name: str) -> tuple[list[bytes], bytes]:
    """Without the name itself, which the client has said, and without what belongs to the client's own mailbox."""
    lines = [line.replace(name.encode(), b"NAME") for line in answer.lines]
    return [line for line in lines if b"CLOSED" not in line], answer.tagged


async def test_who_has_no_right_is_told_what_he_is_told_of_nothing(rigs: MakeRig) -> None:
    """Same domain and another one; with a right on another mailbox of the same owner, and with none at all."""
    rig = await rigs()
    rig.directory.add_domain("other.test")
    pair = await make_pair(rig)
    rig.add("eve", domain="other.test")
    await pair.ann.ok("CREATE Open")
    await pair.grant("lrswipkxtea", mailbox="Open")
    await pair.ann.ok("SUBSCRIBE Team")
    await pair.ann.ok('SETMETADATA Team (/shared/comment "secret")')
    stranger = await rig.connect()
    await stranger.ok(f"LOGIN eve@other.test {PASSWORD}")
    rig.add("carl")
    carl = await rig.login(name="carl")
    for client in (pair.bob, carl, stranger):
        await client.ok("CREATE Own")
        await client.ok("ENABLE QRESYNC")
        await client.append(message("own"))
        told = await answers(client, TEAM)
        assert told == await answers(client, f"{ANN}/None"), "not there"
        for nobody in (f"user/nobody@{DOMAIN}/Team", "user/ann@nowhere.test/Team", "user/@/Team"):
            assert told == await answers(client, nobody), nobody
        outcome = {each[2] for each in told}
        assert outcome <= {
            b"NO [NONEXISTENT] No such mailbox", b"NO [TRYCREATE] No such mailbox", b"OK ESEARCH completed",
            b"OK LIST completed", b"OK LSUB completed", b"OK SUBSCRIBE completed", b"OK UNSUBSCRIBE completed",
        }, outcome  # fmt: skip
    assert pair.acl() == {}
    assert rig.shard.mailbox(pair.home, "Team").messages == 3


async def test_notify_tells_of_the_owner_s_mailbox_that_is_selected(pair: Pair) -> None:
    """Also where a mailbox of the client's own has the same number in another shard."""
    await pair.grant("lrs")
    events = "(MessageNew MessageExpunge FlagChange)"
    await pair.bob.ok(
        f"NOTIFY SET (selected (MessageNew (UID FLAGS) MessageExpunge FlagChange)) (personal {events})"
    )
    await pair.bob.ok(f"SELECT {TEAM}")
    await pair.rig.deliver(message("four"), mailbox="Team", to=pair.home)
    assert await pair.bob.line() == b"* 4 EXISTS"
    assert await pair.bob.line() == b"* 4 FETCH (UID 4 FLAGS ())"
    await pair.ann.ok("SELECT Team")
    await pair.ann.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
    assert (await pair.bob.line()).startswith(b"* 1 FETCH (UID 1 FLAGS (\\Deleted)")
    await pair.ann.ok("EXPUNGE")
    assert await pair.bob.line() == b"* 1 EXPUNGE"
    assert (await pair.bob.ok("NOOP")) == []


async def test_notify_tells_a_stranger_nothing(near: Pair) -> None:
    """Neither at once nor when something happens there."""
    events = "(MessageNew MessageExpunge MailboxName SubscriptionChange MailboxMetadataChange)"
    for name in (TEAM, f"{ANN}/None"):
        answer = await near.bob.command(
            f"NOTIFY SET STATUS (mailboxes {name} {events}) (subtree {ANN} {events})"
        )
        assert (answer.lines, answer.status) == ([], b"OK")
    await near.ann.ok('SETMETADATA Team (/shared/comment "x")')
    await near.ann.ok("SUBSCRIBE Team")
    await near.ann.ok("CREATE Team/Below")
    await near.rig.deliver(message(), mailbox="Team", to=near.home)
    await near.bob.ok("CREATE Mine")
    answer = await near.bob.command("NOOP")
    assert not [line for line in answer.lines if ANN.encode() in line]


TRICKS = [
    f"{ANN}/../ann@{DOMAIN}/Team", f"{ANN}/./Team", f"{ANN}//Team", f"{ANN}", f"{ANN}/", "user/", "user//Team",
    f"USER/ann@{DOMAIN}/Team", f"User/ann@{DOMAIN}/Team", f'"user/ann@{DOMAIN} /Team"', f"{ANN}/team",
    f"{ANN}/Team/", f"&AHU-ser/ann@{DOMAIN}/Team", f"user/ann&AEA-{DOMAIN}/Team", f"{ANN}/&AFQ-eam",
    f'"user/\\"ann\\"@{DOMAIN}/Team"', f"user/bob@{DOMAIN}/../ann@{DOMAIN}/Team", f"user/bob@{DOMAIN}/INBOX",
    "user/ann@example.test./Team", f"user/ann@{DOMAIN}@{DOMAIN}/Team", f"user/ann@@{DOMAIN}/Team",
]  # fmt: skip


async def test_names_that_try_tricks(near: Pair) -> None:
    """None of them leads where there is no right, and only spellings of one address lead where there is one."""
    for name in TRICKS:
        for command in ("STATUS {} (MESSAGES)", "SELECT {}", "GETACL {}", "RENAME {} Mine"):
            answer = await near.bob.command(command.format(name))
            assert answer.status in (b"NO", b"BAD"), (name, answer)
            assert not answer.lines
    await near.grant("lr")
    for name in TRICKS:
        answer = await near.bob.command(f"STATUS {name} (MESSAGES)")
        same = name in (f'"user/ann@{DOMAIN} /Team"', "user/ann@example.test./Team")
        assert (answer.status == b"OK") is same, (name, answer)
    await near.bob.ok("STATUS user/ANN@EXAMPLE.TEST/Team (MESSAGES)")


async def test_utf8_names(near: Pair) -> None:
    await near.ann.ok("ENABLE UTF8=ACCEPT")
    await near.bob.ok("ENABLE UTF8=ACCEPT")
    await near.ann.ok('CREATE "Büro"')
    assert (await near.bob.command(f'SELECT "{ANN}/Büro"')).tagged == b"NO [NONEXISTENT] No such mailbox"
    await near.grant("lr", mailbox='"Büro"')
    await near.bob.ok(f'SELECT "{ANN}/Büro"')
    assert f'* MYRIGHTS "{ANN}/Büro" lr'.encode() in await near.bob.ok(f'MYRIGHTS "{ANN}/Büro"')


# Domains.


async def test_anyone_is_the_domain_and_never_the_world(rigs: MakeRig) -> None:
    for across in (False, True):
        rig = await rigs(across=across)
        rig.directory.add_domain("other.test")
        pair = await make_pair(rig)
        rig.add("eve", domain="other.test")
        eve = await rig.connect()
        await eve.ok(f"LOGIN eve@other.test {PASSWORD}")
        await pair.grant("lr", "anyone")
        await pair.bob.ok(f"SELECT {TEAM}")
        answer = await eve.command(f"SELECT {TEAM}")
        assert answer.tagged == b"NO [NONEXISTENT] No such mailbox"
        answer = await pair.ann.command("SETACL Team eve@other.test lri")
        assert answer.status == (b"OK" if across else b"NO")
        answer = await eve.command(f"SELECT {TEAM}")
        assert answer.status == (b"OK" if across else b"NO")
        assert bool(await eve.ok(f'LIST "" {TEAM}')) is across


async def test_what_was_given_across_domains_ends_with_the_setting(rigs: MakeRig) -> None:
    rig = await rigs()
    rig.directory.add_domain("other.test")
    pair = await make_pair(rig)
    eve_home = rig.add("eve", domain="other.test")
    number = rig.shard.mailbox(pair.home, "Team").id
    rig.shard.change_acl(pair.home, number, "eve@other.test", eve_home.account_id, "", frozenset("lr"))
    _shares(rig).put(pair.home.account_id, eve_home.account_id)
    eve = await rig.connect()
    await eve.ok(f"LOGIN eve@other.test {PASSWORD}")
    assert (await eve.command(f"SELECT {TEAM}")).tagged == b"NO [NONEXISTENT] No such mailbox"
    assert await eve.ok('LIST "" *') == [b'* LIST (\\HasNoChildren) "/" INBOX']


async def test_a_row_too_many_leads_nowhere(near: Pair) -> None:
    """As a crash between the row and the right leaves it (directory/shares.py)."""
    login = near.rig.directory.login(f"bob@{DOMAIN}")
    assert login is not None
    _shares(near.rig).put(near.home.account_id, login.account.id)
    assert (await near.bob.command(f"SELECT {TEAM}")).tagged == b"NO [NONEXISTENT] No such mailbox"
    assert await near.bob.ok('LIST "" *') == [b'* LIST (\\HasNoChildren) "/" INBOX']


def _shares(rig: Rig) -> Shares:
    return Shares(rig.database, SystemClock())


async def test_an_account_that_is_gone_or_suspended(near: Pair) -> None:
    await near.grant("lr")
    near.rig.directory.set_account(near.home.account_id, active=False)
    assert (await near.bob.command(f"SELECT {TEAM}")).tagged == b"NO [NONEXISTENT] No such mailbox"
    near.rig.directory.set_account(near.home.account_id, active=True)
    await near.bob.ok(f"SELECT {TEAM}")
    near.rig.shard.remove_account(near.home)
    near.rig.directory.remove_account(Address("ann", DOMAIN))
    near.bob.start(b"NOOP")
    assert await near.bob.line() == b"* BYE The selected mailbox is gone"


async def test_the_next_one_of_an_address_gets_nothing(near: Pair) -> None:
    await near.grant("lr")
    near.rig.directory.remove_account(Address("bob", DOMAIN))
    near.rig.add("bob")
    bob = await near.rig.login(name="bob")
    _shares(near.rig).put(near.home.account_id, _number(near.rig, "bob"))
    assert (await bob.command(f"SELECT {TEAM}")).tagged == b"NO [NONEXISTENT] No such mailbox"


def _number(rig: Rig, name: str) -> int:
    login = rig.directory.login(f"{name}@{DOMAIN}")
    assert login is not None
    return login.account.id


# Homes.


def advance(pair: Pair, *steps: RouteState) -> Route:
    route = pair.rig.directory.route(pair.home.account_id)
    for state in steps:
        route = pair.rig.directory.advance(route, state, fence_deadline=1e12)
    return route


async def test_while_the_owner_moves(near: Pair) -> None:
    await near.grant("lri")
    selected = await near.rig.login(name="bob", select=TEAM)
    route = advance(near, RouteState.SHARD_FENCED)
    ended = asyncio.ensure_future(near.rig.server.route_changed(route))
    assert await selected.line() == b"* BYE [UNAVAILABLE] Mailbox has moved, connect again"
    await ended
    for command in (f"SELECT {TEAM}", f"STATUS {TEAM} (MESSAGES)", f"APPEND {TEAM} {{3+}}\r\na\r\n"):
        assert (await near.bob.command(command)).tagged.startswith(b"NO [UNAVAILABLE]")
    assert await near.bob.ok('LIST "" *') == [b'* LIST (\\HasNoChildren) "/" INBOX']
    # At its new home, which nobody has told of the new route yet.
    there = near.rig.store.shard("s2")
    there.grant(near.home.account_id, route.epoch)
    route = near.rig.directory.advance(route, RouteState.FINAL, home=ShardHome("s2"))
    assert (await near.bob.command(f"SELECT {TEAM}")).tagged == b"NO [NONEXISTENT] No such mailbox"
    moved = Residence(near.home.account_id, "s2", route.epoch)
    number = there.create(moved, "Team").id
    there.change_acl(moved, number, f"bob@{DOMAIN}", _number(near.rig, "bob"), "", frozenset("lri"))
    assert (await near.bob.command(f"APPEND {TEAM} {{3+}}\r\na\r\n")).status == b"OK"
    assert there.mailbox(moved, "Team").messages == 1
    assert near.rig.shard.mailbox(near.home, "Team").messages == 3


async def test_an_owner_on_a_backend(near: Pair) -> None:
    await near.grant("lr")
    near.rig.directory.add_backend(Backend("old", imap="127.0.0.1:1"))
    near.rig.directory.add_account(Address("dora", DOMAIN), home=BackendHome("old"))
    _shares(near.rig).put(_number(near.rig, "dora"), _number(near.rig, "bob"))
    answer = await near.bob.command(f"SELECT user/dora@{DOMAIN}/Team")
    assert answer.tagged.startswith(b"NO [UNAVAILABLE]")
    lines = await near.bob.ok('LIST "" *')
    assert not [line for line in lines if b"dora" in line]
    assert [line for line in lines if line.endswith(b"/Team")]


async def test_a_shard_that_cannot_be_read_hides_no_other(near: Pair) -> None:
    await near.grant("lr")
    near.rig.directory.add_account(Address("dora", DOMAIN), home=ShardHome("s9"))
    _shares(near.rig).put(_number(near.rig, "dora"), _number(near.rig, "bob"))
    lines = await near.bob.ok('LIST "" *')
    assert [line for line in lines if line.endswith(b"/Team")]
    answer = await near.bob.command(f"SELECT user/dora@{DOMAIN}/Team")
    assert answer.tagged.startswith(b"NO [UNAVAILABLE]")


def test_names_come_to_places_by_one_way() -> None:
    """No command goes to its own home with a name, or with the number of what is selected: locating.py and View.place
    know where things are. What is left is the account's own: subscriptions, the quota, and the mailboxes that NOTIFY
    watches."""
    folder = Path(__file__).resolve().parents[3] / "mailplat/access/imap"
    own = {"shard", "residence", "call", "change"}
    found: dict[str, int] = {}
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in own and isinstance(node.value, ast.Name):
                found[path.name] = found.get(path.name, 0) + (node.value.id == "session")
    assert {name for name, count in found.items() if count} <= {
        "subscribe.py",
        "lsub.py",
        "lookaround.py",
        "getquota.py",
        "notify.py",
        "notifying.py",
    }, found
