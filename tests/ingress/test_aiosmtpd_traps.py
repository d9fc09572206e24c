"""What was found in aiosmtpd 1.4.6 and must not come back: one test for each, named after it."""

import asyncio
import logging
import smtplib
import ssl

import pytest

from mailplat.ingress.session import Session
from tests.ingress.house import House
from tests.ingress.wire import Wire

LETTER = b"Subject: hello\r\n\r\nbody\r\n"


async def greeted(house: House, **limits: float) -> Wire:
    wire = await Wire.open(await house.listen(**limits))
    await wire.ask("EHLO client.example")
    return wire


async def test_bare_newlines_in_content_are_refused_not_kept(house: House) -> None:
    wire = await greeted(house)
    assert await wire.mail(b"Subject: x\r\n\r\na\nb\r\n") == (
        "550 5.6.0 Message has a bare CR or LF; lines must end in CRLF"
    )
    assert house.kept("anna") == []


async def test_a_bare_lf_does_not_end_a_command(house: House) -> None:
    wire = await greeted(house)
    await wire.send(b"MAIL FROM:<a@x.org>\nRCPT TO:<anna@example.org>\r\nNOOP\r\n")
    assert (await wire.reply()).startswith("500 5.5.2 ")
    assert (await wire.reply()).startswith("250 2.0.0 ")
    assert (await wire.ask("DATA")).startswith("503 ")


async def test_a_bare_cr_does_not_end_a_command(house: House) -> None:
    wire = await greeted(house)
    await wire.send(b"MAIL FROM:<a@x.org>\rRCPT TO:<anna@example.org>\r\nNOOP\r\n")
    assert (await wire.reply()).startswith("500 5.5.2 ")
    assert (await wire.reply()).startswith("250 2.0.0 ")
    assert (await wire.ask("DATA")).startswith("503 ")


async def test_a_client_that_ends_lines_in_lf_alone_hears_why(house: House) -> None:
    wire = await greeted(house)
    await wire.send(b"NOOP\n")
    assert (await wire.reply()).startswith("500 5.5.2 Lines end in CRLF")


async def test_auth_is_not_offered_on_the_mx_port(
    house: House, tls: ssl.SSLContext, trust: ssl.SSLContext
) -> None:
    wire = await Wire.open(await house.listen(tls=tls))
    assert "AUTH" not in await wire.ask("EHLO c")
    await wire.start_tls(trust)
    assert "AUTH" not in await wire.ask("EHLO c")
    assert (await wire.ask("AUTH PLAIN AGEAYg==")).startswith("500 5.5.2 ")


@pytest.mark.parametrize(
    "name", ["PIPELINING", "ENHANCEDSTATUSCODES", "8BITMIME", "SMTPUTF8", "SIZE 50000000"]
)
async def test_extensions_that_were_missing_are_advertised(house: House, name: str) -> None:
    wire = await Wire.open(await house.listen())
    assert name in [line[4:] for line in (await wire.ask("EHLO c")).splitlines()]


async def test_a_parameter_name_may_have_a_hyphen(house: House) -> None:
    wire = await greeted(house)
    assert (await wire.ask("MAIL FROM:<a@x.org> MT-PRIORITY=3")).startswith("555 ")


async def test_the_null_sender_is_empty_and_not_two_brackets(house: House) -> None:
    wire = await greeted(house)
    await wire.ask("MAIL FROM:<>")
    await wire.ask("RCPT TO:<anna@example.org>")
    await wire.ask("DATA")
    assert (await wire.ask(b".")).startswith("250 ")
    [envelope] = house.delivery.envelopes
    assert (envelope.reverse_path.local, envelope.reverse_path.domain) == ("", "")


@pytest.mark.parametrize(
    "path",
    [
        b"<anna@example.org\rRCPT>",
        b'<"an\rna"@example.org>',
        b"<anna (comment)@example.org>",
        b"<anna @example.org>",
        b"<\xe4nna@example.org>",
        b"<" + b"(" * 800 + b"anna@example.org>",
    ],
)
async def test_addresses_that_were_rewritten_are_refused(house: House, path: bytes) -> None:
    wire = await greeted(house)
    await wire.ask("MAIL FROM:<a@x.org> SMTPUTF8")
    assert (await wire.ask(b"RCPT TO:" + path))[:3] in ("500", "501")


async def test_an_encoded_word_in_an_address_is_not_decoded(house: House) -> None:
    wire = await greeted(house)
    await wire.ask("MAIL FROM:<a@x.org>")
    assert (await wire.ask("RCPT TO:<=?utf-8?q?anna?=@example.org>")).startswith("550 5.1.1 ")


async def test_eight_bit_addresses_need_smtputf8(house: House) -> None:
    wire = await greeted(house)
    assert (await wire.ask("MAIL FROM:<ä@x.org>")).startswith("553 5.6.7 ")


async def test_a_slow_body_is_not_cut_while_it_moves(house: House) -> None:
    """A command may take less time than the whole of DATA does; only silence counts."""
    wire = await greeted(house, command_timeout=0.4, data_timeout=0.4)
    for command in ("MAIL FROM:<a@x.org>", "RCPT TO:<anna@example.org>", "DATA"):
        reply = await wire.ask(command)
    assert reply.startswith("354")
    for _ in range(10):  # 1 s in all
        await wire.send(b"line\r\n")
        await asyncio.sleep(0.1)
    assert (await wire.ask(b".")).startswith("250 ")


async def test_our_own_time_does_not_count_against_the_client(house: House) -> None:
    wire = await greeted(house, command_timeout=0.2, data_timeout=0.2)
    house.delivery.gate.clear()
    asyncio.get_running_loop().call_later(0.8, house.delivery.gate.set)
    assert (await wire.mail(LETTER)).startswith("250 ")


async def test_exceptions_never_reach_the_wire(house: House) -> None:
    wire = await greeted(house)
    house.directory.failure = RuntimeError("secret")
    await wire.ask("MAIL FROM:<a@x.org>")
    reply = await wire.ask("RCPT TO:<anna@example.org>")
    assert reply.startswith("451 4.3.0 ")
    assert "secret" not in reply
    assert "Error" not in reply


async def test_command_size_limits_belong_to_the_connection(house: House) -> None:
    await house.listen()
    assert house.server is not None
    one, two = (Session(house.gate, house.rooms, lmtp=False, tls=None) for _ in range(2))
    assert one.command_size_limits is not two.command_size_limits
    assert one.command_size_limits is not Session.command_size_limits


async def test_lmtp_answers_for_each_recipient(house: House) -> None:
    wire = await Wire.open(await house.listen(lmtp=True))
    await wire.ask("LHLO c")
    first = await wire.mail(LETTER, ["anna@example.org", "bert@example.org"])
    assert first.startswith("250 ")
    assert (await wire.reply()).startswith("250 ")


async def test_smtplib_sees_no_difference_between_large_and_small(house: House) -> None:
    """aiosmtpd held 100 MB for a message of 20 MB; test_memory.py measures ours."""
    address = await house.listen(message_size=3_000_000)

    def talk() -> None:
        with smtplib.SMTP(*address) as client:
            client.sendmail("a@x.org", ["anna@example.org"], b"Subject: x\r\n\r\n" + b"y" * 70 * 30_000)

    await asyncio.to_thread(talk)
    assert len(house.kept("anna")[0]) > 70 * 30_000


def test_the_library_does_not_log_every_line() -> None:
    assert not logging.getLogger("mail.log").isEnabledFor(logging.INFO)
