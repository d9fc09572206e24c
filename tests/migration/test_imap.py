"""The connection against a server that says what we want: the measured traps of aioimaplib, one test each."""

import asyncio
import base64
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from mailplat.app.settings import load
from mailplat.app.wiring import Platform
from mailplat.core.errors import NotFound, Unavailable
from mailplat.core.limits.sources import SourceLimits
from mailplat.core.spool import MEMORY_LIMIT
from mailplat.directory import Backend
from migration.errors import Misbehaviour, Throttled
from migration.sources.contract import SourceMailbox
from migration.sources.imap_account import ImapAccount

CAPABILITIES = b"IMAP4rev1 SASL-IR"
Answer = Callable[["Server", bytes, bytes], Awaitable[None]]


class Server:
    """Answers LOGIN and CAPABILITY; everything else is the test's. `said` is every line of the client."""

    def __init__(self, answer: Answer, capabilities: bytes) -> None:
        self.answer, self.capabilities = answer, capabilities
        self.said: list[bytes] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        writer.write(b"* OK ready\r\n")
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while line := (await reader.readline()).rstrip(b"\r\n"):
                self.said.append(line)
                tag, _, rest = line.partition(b" ")
                if rest.startswith(b"CAPABILITY"):
                    writer.write(b"* CAPABILITY %b\r\n%b OK done\r\n" % (self.capabilities, tag))
                elif rest.startswith(b"LOGOUT"):
                    writer.write(b"* BYE\r\n%b OK\r\n" % tag)
                else:
                    await self.answer(self, tag, rest)
        writer.close()

    def backend(self, limits: SourceLimits | None = None, **changes: str) -> Backend:
        values = {"master_user": "master", "master_password": "secret", "imap_tls": "none", **changes}
        endpoint = f"127.0.0.1:{self.port}"
        return Backend("old", imap=endpoint, limits=limits or SourceLimits(), **values)


@contextlib.asynccontextmanager
async def serving(answer: Answer, capabilities: bytes = CAPABILITIES) -> AsyncIterator[Server]:
    server = Server(answer, capabilities)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()


def scripted(said: dict[bytes, bytes]) -> Answer:
    """The reply to each command by its first word; `TAG` is replaced."""

    async def answer(server: Server, tag: bytes, rest: bytes) -> None:
        name = rest.partition(b" ")[0]
        server.writer.write(said.get(name, b"TAG OK done\r\n").replace(b"TAG", tag))

    return answer


@contextlib.asynccontextmanager
async def account(
    said: dict[bytes, bytes],
    tmp: Path,
    capabilities: bytes = CAPABILITIES,
    limits: SourceLimits | None = None,
) -> AsyncIterator[ImapAccount]:
    async with serving(scripted(said), capabilities) as server:
        source = await ImapAccount.open(server.backend(limits), "u@x.test", tmp)
        try:
            yield source
        finally:
            await source.close()


async def test_ten_thousand_lines_in_one_answer(tmp_path: Path) -> None:
    """Stock aioimaplib recurses once a line and hangs at 1,000."""
    lines = b"".join(b"* %d FETCH (UID %d FLAGS (\\Seen))\r\n" % (n, n) for n in range(1, 10_001))
    async with account({b"UID": lines + b"TAG OK done\r\n"}, tmp_path) as source:
        assert [each.uid for each in await source.scan()] == list(range(1, 10_001))


async def test_parentheses_and_line_ends_inside_literals(tmp_path: Path) -> None:
    octets = b"(((\r\nA1 OK fake\r\n* 3 FETCH (UID 9\r\n)"
    reply = b'* 1 FETCH (UID 1 FLAGS () INTERNALDATE "17-Jul-1996 02:44:25 +0000" BODY[] {%d}\r\n%b)\r\nTAG OK\r\n'
    async with account({b"UID": reply % (len(octets), octets)}, tmp_path) as source:
        (fetched,) = await source.fetch([1])
        assert fetched.body.octets() == octets


