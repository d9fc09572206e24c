"""Lines that are none, limits, timers; one session an account; sessions of accounts that move."""

import asyncio
import random
import subprocess
import sys
from pathlib import Path

import pytest

from mailplat.access.login import MaildropInUse
from mailplat.access.pop3 import Pop3Limits
from mailplat.access.pop3.lock import MaildropLock
from mailplat.core.route import Residence, RouteState, ShardHome
from tests.access.conftest import MakeHouse
from tests.access.house import PASSWORD, House, message, replies
from tests.until import until

IN_USE = b"-ERR [IN-USE] Another session has this maildrop, try again later"


async def test_lines_that_are_no_commands(house: House) -> None:
    client = await house.connect(await house.listen(house.pop3))
    await client.line()
    for line, said in (
        ("NOPE", b"-ERR Unknown command"),
        ("APOP a b", b"-ERR Unknown command"),
        ("STAT", b"-ERR Not in this state"),
        ("", b"-ERR That is no command"),
        (b"\0\0", b"-ERR That is no command"),
        (b"\xff\xfe\xfd", b"-ERR That is no command"),
        (b"x" * 1_000_000, b"-ERR A line has at most 512 octets"),
    ):
        assert await client.ask(line) == said, line
    assert (await client.multi("CAPA"))[0].startswith(b"+OK")


async def test_who_speaks_another_protocol_is_cut_off(house: House) -> None:
    client = await house.connect(await house.listen(house.pop3))
    client.send("GET / HTTP/1.1", *[f"X-Header-{n}: y" for n in range(20)], "")
    said = (await client.rest()).split(b"\r\n")
    assert len(said) == 1 + Pop3Limits().bad_commands + 1


async def test_octet_by_octet(house: House) -> None:
    house.add("anna")
    await house.deliver("anna", message())
    client = await house.connect(await house.listen(house.pop3))
    await client.line()
    for octet in b"USER anna@example.test\r\nPASS correct horse\r\nSTAT\r\nQUIT\r\n":
        client.writer.write(bytes([octet]))
        await client.writer.drain()
        await asyncio.sleep(0)
    assert (await client.rest()).count(b"+OK") == 4


PIECES = [
    b"RETR ", b"TOP ", b"DELE ", b"LIST ", b"UIDL", b"RSET", b"CAPA", b"AUTH PLAIN", b"USER x", b"PASS y", b"UTF8",
    b"STLS", b"1", b" ", b"99", b"\r\n", b"\r\n", b"\n", b"\0", b"\xff",
]  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_is_sent_gets_replies_and_nothing_else(houses: MakeHouse, seed: int) -> None:
    house = houses(pop3=Pop3Limits(bad_commands=10**6))
    house.add("anna")
    await house.deliver("anna", message())
    rng = random.Random(seed)
    for _ in range(10):
        client = await house.pop3_client()
        client.writer.write(b"".join(rng.choices(PIECES, k=rng.randrange(60))) + b"\r\n*\r\nQUIT\r\n")
        said = await client.rest()
        assert said.endswith(b"+OK Bye\r\n"), said
        assert all(line.startswith((b"+OK", b"-ERR [", b"-ERR ")) for line in replies(said))
        assert b"Traceback" not in said
        assert b"-ERR [SYS" not in said


async def test_a_session_that_idles_ends_silently_and_deletes_nothing(houses: MakeHouse) -> None:
    """RFC 1939 3: the timer's end is not QUIT."""
    house = houses(pop3=Pop3Limits(autologout=0.1))
    house.add("anna")
    await house.deliver("anna", message())
    client = await house.pop3_client()
    await client.ask("DELE 1")
    assert await client.rest() == b""
    assert house.kept("anna") == [message()]
    assert Pop3Limits().autologout >= 600


async def test_who_does_not_log_in_is_not_waited_for(houses: MakeHouse) -> None:
    house = houses(pop3=Pop3Limits(preauth=0.05))
    client = await house.connect(await house.listen(house.pop3))
    assert await client.rest() == b"+OK pop3.example.test ready\r\n"


async def test_too_many_connections(houses: MakeHouse) -> None:
    house = houses(pop3=Pop3Limits(connections=1))
    port = await house.listen(house.pop3)
    first = await house.connect(port)
    await first.line()
    second = await house.connect(port)
    assert (await second.rest()).startswith(b"-ERR [SYS/TEMP]")
    await first.ask("QUIT")
    await until(lambda: len(house.pop3) == 0)
    third = await house.connect(port)
    assert (await third.line()).startswith(b"+OK")


# one session an account


async def second_login(house: House) -> bytes:
    client = await house.connect(await house.listen(house.pop3))
    await client.line()
    await client.ask("USER anna@example.test")
    return await client.ask(f"PASS {PASSWORD}")


async def test_one_session_an_account(house: House) -> None:
    house.add("anna")
    house.add("bert")
    client = await house.pop3_client()
    assert await second_login(house) == IN_USE
    await house.pop3_client("bert")  # others are not held up
    await client.ask("QUIT")
    assert (await second_login(house)).startswith(b"+OK")  # at once: the reply to QUIT came after the lock


