"""ACL (RFC 4314) and LIST-MYRIGHTS (RFC 8440): the commands, and the table of rights cell by cell."""

import asyncio
import imaplib

import pytest

from mailplat.access.imap.place import NEEDS
from mailplat.core.clock import SystemClock
from mailplat.core.rights import LETTERS
from mailplat.directory.shares import Shares
from tests.access.imap.client import Answer
from tests.access.imap.conftest import DOMAIN, PASSWORD, MakeRig, Rig, message
from tests.access.imap.pair import TEAM, Pair, make_pair

REFUSED = b"NO [NOPERM] "


@pytest.fixture
async def pair(rig: Rig) -> Pair:
    return await make_pair(rig)


async def test_the_commands(pair: Pair) -> None:
    assert b" ACL RIGHTS=kxte LIST-MYRIGHTS " in (await pair.ann.ok("CAPABILITY"))[0] + b" "
    await pair.ann.talk(
        """
        C: a GETACL Team
        S: * ACL Team ann@example.test lrswipkxteacd
        S: a OK ...
        C: b SETACL Team bob@example.test lrs
        S: b OK ...
        C: c SETACL Team BOB@Example.Test +wd
        S: c OK ...
        C: d GETACL Team
        S: * ACL Team ann@example.test lrswipkxteacd bob@example.test lrswted
        S: d OK ...
        C: e SETACL Team bob@example.test -et
        S: e OK ...
        C: f SETACL Team anyone l
        S: f OK ...
        C: g GETACL Team
        S: * ACL Team ann@example.test lrswipkxteacd anyone l bob@example.test lrsw
        S: g OK ...
        C: h LISTRIGHTS Team bob@example.test
        S: * LISTRIGHTS Team bob@example.test "" l r s w i p k x t e a c d
        S: h OK ...
        C: i LISTRIGHTS Team Ann@Example.test
        S: * LISTRIGHTS Team Ann@Example.test lrswipkxteacd
        S: i OK ...
        C: j MYRIGHTS Team
        S: * MYRIGHTS Team lrswipkxteacd
        S: j OK ...
        C: k DELETEACL Team anyone
        S: k OK ...
        C: l SETACL Team bob@example.test ""
        S: l OK ...
        C: m GETACL Team
        S: * ACL Team ann@example.test lrswipkxteacd
        S: m OK ...
        C: n DELETEACL Team bob@example.test
        S: n OK ...
        """
    )


async def test_what_is_refused(pair: Pair) -> None:
    pair.rig.directory.add_domain("other.test")
    pair.rig.add("eve", domain="other.test")
    await pair.ann.talk(
        """
        C: a SETACL Team bob@example.test lrz
        S: a BAD ...
        C: b SETACL Team bob@example.test L
        S: b BAD ...
        C: c SETACL Team "-bob@example.test" lr
        S: c NO [CANNOT] Negative rights are not supported
        C: d SETACL Team $team lr
        S: d NO [CANNOT] An identifier is the full address of an account, or anyone; there are no groups
        C: e SETACL Team bob lr
        S: e NO [CANNOT] An identifier is the full address...
        C: f SETACL Team nobody@example.test lr
        S: f NO [CANNOT] There is no such account
        C: g SETACL Team eve@other.test lr
        S: g NO [CANNOT] Mailboxes are shared within a domain only
        C: h SETACL Team nobody@other.test lr
        S: h NO [CANNOT] Mailboxes are shared within a domain only
        C: i SETACL Nothing bob@example.test lr
        S: i NO [NONEXISTENT] No such mailbox
        C: j SETACL Team ann@example.test lr
        S: j NO [CANNOT] The rights of the owner cannot be changed
        C: k SETACL Team ann@example.test -a
        S: k NO [CANNOT] ...
        C: l DELETEACL Team ann@example.test
        S: l NO [CANNOT] ...
        C: m SETACL Team ann@example.test lrswipkxtea
        S: m OK ...
        C: n SETACL Team
        S: n BAD ...
        C: o GETACL Nothing
        S: o NO [NONEXISTENT] No such mailbox
        C: p MYRIGHTS Nothing
        S: p NO [NONEXISTENT] No such mailbox
        C: q LISTRIGHTS Team $team
        S: q NO [CANNOT] ...
        C: r SETACL Team "" lr
        S: r BAD an identifier that is empty
        """
    )
    assert pair.acl() == {}