async def test_octet_by_octet(tmp_path: Path) -> None:
    item = b'* 1 FETCH (UID 1 FLAGS (\\Seen) INTERNALDATE "17-Jul-1996 02:44:25 +0000" BODY[] {5}\r\na\r\nb\n)\r\n'
    reply = item + b"TAG OK x\r\n"

    async def answer(server: Server, tag: bytes, rest: bytes) -> None:
        if not rest.startswith(b"UID"):
            server.writer.write(tag + b" OK\r\n")
            return
        for octet in reply.replace(b"TAG", tag):
            server.writer.write(bytes([octet]))
            await server.writer.drain()

    async with serving(answer) as server:
        source = await ImapAccount.open(server.backend(), "u@x.test", tmp_path)
        (fetched,) = await source.fetch([1])
        assert fetched.body.octets() == b"a\r\nb\n"
        await source.close()


async def test_a_large_literal_goes_to_a_file(tmp_path: Path) -> None:
    octets = os.urandom(MEMORY_LIMIT * 4)
    reply = b'* 1 FETCH (UID 1 FLAGS () INTERNALDATE "17-Jul-1996 02:44:25 +0000" BODY[] {%d}\r\n' % len(
        octets
    )

    async def answer(server: Server, tag: bytes, rest: bytes) -> None:
        server.writer.write(
            reply + octets + b")\r\n" + tag + b" OK\r\n" if rest.startswith(b"UID") else tag + b" OK\r\n"
        )

    async with serving(answer) as server:
        source = await ImapAccount.open(server.backend(), "u@x.test", tmp_path)
        (fetched,) = await source.fetch([1])
        assert not fetched.body.in_memory
        assert fetched.body.octets() == octets
        fetched.body.close()
        await source.close()


async def test_two_fetches_in_flight_get_their_own_messages(tmp_path: Path) -> None:
    waiting: list[bytes] = []
    item = b'* 1 FETCH (UID %d FLAGS () INTERNALDATE "17-Jul-1996 02:44:25 +0000" BODY[] {1}\r\n%d)\r\n'

    async def answer(server: Server, tag: bytes, rest: bytes) -> None:
        if not rest.startswith(b"UID"):
            server.writer.write(tag + b" OK\r\n")
            return
        waiting.append(tag)
        if len(waiting) == 2:  # both are here before either is answered; the answers come mixed
            server.writer.write(item % (2, 2) + item % (1, 1))
            server.writer.write(b"* 9 FETCH (UID 1 FLAGS (\\Seen))\r\n")  # somebody else's change
            server.writer.write(waiting[1] + b" OK\r\n" + waiting[0] + b" OK\r\n")

    async with serving(answer) as server:
        source = await ImapAccount.open(server.backend(), "u@x.test", tmp_path)
        first, second = await asyncio.gather(source.fetch([1]), source.fetch([2]))
        assert [each.uid for each in first] == [1]
        assert [each.uid for each in second] == [2]
        await source.close()


async def test_user_and_password_are_quoted(tmp_path: Path) -> None:
    async with serving(scripted({})) as server:
        backend = server.backend(master_user='the "master"', master_password="a b\\c")
        await (await ImapAccount.open(backend, "bob smith@x.test", tmp_path)).close()
        assert b'LOGIN "bob smith@x.test*the \\"master\\"" "a b\\\\c"' in server.said[1]


async def test_what_cannot_be_quoted_goes_as_a_literal(tmp_path: Path) -> None:
    password = "gehe\u00efm"
    seen: list[bytes] = []

    async def answer(server: Server, tag: bytes, rest: bytes) -> None:
        if rest.startswith(b"LOGIN"):
            server.writer.write(b"+ go on\r\n")
            seen.append((await server.reader.readline()).rstrip(b"\r\n"))
        server.writer.write(tag + b" OK\r\n")

    async with serving(answer) as server:
        source = await ImapAccount.open(server.backend(master_password=password), "u@x.test", tmp_path)
        assert seen == [password.encode()]
        await source.close()


@pytest.mark.parametrize("capabilities", [b"IMAP4rev1 SASL-IR", b"IMAP4rev1"])
async def test_authenticate_plain_as_somebody_else(tmp_path: Path, capabilities: bytes) -> None:
    async def answer(server: Server, tag: bytes, rest: bytes) -> None:
        if rest == b"AUTHENTICATE PLAIN":
            server.writer.write(b"+ \r\n")
            server.said.append(await server.reader.readline())
        server.writer.write(tag + b" OK\r\n")

    async with serving(answer, capabilities) as server:
        await (await ImapAccount.open(server.backend(master_style="plain"), "u@x.test", tmp_path)).close()
        response = next(line for line in server.said if b"AHN" in line or b"dUB" in line).split()[-1]
        assert base64.b64decode(response) == b"u@x.test\0master\0secret"


