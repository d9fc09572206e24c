"""Deadlines, vanishing clients, hostile input, caps and draining."""

import asyncio
import socket
import struct

import pytest

from tests.ingress.house import House
from tests.ingress.wire import PATIENCE, Wire

LETTER = b"Subject: hello\r\n\r\nbody\r\n"
TO_DATA = ("EHLO c", "MAIL FROM:<a@remote.example>", "RCPT TO:<anna@example.org>", "DATA")


async def until(condition: asyncio.Event) -> None:
    await asyncio.wait_for(condition.wait(), PATIENCE)


# Deadlines


@pytest.mark.parametrize("said", [(), TO_DATA[:1], TO_DATA[:3]])
async def test_a_silent_client_gets_421(house: House, said: tuple[str, ...]) -> None:
    wire = await Wire.open(await house.listen(command_timeout=0.15))
    await wire.say(*said)
    assert (await wire.reply()).startswith("421 4.4.2 ")
    assert await wire.closed()


async def test_half_a_command_is_silence_too(house: House) -> None:
    wire = await Wire.open(await house.listen(command_timeout=0.3))
    for _ in range(3):
        await wire.send(b"N")
        await asyncio.sleep(0.05)
    assert (await wire.reply()).startswith("421 4.4.2 ")


async def test_silence_in_data_gets_421_and_keeps_nothing(house: House) -> None:
    wire = await Wire.open(await house.listen(data_timeout=0.15))
    await wire.say(*TO_DATA)
    await wire.send(b"Subject: half\r\n")
    assert (await wire.reply()).startswith("421 4.4.2 ")
    assert await wire.closed()
    assert house.kept("anna") == []


async def test_data_that_trickles_for_ever_ends(house: House) -> None:
    wire = await Wire.open(await house.listen(data_total=0.4, data_timeout=10))
    await wire.say(*TO_DATA)

    async def trickle() -> None:
        while True:
            await wire.send(b"x\r\n")
            await asyncio.sleep(0.02)

    task = asyncio.create_task(trickle())
    assert (await wire.reply()).startswith("421 4.4.2 ")
    task.cancel()
    assert house.kept("anna") == []


async def test_a_client_that_reads_no_replies_is_cut_off(house: House) -> None:
    address = await house.listen(command_timeout=0.3, close_grace=0.1)
    _reader, writer = await asyncio.open_connection(*address, limit=1024)
    writer.transport.pause_reading()
    for _ in range(200):
        writer.write(b"HELP\r\n" * 5000)
    assert house.server is not None
    await until(house.gate.left)
    assert house.server.connections == 0
    writer.transport.abort()


# Clients that vanish


@pytest.mark.parametrize("reset", [False, True], ids=["closes", "resets"])
async def test_a_client_that_vanishes_after_the_final_dot_has_its_message_stored(
    house: House, reset: bool
) -> None:
    wire = await Wire.open(await house.listen())
    house.delivery.gate.clear()
    await wire.say(*TO_DATA)
    await wire.send(LETTER + b".\r\n")
    await until(house.delivery.entered)
    assert house.server is not None
    if reset:  # SO_LINGER 0: close() sends RST, the server loses its connection at once
        raw = wire.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wire.writer.transport.abort()
    if reset:
        await until(house.gate.left)
    assert house.server.storing == 1
    house.delivery.gate.set()
    assert await house.server.drain(PATIENCE) == 0
    assert len(house.kept("anna")) == 1


async def test_a_client_that_half_closes_still_gets_its_replies(house: House) -> None:
    wire = await Wire.open(await house.listen())
    house.delivery.gate.clear()
    await wire.say(*TO_DATA)
    await wire.send(LETTER + b".\r\nQUIT\r\n")
    wire.writer.write_eof()
    await until(house.delivery.entered)
    house.delivery.gate.set()
    assert (await wire.reply()).startswith("250 ")
    assert (await wire.reply()).startswith("221 ")
    assert len(house.kept("anna")) == 1


@pytest.mark.parametrize("part", [b"", b"Subject: x\r\n\r\nhalf", LETTER, LETTER + b".", LETTER + b".\r"])
async def test_a_client_that_vanishes_before_the_final_dot_leaves_nothing(house: House, part: bytes) -> None:
    wire = await Wire.open(await house.listen())
    await wire.say(*TO_DATA)
    await wire.send(part)
    await wire.close()
    assert house.server is not None
    assert await house.server.drain(PATIENCE) == 0
    assert house.kept("anna") == []
    assert house.spooled() == []


# Hostile input


async def test_a_command_of_a_megabyte_is_swallowed_and_the_session_goes_on(house: House) -> None:
    wire = await Wire.open(await house.listen())
    for line in (b"NOOP " + b"x" * 1_000_000, b"x" * 1_000_000, b"MAIL FROM:<" + b"@a," * 300_000):
        assert (await wire.ask(line)).startswith("500 5.5.2 ")
        assert (await wire.ask("NOOP")).startswith("250 2.0.0 ")


async def test_the_longest_command_that_is_taken(house: House) -> None:
    wire = await Wire.open(await house.listen(command_line=1000))
    assert (await wire.ask(b"NOOP " + b"x" * 993)).startswith("250 ")
    assert (await wire.ask(b"NOOP " + b"x" * 994)).startswith("500 5.5.2 ")


