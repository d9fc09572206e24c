"""POP3 servers that do what they may, and what they may not, against a session; each is a script."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from mailplat.core.errors import Unavailable
from mailplat.directory import Backend
from migration.errors import Halt, Misbehaviour, Throttled
from migration.numbering import Numbering, forget_some
from migration.sources.contract import Given, Number
from migration.sources.pop3 import Session
from migration.sources.pop3_account import INBOX, Pop3Account
from tests.migration.house import DOMAIN, House

MESSAGE = b"Subject: x\r\n\r\n" + b"..\r\n.line\r\n" * 20_000


class Server:
    """Answers by `replies`; counts what it was asked."""

    def __init__(self, **replies: bytes) -> None:
        self.replies = {
            "CAPA": b"+OK\r\nPIPELINING\r\n.\r\n",
            "LIST": b"+OK\r\n1 10\r\n2 20\r\n.\r\n",
            "UIDL": b"+OK\r\n1 a\r\n2 b\r\n.\r\n",
            "RETR": b"+OK\r\n" + MESSAGE.replace(b"\r\n.", b"\r\n..") + b".\r\n",
            **replies,
        }
        self.asked: list[str] = []

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"+OK ready\r\n")
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                self.asked.append(line.decode().split()[0])
                writer.write(self.replies.get(self.asked[-1], b"+OK\r\n"))
        writer.close()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Backend]:
        server = await asyncio.start_server(self.talk, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server:
            yield Backend(
                "old", pop3=f"127.0.0.1:{port}", pop3_tls="none", master_user="m", master_password="p"
            )


class Counted:
    """Numbers from 1."""

    async def give(self, uidls: Sequence[str]) -> Given:
        return Given(7, len(uidls) + 1, [Number(at + 1, 0) for at in range(len(uidls))])


@pytest.mark.parametrize(
    ("replies", "reason"),
    [
        ({"CAPA": b"+OK\r\nEXPIRE 0\r\n.\r\n"}, "EXPIRE 0"),
        ({"UIDL": b"+OK\r\n1 a\r\n2 a\r\n.\r\n"}, "two messages the UIDL 'a'"),
        ({"UIDL": b"+OK\r\n1 a\r\n.\r\n"}, "LIST has 2 messages, UIDL has 1"),
        ({"UIDL": b"+OK\r\n1 a\r\n2 \xff\r\n.\r\n"}, "no usable UIDL"),
        ({"UIDL": b"-ERR what\r\n"}, "knows no UIDL"),
    ],
)
async def test_what_stops_a_move(replies: dict[str, bytes], reason: str) -> None:
    server = Server(**replies)
    async with server.running() as backend:
        source = Pop3Account(backend, "a@x.test", Path("/nonexistent"), Counted())
        with pytest.raises(Halt, match=reason):
            await source.survey()
        await source.close()
    assert "RETR" not in server.asked


@pytest.mark.parametrize(
    ("replies", "reason"),
    [
        ({"LIST": b"+OK\r\n1 ten\r\n2 20\r\n.\r\n"}, "listed b'ten' octets"),
        ({"LIST": b"+OK\r\n1 -10\r\n2 20\r\n.\r\n"}, "listed b'-10' octets"),
        ({"LIST": b"+OK\r\n1 10\r\n1 20\r\n.\r\n"}, "message 1 twice"),
        ({"UIDL": b"+OK\r\n1 a\r\n1 b\r\n2 c\r\n.\r\n"}, "message 1 twice"),
    ],
)
async def test_lists_that_cannot_be(replies: dict[str, bytes], reason: str) -> None:
    async with Server(**replies).running() as backend:
        source = Pop3Account(backend, "a@x.test", Path("/nonexistent"), Counted())
        with pytest.raises(Misbehaviour, match=reason):
            await source.survey()
        await source.close()


@pytest.mark.parametrize("capabilities", [b"+OK\r\nPIPELINING\r\n.\r\n", b"-ERR\r\n"])
async def test_a_server_that_does_not_stuff_dots(tmp_path: Path, capabilities: bytes) -> None:
    """What its sender wrote behind a lone dot would be taken for answers, and for the next message."""
    forged = b"+OK\r\nSubject: a\r\n\r\nhello\r\n.\r\nrest\r\n+OK\r\nSubject: forged\r\n\r\n.\r\n"
    async with Server(RETR=forged, CAPA=capabilities).running() as backend:
        session = await Session.open(backend, "a@x.test")
        read = session.retrieve([1, 2], tmp_path, lambda: True)
        with pytest.raises(Misbehaviour, match=r"RSET|stuff dots"):
            await anext(read)
        session.abort()


async def test_a_locked_maildrop_is_left_for_later() -> None:
    """[IN-USE] is one account's affair; a busy server is left alone by all."""
    async with Server(PASS=b"-ERR [IN-USE] locked\r\n").running() as backend:
        with pytest.raises(Unavailable, match="IN-USE") as caught:
            await Session.open(backend, "a@x.test")
    assert not isinstance(caught.value, Throttled)
    async with Server(PASS=b"-ERR [SYS/TEMP] busy\r\n").running() as backend:
        with pytest.raises(Throttled, match="SYS/TEMP"):
            await Session.open(backend, "a@x.test")