async def test_login_is_not_tried_where_it_is_disabled(tmp_path: Path) -> None:
    async with serving(scripted({}), b"IMAP4rev1 LOGINDISABLED") as server:
        with pytest.raises(Unavailable, match="without TLS"):
            await ImapAccount.open(server.backend(), "u@x.test", tmp_path)
        assert not any(b"secret" in line for line in server.said)


async def test_octets_behind_starttls_are_an_attack(tmp_path: Path) -> None:
    reply = b"TAG OK begin\r\n* CAPABILITY IMAP4rev1 EVIL\r\n"
    async with serving(scripted({b"STARTTLS": reply})) as server:
        with pytest.raises(Misbehaviour, match="in the clear"):
            await ImapAccount.open(server.backend(imap_tls="starttls"), "u@x.test", tmp_path)


@pytest.mark.parametrize("greeting", [b"* BYE go away\r\n", b"hello\r\n", b""])
async def test_a_bad_greeting_is_said_at_once(tmp_path: Path, greeting: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    backend = Backend("old", imap=f"127.0.0.1:{listener.sockets[0].getsockname()[1]}", imap_tls="none")
    with pytest.raises(Unavailable):
        await ImapAccount.open(backend, "u@x.test", tmp_path)
    listener.close()


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (b"TAG NO [NONEXISTENT] none\r\n", NotFound),
        (b"TAG NO Mailbox doesn't exist: x\r\n", NotFound),
        (b"TAG NO [LIMIT] slow down\r\n", Throttled),
        (b"TAG NO [INUSE] locked\r\n", Throttled),
        (b"TAG NO [UNAVAILABLE] later\r\n", Throttled),
        (b"TAG NO because\r\n", Unavailable),
        (b"TAG BAD what\r\n", Misbehaviour),
        (b"nonsense here\r\n", Misbehaviour),
        (b"zz1 OK not ours\r\n", Misbehaviour),
        (b"* LIST {99999999999}\r\n", Misbehaviour),
        (b"* BYE Too many. Suggested Backoff Time: 5000 milliseconds\r\nTAG NO x\r\n", Unavailable),
    ],
)
async def test_refusals(tmp_path: Path, reply: bytes, kind: type[Exception]) -> None:
    async with account({b"EXAMINE": reply}, tmp_path) as source:
        with pytest.raises(kind) as caught:
            await source.examine(SourceMailbox(b"x", "x"))
        assert type(caught.value) is kind


async def test_bye_says_how_long_to_stay_away(tmp_path: Path) -> None:
    async def answer(server: Server, tag: bytes, rest: bytes) -> None:
        if rest.startswith(b"EXAMINE"):
            server.writer.write(b"* BYE Too many. Suggested Backoff Time: 5000 milliseconds\r\n")
            server.writer.close()
            return
        server.writer.write(tag + b" OK\r\n")

    async with serving(answer) as server:
        source = await ImapAccount.open(server.backend(), "u@x.test", tmp_path)
        with pytest.raises(Throttled) as caught:
            await source.examine(SourceMailbox(b"x", "x"))
        assert caught.value.retry_after == 5.0
        with pytest.raises(Throttled):  # and so does whoever comes later
            await source.examine(SourceMailbox(b"x", "x"))
        await source.close()


async def test_a_silent_server_is_given_up(tmp_path: Path) -> None:
    async def answer(server: Server, tag: bytes, rest: bytes) -> None:
        if not rest.startswith(b"EXAMINE"):
            server.writer.write(tag + b" OK\r\n")

    async with serving(answer) as server:
        source = await ImapAccount.open(server.backend(SourceLimits(silence=0.2)), "u@x.test", tmp_path)
        with pytest.raises(Unavailable, match="silent"):
            await source.examine(SourceMailbox(b"x", "x"))
        await source.close()


async def test_a_line_without_end_costs_bounded_memory(tmp_path: Path) -> None:
    limits = SourceLimits(line=100_000)
    async with account({b"EXAMINE": b"* " + b"x" * 300_000}, tmp_path, limits=limits) as source:
        with pytest.raises(Misbehaviour, match="a line of more"):
            await source.examine(SourceMailbox(b"x", "x"))


