"""The maildrop over a real store: large, read ahead, in its order, and by the same UIDLs wherever the mail lies."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailplat.access.pop3 import Pop3Limits
from mailplat.core.route import Residence
from mailplat.core.spool import Body
from mailplat.store import Shard
from mailplat.store.repair import rebuild
from mailplat.store.types import NewMessage
from tests.access.conftest import MakeHouse
from tests.access.house import House, message

MANY = 100_000


def fill_rows(shard: Shard, residence: Residence, count: int) -> None:
    """Rows without files, each of 1000 octets and its UID more."""
    inbox = shard.mailbox(residence, "INBOX")
    with shard.site.database.write() as connection:
        connection.exec_driver_sql(
            "WITH RECURSIVE n (uid) AS (SELECT 1 UNION ALL SELECT uid + 1 FROM n WHERE uid < ?)"
            " INSERT INTO message (mailbox_id, uid, modseq, flagset, size, internaldate, zone, saved_at, name)"
            " SELECT ?, uid, uid, 0, 1000 + uid, 0, 0, 0, 'none' || uid FROM n",
            (count, inbox.id),
        )
        connection.exec_driver_sql(
            "UPDATE mailbox SET uidnext = ?, modseq = ?, messages = ?, named = ? WHERE id = ?",
            (count + 1, count + 1, count, count + 1, inbox.id),
        )


async def test_a_hundred_thousand_messages_are_listed_without_a_file(house: House) -> None:
    """There are none: to open one would be an error."""
    house.add("anna")
    residence = house.residence("anna")
    shard = house.store.shard("s1")
    fill_rows(shard, residence, MANY)
    uidvalidity = shard.mailbox(residence, "INBOX").uidvalidity
    client = await house.pop3_client()
    assert await client.ask("STAT") == b"+OK %d %d" % (MANY, MANY * 1000 + MANY * (MANY + 1) // 2)
    client.send("DELE 7", "LIST", "UIDL", f"UIDL {MANY}")
    assert (await client.line()).startswith(b"+OK")
    sizes, uidls = (await client.multi())[1:], (await client.multi())[1:]
    numbers = [number for number in range(1, MANY + 1) if number != 7]
    assert sizes == [b"%d %d" % (number, 1000 + number) for number in numbers]
    assert uidls == [b"%d %d.%d" % (number, uidvalidity, number) for number in numbers]
    assert await client.line() == b"+OK %d %d.%d" % (MANY, uidvalidity, MANY)
    assert (await client.ask("RETR 1")).startswith(b"-ERR [SYS/TEMP]")  # that would have been noticed


async def test_who_comes_again_sees_what_came_and_went(house: House) -> None:
    """The listing is kept between sessions, and brought forward."""
    house.add("anna")
    await house.deliver("anna", *[message(str(number)) for number in range(6)])
    residence, shard = house.residence("anna"), house.store.shard("s1")
    inbox = shard.mailbox(residence, "INBOX")

    async def uids() -> list[int]:
        client = await house.pop3_client()
        listed = (await client.multi("UIDL"))[1:]
        assert await client.ask("QUIT") == b"+OK Bye"
        assert [int(line.split()[0]) for line in listed] == list(range(1, len(listed) + 1))
        return [int(line.rpartition(b".")[2]) for line in listed]

    assert await uids() == [1, 2, 3, 4, 5, 6]
    shard.store_flags(residence, inbox.id, None, "add", ["\\Seen"])
    shard.expunge_uids(residence, inbox.id, [(1, 1), (3, 4), (6, 6)])
    await house.deliver("anna", NewMessage(Body.of(message("7")), uidl="theirs"), message("8"))
    shard.expunge_uids(residence, inbox.id, [(8, 8)])
    client = await house.pop3_client()
    listed = [line.split()[1] for line in (await client.multi("UIDL"))[1:]]
    assert [uidl.rpartition(b".")[2] for uidl in listed] == [b"2", b"5", b"theirs"]
    await client.ask("QUIT")
    shard.expunge_uids(residence, inbox.id, None)
    assert await uids() == []


@pytest.mark.parametrize("octets", [1, 100, 100_000])
async def test_messages_that_are_read_ahead_are_those(houses: MakeHouse, octets: int) -> None:
    """In order, against it, again, around what is deleted or gone; however many fit."""
    house = houses(pop3=Pop3Limits(ahead=3, ahead_octets=octets, chunk=130))
    house.add("anna")
    letters = [message(str(number), "x" * number * 20 + "\r\n") for number in range(8)]
    await house.deliver("anna", *letters)
    client = await house.pop3_client()
    assert (await client.ask("DELE 3")).startswith(b"+OK")
    residence, shard = house.residence("anna"), house.store.shard("s1")
    shard.expunge_uids(residence, shard.mailbox(residence, "INBOX").id, [(5, 5)])
    for number in (1, 2, 3, 4, 5, 6, 7, 8, 8, 7, 6, 1, 2, 4):
        if number == 3:
            assert await client.ask("RETR 3") == b"-ERR No such message"
        elif number == 5:
            assert await client.ask("RETR 5") == b"-ERR That message was removed meanwhile"
        else:
            said = (await client.multi(f"RETR {number}"))[1:]
            assert b"".join(line + b"\r\n" for line in said) == letters[number - 1], number


SIZE = len(message("1"))


@pytest.mark.parametrize(
    ("limits", "kept"),
    [
        (Pop3Limits(), [2, 3, 4]),
        (Pop3Limits(ahead=4), [2, 3, 4]),
        (Pop3Limits(ahead=3), [2, 3]),
        (Pop3Limits(ahead_octets=3 * SIZE), [2, 3]),
        (Pop3Limits(ahead_octets=3 * SIZE - 1), [2]),
        (Pop3Limits(chunk=SIZE), [2, 3, 4]),
        (Pop3Limits(chunk=SIZE - 1), []),  # of more than one piece: each by itself
    ],
)
async def test_how_much_is_read_ahead(houses: MakeHouse, limits: Pop3Limits, kept: list[int]) -> None:
    house = houses(pop3=limits)
    house.add("anna")
    await house.deliver("anna", *(message(str(number)) for number in range(1, 5)))
    client = await house.pop3_client()
    [session] = house.pop3._sessions
    await client.multi("RETR 1")
    assert sorted(session.drop._ahead) == kept
    await client.multi("RETR 4")
    assert 4 not in session.drop._ahead  # what was sent is not kept


async def test_a_file_that_is_missing_is_one_messages_trouble(house: House) -> None:
    house.add("anna")
    letters = [message(str(number)) for number in range(5)]
    await house.deliver("anna", *letters)
    shard = house.store.shard("s1")
    shard.settle_names()
    [lost] = [path for path in files_of(Path(shard.path)) if b"Subject: 2" in path.read_bytes()]
    lost.unlink()
    client = await house.pop3_client()
    client.send(*(f"RETR {number}" for number in range(1, 6)))
    for number in range(1, 6):
        if number == 3:
            assert (await client.line()).startswith(b"-ERR [SYS/TEMP]")
        else:
            assert (await client.multi())[1:] == letters[number - 1].split(b"\r\n")[:-1]


def files_of(root: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(root / "accounts"):
        yield from (Path(folder) / name for name in names if ",S=" in name)


async def test_last_and_xtnd_are_not_offered(house: House) -> None:
    """RFC 1939 has neither; RFC 1082's XTND and RFC 1225's LAST are gone."""
    house.add("anna")
    await house.deliver("anna", message())
    client = await house.pop3_client()
    for command in ("LAST", "XTND XMIT", "APOP anna 0123456789abcdef0123456789abcdef", "RPOP anna"):
        assert await client.ask(command) == b"-ERR Unknown command", command


async def test_a_rebuild_keeps_uidls_and_their_order(house: House) -> None:
    """Without its index a shard is made again from its files alone."""
    house.add("anna")
    await house.deliver(
        "anna",
        message("ours"),
        NewMessage(Body.of(message("theirs")), uidl='UID2-1200000000 :"/,\\=%'.replace(" ", "")),
        NewMessage(Body.of(message("long")), uidl="x" * 70),
        message("last"),
    )
    client = await house.pop3_client()
    before = (await client.multi("UIDL"))[1:]
    await client.ask("DELE 1")
    assert await client.ask("QUIT") == b"+OK Bye"
    residence = house.residence("anna")
    house.store.shard("s1").settle_names()
    house.store.close()
    for name in ("index.db", "index.db-wal", "index.db-shm"):
        (house.root / "s1" / name).unlink(missing_ok=True)
    repaired = Shard("s1", house.root / "s1", house.bus, upkeep=False, mend=True)
    rebuild(repaired)
    listing = repaired.listing(residence, repaired.mailbox(residence, "INBOX").id)
    repaired.close()
    assert [listing.uidl(place).encode() for place in range(3)] == [line.split()[1] for line in before[1:]]