async def test_who_administers_and_who_does_not(pair: Pair) -> None:
    await pair.grant("la")
    await pair.bob.ok(f"SETACL {TEAM} anyone lr")
    await pair.bob.ok(f"SETACL {TEAM} bob@{DOMAIN} -a")
    answer = await pair.bob.command(f"SETACL {TEAM} bob@{DOMAIN} +a")
    assert answer.tagged.startswith(REFUSED)
    answer = await pair.bob.command(f"DELETEACL {TEAM} ann@{DOMAIN}")
    assert answer.tagged.startswith(REFUSED)
    assert pair.acl() == {"anyone": "lr", f"bob@{DOMAIN}": "l"}


async def test_myrights_in_list(pair: Pair) -> None:
    await pair.ann.ok("CREATE Team/Below")
    await pair.grant("lrk")
    await pair.grant("r", mailbox="Team/Below")
    lines = await pair.bob.ok('LIST "" "*" RETURN (MYRIGHTS)')
    assert lines == [
        b'* LIST (\\HasNoChildren) "/" INBOX',
        b"* MYRIGHTS INBOX lrswipkxteacd",
        b'* LIST (\\NonExistent \\HasChildren) "/" user',
        b'* LIST (\\NonExistent \\HasChildren) "/" user/ann@example.test',
        b'* LIST (\\HasNoChildren) "/" user/ann@example.test/Team',
        b"* MYRIGHTS user/ann@example.test/Team lrkc",
    ]


async def test_without_sharing_nothing_is_there(rigs: MakeRig) -> None:
    rig = await rigs(sharing=False)
    client = await rig.login()
    assert b"ACL" not in (await client.ok("CAPABILITY"))[0]
    assert await client.ok("NAMESPACE") == [b'* NAMESPACE (("" "/")) NIL NIL']
    for command in (
        "GETACL INBOX",
        "MYRIGHTS INBOX",
        "SETACL INBOX a@example.test l",
        "LISTRIGHTS INBOX anyone",
    ):
        assert (await client.command(command)).status == b"BAD"
    await client.ok(f"CREATE {TEAM}")
    await client.ok(f"SELECT {TEAM}")


async def test_python_s_imaplib(pair: Pair) -> None:
    def talk() -> None:
        with (
            imaplib.IMAP4("127.0.0.1", pair.rig.port) as ann,
            imaplib.IMAP4("127.0.0.1", pair.rig.port) as bob,
        ):
            ann.login(f"ann@{DOMAIN}", PASSWORD)
            bob.login(f"bob@{DOMAIN}", PASSWORD)
            assert ann.setacl("Team", f"bob@{DOMAIN}", "lrs") == ("OK", [b"SETACL completed"])
            assert bob.myrights(TEAM) == ("OK", [b"user/ann@example.test/Team lrs"])
            assert bob.select(TEAM)[0] == "OK"
            assert bob.getacl(TEAM)[0] == "NO"
            assert bob.namespace() == ("OK", [b'(("" "/")) (("user/" "/")) NIL'])
            assert ann.getacl("Team") == (
                "OK", [b'Team ann@example.test lrswipkxteacd bob@example.test lrs'],
            )  # fmt: skip
            assert ann.deleteacl("Team", f"bob@{DOMAIN}")[0] == "OK"

    await asyncio.to_thread(talk)