async def test_in_use_is_no_failure_of_the_password(house: House) -> None:
    house.add("anna")
    first = await house.pop3_client()
    client = await house.connect(await house.listen(house.pop3))
    await client.line()
    for _ in range(5):
        await client.ask("USER anna@example.test")
        assert await client.ask(f"PASS {PASSWORD}") == IN_USE
    await first.ask("QUIT")
    await client.ask("USER anna@example.test")
    assert (await client.ask(f"PASS {PASSWORD}")).startswith(b"+OK")


async def test_one_session_an_account_over_all_processes(house: House) -> None:
    """Held by another worker, and gone with it when it is killed."""
    account = house.add("anna")
    house.residence("anna")
    path = house.root / "s1" / "locks" / f"{account.id}.pop3"
    path.parent.mkdir(exist_ok=True)
    program = (
        f"import fcntl; f = open({str(path)!r}, 'a'); fcntl.flock(f, 2); print('held', flush=True); input()"
    )
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert other.stdout is not None
    assert await other.stdout.readline() == b"held\n"
    assert await second_login(house) == IN_USE
    other.kill()
    await other.wait()
    assert (await second_login(house)).startswith(b"+OK")


async def test_a_lock_is_given_back_when_the_maildrop_cannot_be_opened(house: House) -> None:
    account = house.add("anna")
    house.residence("anna")
    with house.store.shard("s1").site.database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE mailbox RENAME TO away")
    assert (await second_login(house)).startswith(b"-ERR [SYS/TEMP]")
    MaildropLock(house.root / "s1", Residence(account.id, "s1", 1)).release()


def test_a_lock_that_is_released_twice_does_not_release_anothers(tmp_path: Path) -> None:
    residence = Residence(7, "s1", 1)
    lock = MaildropLock(tmp_path, residence)
    lock.release()
    other = MaildropLock(tmp_path, residence)
    lock.release()
    with pytest.raises(MaildropInUse):
        MaildropLock(tmp_path, residence)
    other.release()


# accounts that move


async def test_a_session_ends_before_the_move_is_acknowledged(house: House) -> None:
    house.add("anna")
    await house.deliver("anna", message())
    await house.start_watch()
    client = await house.pop3_client()
    await client.ask("DELE 1")
    house.advance("anna", RouteState.FENCED)
    assert await client.rest() == b""
    await until(lambda: len(house.pop3) == 0)
    house.advance("anna", RouteState.NEW)
    assert house.kept("anna") == [message()]


async def test_a_login_during_a_fence_waits_and_is_served(house: House) -> None:
    """Neither an error nor an empty mailbox."""
    house.add("anna")
    await house.deliver("anna", message())
    house.advance("anna", RouteState.FENCED)
    client = await house.connect(await house.listen(house.pop3))
    await client.line()
    await client.ask("USER anna@example.test")
    client.send(f"PASS {PASSWORD}")
    reply = asyncio.create_task(client.line())
    await asyncio.sleep(0.05)
    assert not reply.done()
    house.advance("anna", RouteState.NEW)
    assert await reply == b"+OK 1 messages (%d octets)" % len(message())


async def test_a_login_does_not_wait_for_ever(houses: MakeHouse) -> None:
    house = houses(wait=0.05)
    house.add("anna")
    house.advance("anna", RouteState.FENCED)
    assert (await second_login(house)).startswith(b"-ERR [SYS/TEMP]")


async def test_deletions_under_an_old_epoch_are_refused(house: House) -> None:
    """The watch may be slow; the store is the one that knows."""
    house.add("anna")
    await house.deliver("anna", message())
    client = await house.pop3_client()
    await client.ask("DELE 1")
    route = house.advance("anna", RouteState.FENCED, RouteState.NEW)
    house.store.shard("s1").grant(route.account_id, route.epoch)
    assert await client.ask("QUIT") == b"-ERR [SYS/TEMP] Deleted messages were not removed"
    assert house.kept("anna") == [message()]


async def test_a_move_during_the_login_is_noticed(house: House) -> None:
    """The route was read, then it changed, then the session would have begun."""
    house.add("anna")
    await house.deliver("anna", message())
    real = house.login.login
    moved = []

    async def login(*args: object) -> object:
        granted = await real(*args)  # type: ignore[arg-type]
        if not moved:
            moved.append(house.advance("anna", RouteState.FENCED, RouteState.NEW, home=ShardHome("s1")))
            await house.pop3.route_changed(moved[0])
        return granted

    house.login.login = login  # type: ignore[assignment,method-assign]
    client = await house.pop3_client()
    [session] = house.pop3._sessions
    assert session.granted is not None
    assert session.granted.residence.epoch == moved[0].epoch
    assert await client.ask("STAT") == b"+OK 1 %d" % len(message())


async def test_the_end_of_the_process_ends_sessions_that_wait(house: House) -> None:
    house.add("anna")
    client = await house.pop3_client()
    await house.pop3.close()
    assert await client.rest() == b""
    assert len(house.pop3) == 0
