"""The maildrop's commands over a real store."""

import asyncio
import os

from mailplat.access.pop3 import Pop3Limits
from mailplat.core.spool import Body
from mailplat.store.types import NewMessage
from tests.access.conftest import MakeHouse
from tests.access.house import House, message, replies
from tests.until import until

ONE, TWO, THREE = (
    message("one"),
    message("two", ".dot\r\n..two\r\n.\r\n\r\nend\r\n"),
    message("three", "x" * 2000),
)


async def test_stat_list_and_uidl(house: House) -> None:
    house.add("anna")
    [first, second] = await house.deliver("anna", ONE, TWO)
    client = await house.pop3_client()
    assert await client.ask("STAT") == b"+OK 2 %d" % (len(ONE) + len(TWO))
    assert (await client.multi("LIST"))[1:] == [b"1 %d" % len(ONE), b"2 %d" % len(TWO)]
    assert await client.ask("LIST 2") == b"+OK 2 %d" % len(TWO)
    expected = [b"%d %d.%d" % (n, each.uidvalidity, each.uid) for n, each in enumerate((first, second), 1)]
    assert (await client.multi("UIDL"))[1:] == expected
    assert await client.ask("UIDL 1") == b"+OK " + expected[0]


async def test_an_empty_maildrop(house: House) -> None:
    house.add("anna")
    client = await house.pop3_client()
    assert await client.ask("STAT") == b"+OK 0 0"
    assert (await client.multi("LIST"))[1:] == (await client.multi("UIDL"))[1:] == []
    assert (await client.ask("RETR 1")).startswith(b"-ERR")
    assert await client.ask("QUIT") == b"+OK Bye"
    assert await client.line() == b""


async def test_retr_gives_back_each_octet(house: House) -> None:
    house.add("anna")
    octets = [
        ONE,
        TWO,
        "Subject: äöü\r\n\r\n8 bit \x80\r\n".encode("latin-1", "replace"),
        b"\r\n",
        b"no header\r\n",
    ]
    await house.deliver("anna", *octets)
    client = await house.pop3_client()
    for number, expected in enumerate(octets, 1):
        first, *lines = await client.multi(f"RETR {number}")
        assert first == b"+OK %d octets" % len(expected)
        assert b"".join(line + b"\r\n" for line in lines) == expected


async def test_a_message_without_a_last_line_end_gets_one(house: House) -> None:
    house.add("anna")
    await house.deliver("anna", b"Subject: x\r\n\r\nno end")
    client = await house.pop3_client()
    assert (await client.multi("RETR 1"))[-1] == b"no end"
    assert await client.ask("NOOP") == b"+OK"


async def test_a_large_message_goes_in_pieces(houses: MakeHouse) -> None:
    """Whatever the size of a piece: also where it cuts a line end or a dot."""
    house = houses(pop3=Pop3Limits(chunk=7))
    house.add("anna")
    await house.deliver("anna", TWO, message("big", ".\r\n" * 500))
    client = await house.pop3_client()
    for number, expected in ((1, TWO), (2, message("big", ".\r\n" * 500))):
        assert b"".join(line + b"\r\n" for line in (await client.multi(f"RETR {number}"))[1:]) == expected
    top = await client.multi("TOP 1 2")
    assert top[1:] == [b"From: a@b.test", b"Subject: two", b"", b".dot", b"..two"]


async def test_top(house: House) -> None:
    house.add("anna")
    await house.deliver("anna", TWO)
    client = await house.pop3_client()
    head = [b"From: a@b.test", b"Subject: two", b""]
    assert (await client.multi("TOP 1 0"))[1:] == head
    assert (await client.multi("TOP 1 1"))[1:] == [*head, b".dot"]
    everything = (await client.multi("RETR 1"))[1:]
    assert (await client.multi("TOP 1 9999999999"))[1:] == everything
    for wrong in ("TOP", "TOP 1", "TOP 1 x", "TOP 1 -1", "TOP 2 0", "TOP 1 2 3", "TOP x 1"):
        assert (await client.ask(wrong)).startswith(b"-ERR"), wrong


async def test_numbers_that_nobody_has(house: House) -> None:
    house.add("anna")
    await house.deliver("anna", ONE)
    client = await house.pop3_client()
    for keyword in ("RETR", "DELE", "LIST", "UIDL"):
        for argument in ("0", "2", "-1", "x", "1 2", "9" * 30, "1.0"):
            assert await client.ask(f"{keyword} {argument}") == b"-ERR No such message", (keyword, argument)
    for keyword in ("RETR", "DELE"):
        assert (await client.ask(keyword)).startswith(b"-ERR")
    assert await client.ask("STAT") == b"+OK 1 %d" % len(ONE)


async def test_deletions_happen_at_quit_only(house: House) -> None:
    house.add("anna")
    await house.deliver("anna", ONE, TWO, THREE)
    client = await house.pop3_client()
    assert (await client.ask("DELE 2")).startswith(b"+OK")
    for again in ("DELE 2", "RETR 2", "LIST 2", "UIDL 2", "TOP 2 0"):
        assert await client.ask(again) == b"-ERR No such message"
    assert await client.ask("STAT") == b"+OK 2 %d" % (len(ONE) + len(THREE))
    assert [line.split()[0] for line in (await client.multi("LIST"))[1:]] == [b"1", b"3"]
    assert house.kept("anna") == [ONE, TWO, THREE]
    assert await client.ask("QUIT") == b"+OK Bye"
    assert house.kept("anna") == [ONE, THREE]