@pytest.mark.parametrize(
    ("flood", "match"),
    [
        (b"* LIST () NIL x\r\n", "responses of more than"),
        (b"* OK still here\r\n", "responses of more than"),
        (b"* 1 FETCH (UID 7 FLAGS ())\r\n", "no end of the answer"),
        (b"* 1 FETCH (UID 7 BODY[] {1000}\r\n" + b"x" * 1000 + b")\r\n", "literals of more than"),
    ],
)
async def test_an_answer_without_end_costs_bounded_memory_and_disk(
    tmp_path: Path, flood: bytes, match: str
) -> None:
    """Line by line all is well."""
    limits = SourceLimits(kept=50_000, lines=200_000, literals=100_000)
    async with account({b"EXAMINE": flood * 5000}, tmp_path, limits=limits) as source:
        with pytest.raises(Misbehaviour, match=match):
            await source.examine(SourceMailbox(b"x", "x"))


async def test_a_response_without_end_costs_bounded_memory(tmp_path: Path) -> None:
    limits = SourceLimits(kept=50_000)
    async with account({b"EXAMINE": b"* X " + b"{1}\r\nx " * 5000}, tmp_path, limits=limits) as source:
        with pytest.raises(Misbehaviour, match="a response of more than"):
            await source.examine(SourceMailbox(b"x", "x"))


async def test_what_was_not_asked_for_is_not_listed(tmp_path: Path) -> None:
    lines = b"".join(b"* %d FETCH (UID %d FLAGS ())\r\n" % (n, n) for n in (9, 10, 20, 21))
    async with account({b"UID": lines + b"TAG OK done\r\n"}, tmp_path) as source:
        assert [each.uid for each in await source.scan(span=(10, 20))] == [10, 20]


async def test_a_survey_does_not_ask_the_open_mailbox(tmp_path: Path) -> None:
    """STATUS of an open mailbox is as old as its session."""
    opening = b"* 0 EXISTS\r\n* OK [UIDVALIDITY 3] x\r\nTAG OK\r\n"
    for capabilities, word in ((b"IMAP4rev1", b"CLOSE"), (b"IMAP4rev1 UNSELECT", b"UNSELECT")):
        async with serving(scripted({b"EXAMINE": opening}), capabilities) as server:
            source = await ImapAccount.open(server.backend(), "u@x.test", tmp_path)
            await source.examine(SourceMailbox(b"x", "x"))
            await source.survey()
            words = [line.split()[1] for line in server.said]
            assert words.index(b"EXAMINE") < words.index(word) < words.index(b"LIST")
            await source.close()


async def test_text_that_looks_like_a_literal_is_text(tmp_path: Path) -> None:
    said = b"* OK [UIDVALIDITY 3] and so on {5}\r\n* 0 EXISTS\r\nTAG OK [READ-ONLY] done {7}\r\n"
    async with account({b"EXAMINE": said}, tmp_path) as source:
        assert (await source.examine(SourceMailbox(b"x", "x"))).uidvalidity == 3


async def test_a_connection_that_breaks_inside_a_literal(tmp_path: Path) -> None:
    async def answer(server: Server, tag: bytes, rest: bytes) -> None:
        if rest.startswith(b"UID"):
            server.writer.write(b"* 1 FETCH (UID 1 FLAGS () BODY[] {100}\r\nhalf")
            server.writer.close()
            return
        server.writer.write(tag + b" OK\r\n")

    async with serving(answer) as server:
        source = await ImapAccount.open(server.backend(), "u@x.test", tmp_path)
        with pytest.raises(Unavailable):
            await source.fetch([1])
        await source.close()


def test_what_is_borne_of_a_platform_is_a_setting(tmp_path: Path) -> None:
    config = tmp_path / "mailplat.toml"
    config.write_text(
        '[platform]\nhostname = "mx.x.test"\ndata_dir = "data"\n[database]\nurl = "sqlite:///mailplat.db"\n'
        '[store.shards.s1]\npath = "s1"\n[migration.sources]\nsilence = 5.0\n'
    )
    platform = Platform(load(config, {}))
    try:
        platform.directory.add_backend(Backend("old"))
        assert platform.directory.backend("old").limits == SourceLimits(silence=5.0)
        assert [each.limits.silence for each in platform.directory.backends()] == [5.0]
    finally:
        platform.close()