async def test_nul_in_a_command(house: House) -> None:
    wire = await Wire.open(await house.listen())
    for line in (b"NOOP \0", b"\0", b"MAIL FROM:<a\0@x.org>"):
        assert (await wire.ask(line)).startswith("501 5.5.2 ")


async def test_octets_that_are_no_ascii_are_no_command(house: House) -> None:
    wire = await Wire.open(await house.listen())
    assert (await wire.ask(b"\xff\xfe\xfd")).startswith("500 5.5.2 ")


async def test_too_many_errors(house: House) -> None:
    wire = await Wire.open(await house.listen(errors=3))
    assert [(await wire.ask("WHAT"))[:3] for _ in range(4)] == ["500", "500", "500", "421"]
    assert await wire.closed()


async def test_an_accepted_message_forgives_errors(house: House) -> None:
    wire = await Wire.open(await house.listen(errors=3))
    await wire.ask("EHLO c")
    for _ in range(4):
        await wire.say("WHAT", "WHAT", "WHAT")
        assert (await wire.mail(LETTER)).startswith("250 ")


async def test_ten_thousand_recipients(house: House) -> None:
    wire = await Wire.open(await house.listen(recipients=1000))
    await wire.say("EHLO c", "MAIL FROM:<a@remote.example>")

    async def send() -> None:
        for _ in range(100):
            await wire.send(b"RCPT TO:<anna@example.org>\r\n" * 100)

    task = asyncio.create_task(send())
    replies = [(await wire.reply())[:9] for _ in range(10_000)]
    await task
    assert replies == ["250 2.1.5"] * 1000 + ["452 4.5.3"] * 9000
    assert (await wire.ask("DATA")).startswith("354")
    assert (await wire.ask(LETTER + b".")).startswith("250 ")
    assert len(house.kept("anna")) == 1


async def test_a_message_over_the_limit_is_counted_to_its_end(house: House) -> None:
    wire = await Wire.open(await house.listen(message_size=1000))
    await wire.say(*TO_DATA)
    await wire.send(b"x" * 998 + b"\r\n" + b"y" * 2_000_000 + b"\r\n")
    assert (await wire.ask(b".")).startswith("552 5.3.4 ")
    assert (await wire.mail(b"x" * 998 + b"\r\n")).startswith("250 ")
    assert len(house.kept("anna")) == 1


async def test_a_header_without_end_is_refused(house: House) -> None:
    wire = await Wire.open(await house.listen())
    await wire.say(*TO_DATA)
    await wire.send(b"X-Field: value\r\n" * 100_000)
    assert (await wire.ask(b".")).startswith("552 5.3.4 ")
    assert house.kept("anna") == []


async def test_what_a_client_calls_itself_is_harmless_in_the_trace_field(house: House) -> None:
    wire = await Wire.open(await house.listen())
    await wire.ask("EHLO a (b) <c>\x1b[31m; for <x@y>")
    await wire.mail(LETTER)
    fields = house.kept("anna")[0].split(b"\r\n")
    assert fields[:3] == [
        b"Return-Path: <sender@remote.example>",
        b"Received: from [127.0.0.1] ([127.0.0.1])",
        b"\tby mx.example.org with ESMTP",
    ]


# Caps and draining


async def test_the_cap_on_connections(house: House) -> None:
    address = await house.listen(connections=2)
    one, _two = await Wire.open(address), await Wire.open(address)
    third = await Wire.open(address, greeted=False)
    assert (await third.reply()).startswith("421 4.7.0 ")
    assert await third.closed()
    await one.ask("QUIT")
    assert await one.closed()
    await Wire.open(address)


async def test_the_cap_on_connections_from_one_address(house: House) -> None:
    address = await house.listen(connections_per_address=1, greet_wait=0, trusted=())
    await Wire.open(address)
    second = await Wire.open(address, greeted=False)
    assert (await second.reply()).startswith("421 4.7.0 ")


async def test_draining_ends_idle_sessions_and_finishes_messages(house: House) -> None:
    address = await house.listen()
    idle, busy = await Wire.open(address), await Wire.open(address)
    await busy.say(*TO_DATA)
    assert house.server is not None
    drained = asyncio.create_task(house.server.drain(PATIENCE))
    assert (await idle.reply()).startswith("421 4.3.2 ")
    assert await idle.closed()
    assert not drained.done()
    await busy.send(LETTER + b".\r\n")
    assert (await busy.reply()).startswith("250 ")
    assert (await busy.reply()).startswith("421 4.3.2 ")
    assert await busy.closed()
    assert await drained == 0
    assert len(house.kept("anna")) == 1
    with pytest.raises(ConnectionError):
        await asyncio.open_connection(*address)


async def test_draining_cuts_what_does_not_end(house: House) -> None:
    wire = await Wire.open(await house.listen())
    await wire.say(*TO_DATA)
    assert house.server is not None
    assert await house.server.drain(0.1) == 1
    assert await wire.closed()


async def test_sockets_bound_elsewhere(house: House) -> None:
    await house.listen()
    assert house.server is not None
    bound = socket.create_server(("127.0.0.1", 0))
    [address] = await house.server.start([bound], lmtp=True)
    wire = await Wire.open(address)
    assert (await wire.ask("LHLO c")).startswith("250-")