async def test_rset_takes_deletions_back(house: House) -> None:
    house.add("anna")
    await house.deliver("anna", ONE, TWO)
    client = await house.pop3_client()
    for number in (1, 2):
        await client.ask(f"DELE {number}")
    assert await client.ask("STAT") == b"+OK 0 0"
    assert (await client.ask("RSET")).startswith(b"+OK 2 messages")
    assert await client.ask("STAT") == b"+OK 2 %d" % (len(ONE) + len(TWO))
    await client.ask("QUIT")
    assert house.kept("anna") == [ONE, TWO]


async def test_a_connection_that_breaks_deletes_nothing(house: House) -> None:
    house.add("anna")
    await house.deliver("anna", ONE)
    client = await house.pop3_client()
    await client.ask("DELE 1")
    client.close()
    await until(lambda: len(house.pop3) == 0)  # the server has noticed
    client = await house.pop3_client()
    assert await client.ask("STAT") == b"+OK 1 %d" % len(ONE)
    assert house.kept("anna") == [ONE]


async def test_a_session_sees_what_was_there_when_it_began(house: House) -> None:
    house.add("anna")
    await house.deliver("anna", ONE, TWO)
    client = await house.pop3_client()
    await house.deliver("anna", THREE)
    residence = house.residence("anna")
    shard = house.store.shard("s1")
    inbox = shard.mailbox(residence, "INBOX")
    shard.expunge_uids(residence, inbox.id, [(1, 1)])  # as IMAP does it
    assert await client.ask("STAT") == b"+OK 2 %d" % (len(ONE) + len(TWO))
    assert len(await client.multi("UIDL")) == 3
    assert await client.ask("RETR 1") == b"-ERR That message was removed meanwhile"
    assert (await client.multi("RETR 2"))[2] == b"Subject: two"
    for number in (1, 2):
        assert (await client.ask(f"DELE {number}")).startswith(b"+OK")
    assert await client.ask("QUIT") == b"+OK Bye"
    assert house.kept("anna") == [THREE]  # what it never saw is not what it deleted


async def test_stat_list_and_uidl_open_no_file(house: House) -> None:
    house.add("anna")
    await house.deliver("anna", ONE)
    client = await house.pop3_client()
    house.store.shard("s1").settle_names()
    for folder, _, files in os.walk(house.root / "s1" / "accounts"):
        for name in files:
            if ",S=" in name:
                os.unlink(os.path.join(folder, name))
    for command in ("STAT", "LIST 1", "UIDL 1"):
        assert (await client.ask(command)).startswith(b"+OK"), command
    assert (await client.ask("RETR 1")).startswith(b"-ERR [SYS/TEMP]")
    assert (await client.ask("NOOP")) == b"+OK"


async def test_reading_leaves_flags_to_imap(house: House) -> None:
    house.add("anna")
    await house.deliver("anna", ONE)
    client = await house.pop3_client()
    await client.multi("RETR 1")
    await client.ask("QUIT")
    residence = house.residence("anna")
    assert house.store.shard("s1").mailbox(residence, "INBOX").unseen == 1


async def test_uidls_of_another_platform_are_kept(house: House) -> None:
    house.add("anna")
    await house.deliver("anna", NewMessage(Body.of(ONE), uidl="UID17-1200000000"), TWO)
    client = await house.pop3_client()
    assert (await client.multi("UIDL"))[1] == b"1 UID17-1200000000"


async def test_long_listings(houses: MakeHouse) -> None:
    house = houses(pop3=Pop3Limits(rows=3, write_batch=64))
    house.add("anna")
    await house.deliver("anna", *[message(str(number)) for number in range(10)])
    client = await house.pop3_client()
    assert [line.split()[0] for line in (await client.multi("LIST"))[1:]] == [b"%d" % n for n in range(1, 11)]


async def test_pipelining(house: House) -> None:
    """RFC 2449 6.6: a whole session in one packet; replies come in its order."""
    house.add("anna")
    await house.deliver("anna", ONE, TWO)
    client = await house.connect(await house.listen(house.pop3))
    client.send(
        "USER anna@example.test",
        "PASS correct horse",
        "STAT",
        "UIDL",
        "RETR 1",
        "DELE 1",
        "NOPE",
        "RETR 2",
        "QUIT",
    )
    said = await client.rest()
    assert [line.split(b" ")[0] for line in replies(said)] == [b"+OK"] * 7 + [b"-ERR"] + [b"+OK"] * 2
    assert b"Subject: one" in said
    assert b"\r\n..dot\r\n" in said
    assert house.kept("anna") == [TWO]


async def test_who_asks_and_does_not_read_waits(houses: MakeHouse) -> None:
    """Nobody's memory grows with his commands."""
    house = houses(pop3=Pop3Limits(write_buffer=16 * 1024, write_batch=4096))
    house.add("anna")
    octets = message("big", ("x" * 78 + "\r\n") * 1000)
    await house.deliver("anna", octets)
    client = await house.pop3_client()
    [session] = house.pop3._sessions
    transport = session.stream.writer.transport
    count = 100
    client.send(*["RETR 1"] * count)
    await until(lambda: transport.get_write_buffer_size() > 0)
    left = count * len(b"+OK %d octets\r\n%b.\r\n" % (len(octets), octets))
    async with asyncio.timeout(20):
        while left:
            left -= len(await client.reader.read(1 << 20))
            assert transport.get_write_buffer_size() <= 16 * 1024 + 4096 + len(octets)
    assert await client.ask("NOOP") == b"+OK"
