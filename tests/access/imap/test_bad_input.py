"""What no client should send. For each a clear reply, and the next command works or the connection ends in order."""

import pytest

from mailplat.access.imap import ImapLimits
from mailplat.core.errors import NotFound
from tests.access.imap.client import Client
from tests.access.imap.conftest import MakeRig, Rig, message
from tests.until import until


async def alive(client: Client) -> None:
    assert (await client.command("NOOP")).status == b"OK"


async def test_line_of_a_megabyte(rig: Rig) -> None:
    client = await rig.login()
    client.send(b"a SELECT " + b"x" * 1_000_000 + b"\r\n")
    assert (await client.line()).startswith(b"a BAD ")
    await alive(client)


@pytest.mark.parametrize(
    "octets",
    [
        b"a SEL\0ECT INBOX\r\n",
        b"a SELECT INB\0OX\r\n",
        b"\0\0\0\0\r\n",
        b"a SELECT {3+}\r\n\0\0\0\r\n",
        b"\xff\xfe\xfd\r\n",
        b"a\r\n",
        b"\r\n",
        b"* OK I am a server\r\n",
        b"a UID\r\n",
        b"a UID NONSENSE\r\n",
        b'a SELECT "unfinished\r\n',
        b'a SELECT "bad \\escape"\r\n',
        b"a LIST (((((((( * \r\n",
        b"a FETCH 1 BODY[\r\n",
        b"a FETCH 1:99999999999 FLAGS\r\n",
        b"a STORE 1 FLAGS (\\\r\n",
        b'a APPEND INBOX (\\Seen "x" {3+}\r\nabc\r\n',
    ],
)
async def test_nonsense(rig: Rig, octets: bytes) -> None:
    client = await rig.login("INBOX")
    client.send(octets)
    line = await client.line()
    assert line.split(b" ", 2)[1] in (b"BAD", b"NO"), line
    await alive(client)


async def test_literal_of_4_gb(rig: Rig) -> None:
    client = await rig.login()
    client.send(b"a SELECT {4294967296}\r\n")
    assert (await client.line()).startswith(b"a BAD [TOOBIG]")
    await alive(client)
    client.send(b"b APPEND INBOX {4294967296}\r\n")
    assert (await client.line()).startswith(b"b NO [TOOBIG]")
    await alive(client)
    # LITERAL+ would make us read it all: the connection ends.
    client.send(b"c APPEND INBOX {4294967296+}\r\n")
    lines = [await client.line(), await client.line()]
    assert lines[0].startswith(b"c NO [TOOBIG]")
    assert lines[1].startswith(b"* BYE [TOOBIG]")


async def test_unfinished_literal(rig: Rig) -> None:
    client = await rig.login()
    client.send(b"a APPEND INBOX {1000+}\r\nonly a little")
    await client.close()
    client = await rig.login()
    assert await client.ok("STATUS INBOX (MESSAGES)") == [b"* STATUS INBOX (MESSAGES 0)"]


NO_NAMES = (
    "../../etc/passwd",
    "INBOX/../x",
    "/etc/passwd",
    "a//b",
    "..",
    ".",
    "a/./b",
    "a/\u0001b",
    "x" * 300,
    "/".join("a" * 70),
)


@pytest.mark.parametrize("name", NO_NAMES)
async def test_mailbox_names_that_are_no_names(rig: Rig, name: str) -> None:
    client = await rig.login()
    literal = b"{%d+}\r\n%b" % (len(name), name.encode())
    for before, after in (
        (b"CREATE ", b""),
        (b"SELECT ", b""),
        (b"DELETE ", b""),
        (b"RENAME INBOX ", b""),
        (b"STATUS ", b" (MESSAGES)"),
    ):
        answer = await client.command(before + literal + after)
        assert answer.status in (b"NO", b"BAD"), answer
    with pytest.raises(NotFound):
        rig.shard.mailbox(rig.residence, name)
    assert [box.name for box in rig.shard.mailboxes(rig.residence)] == ["INBOX"]
    assert not list(rig.folder.rglob("*passwd*"))


async def test_modified_utf7_that_does_not_decode(rig: Rig) -> None:
    client = await rig.login()
    for name in ("&AP", "&AGE-", "&@@@-", "&2D0-", "&-&AOQ-&AOQ-x&"):
        assert (await client.command(f'CREATE "{name}"')).status == b"BAD", name
    await alive(client)


async def test_five_thousand_nested_mailboxes(rig: Rig) -> None:
    """Depth ends at a limit; breadth is listed."""
    client = await rig.login()
    answer = await client.command(b"CREATE {9999+}\r\n" + b"/".join([b"a"] * 5000))
    assert answer.tagged.startswith((b"NO [LIMIT]", b"NO [CANNOT]"))
    for tens in range(100):
        client.send(b"".join(b"n CREATE top/%d/%d%d\r\n" % (tens // 10, tens, one) for one in range(10)))
        for _ in range(10):
            assert (await client.line()).startswith(b"n OK")
    assert len(await client.ok('LIST "" *')) == 1000 + 10 + 2
    assert len(await client.ok('LIST "" top/%')) == 10


async def test_deep_search(rig: Rig) -> None:
    await rig.deliver(message())
    client = await rig.login("INBOX")
    answer = await client.command("SEARCH " + "(" * 5000 + "ALL" + ")" * 5000)
    assert answer.status == b"BAD"
    answer = await client.command("SEARCH " + "NOT " * 5000 + "ALL")
    assert answer.status == b"BAD"
    await alive(client)


async def test_another_protocol(rigs: MakeRig) -> None:
    rig = await rigs(limits=ImapLimits(bad_commands=5))
    client = await rig.connect()
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n\r\n\r\n\r\n")
    lines = [await client.line() for _ in range(6)]
    assert lines[-1].startswith(b"* BYE ")
    await client.closed()


async def test_client_that_does_not_read(rigs: MakeRig) -> None:
    """It gets cut off; the server's memory for it stays bounded."""
    rig = await rigs(limits=ImapLimits(write_stall=0.2, write_buffer=10_000))
    await rig.deliver(message(text="x" * 2_000_000))
    client = await rig.login("INBOX")
    client.reader._transport.pause_reading()  # type: ignore[attr-defined]
    client.send(b"".join(b"a%d FETCH 1 BODY.PEEK[]\r\n" % number for number in range(50)))
    await until(lambda: len(rig.server.sessions) == 0)


async def test_a_bug_is_logged_and_not_shown(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    client = await rig.login()

    def broken(*_: object) -> None:
        raise ZeroDivisionError("secret of the house")

    monkeypatch.setattr(rig.shard, "subscriptions", broken)
    assert (await client.command('LSUB "" *')).tagged == b"NO [SERVERBUG] Internal error, it has been logged"
    await alive(client)