@pytest.mark.parametrize("capa", [b"+OK\r\nPIPELINING\r\n.\r\n", b"-ERR what\r\n"])
async def test_octets_come_as_they_are_and_nothing_is_deleted(capa: bytes, tmp_path: Path) -> None:
    server = Server(CAPA=capa)
    async with server.running() as backend:
        source = Pop3Account(backend, "a@x.test", tmp_path, Counted())
        assert (await source.survey()).statuses["INBOX"].messages == 2
        await source.examine(INBOX)
        fetched = await source.fetch([1, 2])
        for each in fetched:
            with each.body.open() as file:
                assert file.read() == MESSAGE
            each.body.close()
        await source.close()
    assert [each.uid for each in fetched] == [1, 2]
    assert not {"DELE", "QUIT"} & set(server.asked)
    assert server.asked.count("RSET") == server.asked.count("RETR") == 2


async def test_a_message_that_is_not_given_is_left_out_and_the_list_is_read_anew(tmp_path: Path) -> None:
    server = Server(RETR=b"-ERR gone\r\n")
    async with server.running() as backend:
        source = Pop3Account(backend, "a@x.test", tmp_path, Counted())
        await source.survey()
        assert await source.fetch([1]) == []
        server.replies |= {"LIST": b"+OK\r\n2 20\r\n.\r\n", "UIDL": b"+OK\r\n2 b\r\n.\r\n"}
        assert [each.uid for each in await source.scan()] == [1]
        await source.close()
    assert server.asked.count("UIDL") == 2


async def test_numbers_stay_and_are_never_given_twice(tmp_path: Path) -> None:
    here = House(tmp_path / "house", Backend("old", pop3="127.0.0.1:1"), [f"a@{DOMAIN}"])
    here.plan()
    account, database = here.accounts[f"a@{DOMAIN}"].id, here.platform.database

    def give(*uidls: str) -> tuple[list[int], int]:
        numbers = Numbering(database, here.platform.clock, here.platform.executors, account, None)  # type: ignore[arg-type]
        found, uidnext = numbers._give(uidls, 3)
        return [each.uid for each in found], uidnext

    try:
        assert give("a", "b") == ([3, 4], 5)
        assert give("b", "c") == ([4, 5], 6)
        with pytest.raises(Halt, match="rebuilt"):
            give("b", "x", "c")
        with pytest.raises(Halt, match="rebuilt"):
            give("c", "b")
        forget_some(database, account, [3])
        assert give("b", "c", "a") == ([4, 5, 6], 7)
    finally:
        here.close()
