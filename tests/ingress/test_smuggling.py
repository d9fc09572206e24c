"""Nothing that hides in a message or behind STARTTLS is ever obeyed (promise 7)."""

import asyncio
import ssl

import pytest

from tests.ingress.house import House
from tests.ingress.wire import Wire

# Between a body and what an attacker wants to be taken for the next commands.
SEQUENCES = [
    b"\n.\n",
    b"\n.\r\n",
    b"\r.\r",
    b"\r.\r\n",
    b"\r\n.\n",
    b"\r\n.\r",
    b"\n.\r",
    b"\r.\n",
    b"\r\n\r.\r\n",
    b"\r\n.\r\r\n",
    b"\r\n.\n\r\n",
    b"\r\r\n.\n",
    b"\n\r\n.\r\r",
    b"\r\n.\0\r\n",
    b"\0\n.\r\n",
    b"\r\n \r.\n",
]
SECOND = (
    b"MAIL FROM:<evil@remote.example>\r\nRCPT TO:<bert@example.org>\r\nDATA\r\n"
    b"Subject: smuggled\r\n\r\nsmuggled\r\n.\r\n"
)


@pytest.mark.parametrize("cut", [False, True], ids=["at once", "in pieces"])
async def test_a_second_message_is_never_found_in_the_first(house: House, cut: bool) -> None:
    address = await house.listen()
    replies = {sequence: await smuggle(await Wire.open(address), sequence, cut) for sequence in SEQUENCES}
    # A dot-stuffed line with a NUL has no bare newline: it is content like any other.
    harmless = b"\r\n.\0\r\n"
    assert {sequence for sequence, reply in replies.items() if not reply.startswith("550 5.6.0 ")} == {
        harmless
    }
    assert replies[harmless].startswith("250 ")
    [kept] = house.kept("anna")
    assert kept.endswith(b"first\r\n\0\r\n" + SECOND.removesuffix(b".\r\n"))
    assert house.kept("bert") == []


async def smuggle(wire: Wire, sequence: bytes, cut: bool) -> str:
    """The one reply to DATA."""
    await wire.say("EHLO c", "MAIL FROM:<a@remote.example>", "RCPT TO:<anna@example.org>", "DATA")
    octets = b"Subject: first\r\n\r\nfirst" + sequence + SECOND
    for piece in [octets[at : at + 1] for at in range(len(octets))] if cut else [octets]:
        await wire.send(piece)
        if cut:
            await asyncio.sleep(0)
    reply = await wire.reply()
    assert (await wire.ask("NOOP")).startswith("250 2.0.0 "), sequence  # there was no second reply
    return reply


INJECTED = [
    b"MAIL FROM:<evil@remote.example>\r\n",
    b"EHLO evil\r\nMAIL FROM:<evil@remote.example>\r\nRCPT TO:<anna@example.org>\r\n",
    b"MAIL FROM:<evil@remote",  # half a line, to be completed by the victim's first
]


@pytest.mark.parametrize("injected", INJECTED)
async def test_octets_in_clear_behind_starttls_are_dropped(
    house: House, tls: ssl.SSLContext, trust: ssl.SSLContext, injected: bytes
) -> None:
    wire = await Wire.open(await house.listen(tls=tls))
    await wire.ask("EHLO c")
    await wire.send(b"STARTTLS\r\n" + injected)
    assert (await wire.reply()).startswith("220 ")
    await wire.writer.start_tls(trust, server_hostname="mx.example.org")
    # The first reply under TLS answers the first command under TLS.
    assert (await wire.ask("MAIL FROM:<a@remote.example>")).startswith("503 5.5.1 ")
    assert (await wire.ask("EHLO c")).startswith("250-")
    assert (await wire.ask("RCPT TO:<anna@example.org>")).startswith("503 5.5.1 ")


async def test_starttls_forgets_what_was_said_before(
    house: House, tls: ssl.SSLContext, trust: ssl.SSLContext
) -> None:
    wire = await Wire.open(await house.listen(tls=tls))
    assert "250-STARTTLS" in (await wire.ask("EHLO c")).splitlines()
    await wire.say("MAIL FROM:<a@remote.example>", "RCPT TO:<anna@example.org>")
    await wire.start_tls(trust)
    assert (await wire.ask("DATA")).startswith("503 5.5.1 ")
    assert (await wire.ask("MAIL FROM:<a@remote.example>")).startswith("503 5.5.1 ")  # greet again
    assert "STARTTLS" not in await wire.ask("EHLO c")
    assert (await wire.ask("STARTTLS")).startswith("503 5.5.1 ")
    assert (await wire.mail(b"Subject: x\r\n\r\n")).startswith("250 ")
    assert b" with ESMTPS (TLSv1.3 TLS_" in house.kept("anna")[0]


async def test_a_failed_handshake_ends_the_session_and_not_the_server(
    house: House, tls: ssl.SSLContext
) -> None:
    address = await house.listen(tls=tls)
    wire = await Wire.open(address)
    assert (await wire.ask("STARTTLS")).startswith("220 ")
    await wire.send(b"this is no ClientHello at all\r\n" * 10)
    while await wire.reply():
        pass
    other = await Wire.open(address)
    assert (await other.ask("NOOP")).startswith("250 ")


async def test_tls_from_the_first_octet(house: House, tls: ssl.SSLContext, trust: ssl.SSLContext) -> None:
    host, port = await house.listen(tls=tls, implicit_tls=True)
    streams = await asyncio.open_connection(host, port, ssl=trust, server_hostname="mx.example.org")
    wire = Wire(*streams)
    assert (await wire.reply()).startswith("220 ")
    assert "STARTTLS" not in await wire.ask("EHLO c")
    assert (await wire.mail(b"Subject: x\r\n\r\n")).startswith("250 ")
    assert b" with ESMTPS (TLS" in house.kept("anna")[0]
    await wire.close()
