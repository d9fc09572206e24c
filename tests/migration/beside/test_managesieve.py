"""The client of ManageSieve: with Dovecot's Pigeonhole, and with servers that say what they should not."""

import asyncio
from collections.abc import Callable

import pytest

from mailplat.core.errors import MailplatError, NotFound, Unavailable
from mailplat.directory import Backend
from mailplat.sieve.scripts import Scripts
from migration.errors import Misbehaviour, Throttled
from migration.sources.managesieve import ManageSieve, Refused
from tests.dovecot import Dovecot
from tests.migration.beside.house import KEEP, ODD, scripts_there, sieve_backend, write_scripts


@pytest.mark.interop
@pytest.mark.parametrize("style", ["login", "plain"])
async def test_scripts_come_as_they_are(legacy: Dovecot, users: Callable[[], str], style: str) -> None:
    user = users()
    assert await scripts_there(legacy, user) == Scripts()
    large = b"# " + b"x" * 70_000 + b"\r\nkeep;\r\n"
    scripts = {"main": KEEP, "Grüße – odd": ODD, "large": large, 'q"u\\o': b"stop;\r\n"}
    await write_scripts(legacy, user, scripts, "Grüße – odd")
    source = await ManageSieve.open(sieve_backend(legacy, master_style=style), user)
    assert await source.read() == Scripts(scripts, "Grüße – odd")
    with pytest.raises(Refused, match="main"):
        await source.put("main", b"no such command;")
    with pytest.raises(Refused):
        await source.remove("Grüße – odd")
    with pytest.raises(NotFound):
        await source.activate("nothing")
    await source.remove("nothing")
    await source.activate("")
    await source.remove("Grüße – odd")
    del scripts["Grüße – odd"]
    assert await source.read() == Scripts(scripts)
    await source.close()


@pytest.mark.interop
async def test_who_may_not(legacy: Dovecot, users: Callable[[], str]) -> None:
    with pytest.raises(Unavailable, match="AUTHENTICATE: NO"):
        await ManageSieve.open(sieve_backend(legacy, master_password="wrong"), users())
    with pytest.raises(Unavailable, match="no STARTTLS"):
        await ManageSieve.open(sieve_backend(legacy, managesieve_tls="starttls"), users())


HELLO = b'"SASL" "PLAIN"\r\n"STARTTLS"\r\nOK\r\n'


@pytest.mark.parametrize(
    ("answers", "error", "text"),
    [
        ([b"* OK IMAP ready\r\n"], Misbehaviour, "begins with"),
        ([b'"SASL" "LOGIN"\r\nOK\r\n'], Unavailable, "no PLAIN"),
        ([b'BYE "busy"\r\n'], Unavailable, "busy"),
        ([HELLO, b'NO (TRYLATER) "later"\r\n'], Throttled, "later"),
        ([HELLO, b"OK\r\n", b'"a" ACTIVE\r\n"b" ACTIVE\r\nOK\r\n'], Misbehaviour, "two active"),
        ([HELLO, b"OK\r\n", b'"a" LAZY\r\nOK\r\n'], Misbehaviour, "LISTSCRIPTS"),
        ([HELLO, b"OK\r\n", b'"a"\r\nOK\r\n', b"OK\r\n"], Misbehaviour, "no script"),
        ([HELLO, b"OK\r\n", b'"a"\r\nOK\r\n', b"{99999999}\r\n"], Misbehaviour, "literal"),
        ([HELLO, b"OK\r\n", b'"a"\r\n' * 1002], Misbehaviour, "1000 lines"),
        ([HELLO, b"OK\r\n", b"x" * 70_000], Misbehaviour, "65536 octets"),
        ([HELLO, b"OK\r\n", b""], Unavailable, "closed"),
    ],
)
async def test_a_server_that_should_not(answers: list[bytes], error: type[MailplatError], text: str) -> None:
    """`answers`: the greeting, then one for each line of the client; b"" hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            if not answer:
                break
            writer.write(answer)
            if answer.startswith((b"{", b"x")):
                break
            await reader.readline()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    backend = Backend("old", managesieve=f"127.0.0.1:{port}", managesieve_tls="none")
    with pytest.raises(error, match=text):
        await (await ManageSieve.open(backend, "a@b.test")).read()
    server.close()


async def test_octets_behind_the_answer_to_starttls() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HELLO)
        await reader.readline()
        writer.write(b'OK "begin"\r\n' + HELLO)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    backend = Backend("old", managesieve=f"127.0.0.1:{port}", managesieve_tls="starttls")
    with pytest.raises(Misbehaviour, match="in the clear"):
        await ManageSieve.open(backend, "a@b.test")
    server.close()