# One command for each line of the table, by a name of which the rights are; "selected" is a mailbox of Ann's where
# Bob may do everything, with one message.
BY_NAME = {
    "CREATE": "CREATE {}/N{id}",
    "DELETE": "DELETE {}",
    "RENAME": "RENAME {} {selected}/R{id}",
    "RENAME to": "RENAME {selected} {}/Below",
    "SELECT": "SELECT {}",
    "EXAMINE": "EXAMINE {}",
    "STATUS": "STATUS {} (MESSAGES)",
    "SETACL": "SETACL {} anyone +p",
    "DELETEACL": "DELETEACL {} anyone",
    "GETACL": "GETACL {}",
    "LISTRIGHTS": "LISTRIGHTS {} anyone",
    "MYRIGHTS": "MYRIGHTS {}",
    "APPEND": "APPEND {} {{3+}}\r\na\r\n",
    "COPY to": "UID COPY 1 {}",
    "MOVE to": "UID MOVE 1 {}",
    "REPLACE to": "UID REPLACE 1 {} {{3+}}\r\na\r\n",
    "GETMETADATA": "GETMETADATA {} /shared/comment",
    "SETMETADATA": 'SETMETADATA {} (/shared/comment "x")',
    "GETQUOTAROOT": "GETQUOTAROOT {}",
}
# Where messages were to go into a mailbox that is not there.
TARGETS = ("APPEND", "COPY to", "MOVE to", "REPLACE to")
# Of what is selected, by what it takes beside "r".
SELECTED = {
    "EXPUNGE": ("EXPUNGE", "e"),
    "STORE": ("UID STORE 1 -FLAGS (\\Seen)", "s"),
    "STORE \\Deleted": ("UID STORE 1 FLAGS \\Deleted", "t"),
    "STORE $Work": ("UID STORE 1 +FLAGS.SILENT ($Work)", "w"),
    "STORE all": ("UID STORE 1 FLAGS ()", ""),
    "MOVE": ("UID MOVE 1 INBOX", "te"),
    "REPLACE": ("UID REPLACE 1 {selected} {{3+}}\r\na\r\n", "te"),
}
# What is passed over in silence instead of being refused.
SILENT = {
    "LIST": 'LIST "" {}',
    "ESEARCH": "ESEARCH IN (mailboxes {}) ALL",
}


# After these nothing is as it was.
SPENT = ("DELETE", "RENAME", "EXPUNGE", "UID MOVE", "UID REPLACE")


class Cells:
    """Mailboxes of Ann's, new ones after each command that was carried out and changed them."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.shard = pair.rig.store.shard(pair.home.shard)
        self.who = pair.rig.directory.login(f"bob@{DOMAIN}")
        self.count = self.made = 0
        self.pair_of_names: tuple[str, str] | None = None
        assert self.who is not None
        Shares(pair.rig.database, SystemClock()).put(pair.home.account_id, self.who.account.id)

    async def make(self, rights: str) -> str:
        """Its name for Ann."""
        self.made += 1
        name = f"M{self.made}"
        self.shard.create(self.pair.home, name)
        await self.pair.rig.deliver(message(), mailbox=name, flags=("\\Deleted", "\\Seen"), to=self.pair.home)
        self.grant(name, rights)
        return name

    def grant(self, name: str, rights: str) -> None:
        assert self.who is not None
        number = self.shard.mailbox(self.pair.home, name).id
        key, account_id = f"bob@{DOMAIN}", self.who.account.id
        self.shard.change_acl(self.pair.home, number, key, account_id, "", frozenset(rights))

    async def by_name(self, command: str, rights: str) -> Answer:
        self.count += 1
        if not self.pair_of_names:
            self.pair_of_names = await self.make(LETTERS), await self.make("")
        selected, name = self.pair_of_names
        self.grant(name, rights)
        await self.pair.bob.ok(f"SELECT {shared(selected)}")
        answer = await self.pair.bob.command(
            command.format(shared(name), selected=shared(selected), id=self.count)
        )
        if answer.status == b"OK" and command.startswith(SPENT):
            self.pair_of_names = None
        return answer

    async def selected(self, command: str, rights: str) -> Answer:
        name, other = self.pair_of_names or (await self.make(LETTERS), await self.make(LETTERS))
        self.grant(name, LETTERS)
        await self.pair.bob.ok(f"SELECT {shared(name)}")
        self.grant(name, rights)
        answer = await self.pair.bob.command(command.format(selected=shared(other)))
        spent = answer.status == b"OK" and command.startswith(SPENT)
        self.pair_of_names = None if spent else (name, other)
        return answer


def shared(name: str) -> str:
    return f"user/ann@{DOMAIN}/{name}"


def without(letters: str) -> str:
    return "".join(letter for letter in LETTERS if letter not in letters)


def test_each_line_of_the_table_is_tried() -> None:
    tried = {*BY_NAME, *SELECTED, *SILENT, "FETCH"}  # FETCH: test_reading_that_is_taken_back
    assert tried >= set(NEEDS)


async def test_the_table_of_rights_by_name(pair: Pair) -> None:
    """Each cell: a right that is needed is missed where all others are there; that no other one is needed shows where
    there are no others. Without "l" and "r" it is as if there was nothing."""
    cells = Cells(pair)
    for operation, command in BY_NAME.items():
        needs = NEEDS[operation]
        code = b"TRYCREATE" if operation in TARGETS else b"NONEXISTENT"
        for letter in needs.every:
            answer = await cells.by_name(command, without(letter))
            assert answer.tagged.startswith(REFUSED), (operation, letter, answer)
            answer = await cells.by_name(command, without("lr" + letter))
            assert answer.tagged == b"NO [%b] No such mailbox" % code, (operation, letter)
        if needs.some:
            answer = await cells.by_name(command, without(needs.some))
            assert answer.tagged == b"NO [%b] No such mailbox" % code, operation
        for enough in needs.some or ("",):
            answer = await cells.by_name(command, needs.every + enough)
            assert answer.status == b"OK", (operation, enough, answer)


async def test_the_table_of_rights_in_what_is_selected(pair: Pair) -> None:
    """As above, beside "r"."""
    cells = Cells(pair)
    for operation, (command, needed) in SELECTED.items():
        for letter in needed:
            answer = await cells.selected(command, without(letter))
            assert answer.tagged.startswith(REFUSED), (operation, letter, answer)
        answer = await cells.selected(command, "r" + (needed or "s"))
        assert answer.status == b"OK", (operation, answer)
    answer = await cells.selected("UID STORE 1 FLAGS ()", without("swt"))
    assert answer.tagged.startswith(REFUSED), "none of them may be changed"


async def test_the_table_of_rights_where_nothing_is_said(pair: Pair) -> None:
    cells = Cells(pair)
    for operation, command in SILENT.items():
        for letter in LETTERS:
            answer = await cells.by_name(command, without(letter))
            assert answer.status == b"OK"
            assert bool(answer.lines) is (letter not in NEEDS[operation].every), (operation, letter)


async def test_what_is_optional_is_left_undone(pair: Pair) -> None:
    """RFC 4314 4: flags of APPEND and COPY, \\Seen of FETCH, the expunging of CLOSE."""
    flags = "(\\Seen \\Deleted \\Flagged $Work)"
    kept = {"s": {"\\Seen"}, "t": {"\\Deleted"}, "w": {"\\Flagged", "$Work"}, "": set()}
    await pair.bob.append(message(), flags=flags)
    cells, shard = Cells(pair), pair.rig.store.shard(pair.home.shard)
    for letter, expected in kept.items():
        name = await cells.make("li" + letter)
        await pair.bob.append(message(), shared(name), flags)
        await pair.bob.ok("SELECT INBOX")
        await pair.bob.ok(f"UID COPY 1 {shared(name)}")
        number = shard.mailbox(pair.home, name).id
        rows = shard.rows(pair.home, number, [(2, 3)], ("flags",))
        assert [set(row[0]) for row in rows] == [expected, expected], letter
    for rights, left in (("r", 1), ("re", 0)):
        name = await cells.make(rights)
        await pair.bob.ok(f"SELECT {shared(name)}")
        await pair.bob.ok("CLOSE")
        assert shard.mailbox(pair.home, name).messages == left
    for rights, unseen in (("lr", 1), ("lrwt", 1), ("lrs", 0)):
        name = await cells.make(LETTERS)
        shard.store_flags(pair.home, shard.mailbox(pair.home, name).id, None, "set", [])
        cells.grant(name, rights)
        await pair.bob.ok(f"SELECT {shared(name)}")
        assert b"Hello" in (await pair.bob.ok("FETCH 1 BODY[]"))[0]
        assert shard.mailbox(pair.home, name).unseen == unseen, rights


async def test_a_store_changes_what_may_be_changed(pair: Pair) -> None:
    cells = Cells(pair)
    name = await cells.make("lrsw")
    await pair.bob.ok(f"SELECT {shared(name)}")
    assert await pair.bob.ok("STORE 1 FLAGS.SILENT (\\Flagged $Work)") == [
        b"* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Work)",
        b"* 1 FETCH (UID 1 FLAGS (\\Flagged \\Deleted $Work))",
    ], "silence is for what came out as it was asked for"
    assert await pair.bob.ok("STORE 1 -FLAGS (\\Deleted \\Flagged)") == [
        b"* 1 FETCH (UID 1 FLAGS (\\Deleted $Work))"
    ]


SELECTS = (
    ("lr", "READ-ONLY", b"()"),
    ("lrkxpa", "READ-ONLY", b"()"),
    ("lri", "READ-WRITE", b"()"),
    ("lre", "READ-WRITE", b"()"),
    ("lrs", "READ-WRITE", b"(\\Seen)"),
    ("lrt", "READ-WRITE", b"(\\Deleted)"),
    ("lrw", "READ-WRITE", b"(\\Answered \\Flagged \\Draft \\*)"),
    ("rstw", "READ-WRITE", b"(\\Answered \\Flagged \\Deleted \\Seen \\Draft \\*)"),
)


async def test_select_says_what_may_be_changed(pair: Pair) -> None:
    """RFC 4314 5.1.1, 5.2."""
    for rights, mode, permanent in SELECTS:
        await pair.grant(rights)
        answer = await pair.bob.command(f"SELECT {TEAM}")
        assert answer.tagged.startswith(b"OK [%b] " % mode.encode()), rights
        assert answer.having(b"[PERMANENTFLAGS %b]" % permanent), (rights, answer.lines)
    answer = await pair.bob.command(f"EXAMINE {TEAM}")
    assert answer.tagged.startswith(b"OK [READ-ONLY] ")
    assert answer.having(b"[PERMANENTFLAGS ()]")


async def test_rights_that_change_while_it_is_selected(pair: Pair) -> None:
    """RFC 4314 5.1.1: told, and in force, with the next command."""
    await pair.grant("lr")
    await pair.bob.ok(f"SELECT {TEAM}")
    assert (await pair.bob.command("STORE 1 +FLAGS (\\Seen)")).tagged.startswith(b"NO [CANNOT]")
    await pair.grant("lrs")
    assert await pair.bob.ok("STORE 1 +FLAGS (\\Seen)") == [
        b"* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)",
        b"* OK [PERMANENTFLAGS (\\Seen)] Flags that are kept",
        b"* 1 FETCH (UID 1 FLAGS (\\Seen))",
    ]
    await pair.grant("lr")
    answer = await pair.bob.command("STORE 1 -FLAGS (\\Seen)")
    assert answer.having(b"[PERMANENTFLAGS ()]")
    assert answer.tagged.startswith(b"NO [CANNOT]")


async def test_reading_that_is_taken_back(pair: Pair) -> None:
    """With the next command, whatever it is: the mailbox is one that is not there."""
    for command in ("UID FETCH 1 BODY.PEEK[]", "UID SEARCH ALL", "NOOP", "CHECK"):
        await pair.grant("lr")
        bob = await pair.rig.login(name="bob", select=TEAM)
        await pair.ann.ok(f"SETACL Team bob@{DOMAIN} -r")
        bob.start(command.encode())
        assert await bob.line() == b"* BYE The selected mailbox is gone", command
        await bob.closed()
