"""Each limit of POP3: at it a command works, past it comes a clear refusal, and the connection goes on."""

import dataclasses
import importlib
import ssl
from dataclasses import dataclass

import pytest

from mailplat.access.throttle import ThrottleLimits
from mailplat.core.limits.pop3 import Pop3Limits
from tests.access.conftest import MakeHouse
from tests.access.house import message
from tests.until import until


@dataclass(frozen=True)
class Case:
    limits: Pop3Limits
    at: bytes  # with its line end it is as long as may be
    past: bytes
    answer: bytes
    refusal: bytes
    before: bytes = b""  # is sent first, its reply is not looked at


CASES = {
    "line": Case(
        Pop3Limits(line=300),
        b"USER " + b"x" * (300 - 7),
        b"USER " + b"x" * (300 - 6),
        b"+OK",
        b"-ERR A line has at most 300 octets",
    ),
    "sasl_line": Case(
        Pop3Limits(sasl_line=1000),
        b"!" * (1000 - 2),
        b"!" * (1000 - 1),
        b"-ERR Cannot be understood",
        b"-ERR That response is too long",
        before=b"AUTH PLAIN",
    ),
}

ELSEWHERE = {
    "autologout": "tests.access.pop3.test_session:test_a_session_that_idles_ends_silently_and_deletes_nothing",
    "preauth": "tests.access.pop3.test_session:test_who_does_not_log_in_is_not_waited_for",
    "write_stall": "tests.access.pop3.test_limits:test_a_client_that_does_not_read_is_cut_off",
    "handshake": "tests.access.pop3.test_limits:test_a_handshake_that_does_not_come",
    "stop_grace": "tests.access.pop3.test_limits:test_a_client_that_does_not_read_holds_nobody_up",
    "connections": "tests.access.pop3.test_session:test_too_many_connections",
    "login_failures": "tests.access.pop3.test_authorization:test_too_many_failures_end_the_connection",
    "bad_commands": "tests.access.pop3.test_session:test_who_speaks_another_protocol_is_cut_off",
    "write_batch": "tests.access.pop3.test_transaction:test_who_asks_and_does_not_read_waits",
    "write_buffer": "tests.access.pop3.test_transaction:test_who_asks_and_does_not_read_waits",
    "read_size": "tests.access.pop3.test_limits:test_commands_sent_ahead_are_not_held",
    "chunk": "tests.access.pop3.test_transaction:test_a_large_message_goes_in_pieces",
    "ahead": "tests.access.pop3.test_maildrop:test_how_much_is_read_ahead",
    "ahead_octets": "tests.access.pop3.test_maildrop:test_how_much_is_read_ahead",
    "rows": "tests.access.pop3.test_transaction:test_long_listings",
}


def test_each_limit_has_its_test() -> None:
    assert CASES.keys() | ELSEWHERE.keys() == {field.name for field in dataclasses.fields(Pop3Limits)}
    for place in ELSEWHERE.values():
        module, _, function = place.partition(":")
        assert callable(getattr(importlib.import_module(module), function)), place


@pytest.mark.parametrize("name", CASES)
async def test_at_and_past(houses: MakeHouse, name: str) -> None:
    case = CASES[name]
    house = houses(pop3=case.limits)
    client = await house.connect(await house.listen(house.pop3))
    await client.line()
    for line, answer in ((case.at, case.answer), (case.past, case.refusal), (case.at, case.answer)):
        if case.before:
            assert (await client.ask(case.before)).startswith(b"+")
        assert (await client.ask(line)).startswith(answer)
    assert (await client.multi("CAPA"))[0].startswith(b"+OK")


async def test_a_megabyte_without_an_end_is_not_held(houses: MakeHouse) -> None:
    house = houses()
    client = await house.connect(await house.listen(house.pop3))
    await client.line()
    [session] = house.pop3._sessions
    for _ in range(16):
        client.writer.write(b"x" * 65536)
        await client.writer.drain()
        assert len(session.lines._buffer) <= session.limits.line + session.limits.read_size
    assert (await client.ask(b"")).startswith(b"-ERR A line has at most 512 octets")
    assert (await client.multi("CAPA"))[0].startswith(b"+OK")


async def test_commands_sent_ahead_are_not_held(houses: MakeHouse) -> None:
    """Who asks and reads nothing is not read any more."""
    limits = Pop3Limits(write_buffer=10_000, write_batch=2000)
    house = houses(pop3=limits)
    house.add("anna")
    await house.deliver("anna", message(body="x" * 5000))
    client = await house.pop3_client()
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    for _ in range(100):
        client.writer.write(b"RETR 1\r\n" * 5000)
    [session] = house.pop3._sessions
    stream = session.stream
    await until(lambda: stream._writing)
    read = len(session.lines._buffer) + len(stream.reader._buffer)  # type: ignore[attr-defined]
    assert read <= limits.read_size + 2 * 64 * 1024 + 256 * 1024
    written = stream.writer.transport.get_write_buffer_size() + stream._size
    assert written <= limits.write_buffer + 2 * (limits.write_batch + 6000)


@pytest.mark.parametrize("limits", [Pop3Limits(write_stall=0.05, write_buffer=1000)])
async def test_a_client_that_does_not_read_is_cut_off(houses: MakeHouse, limits: Pop3Limits) -> None:
    house = houses(pop3=limits)
    house.add("anna")
    await house.deliver("anna", message(body="x" * 2_000_000))
    client = await house.pop3_client()
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    client.send(*["RETR 1"] * 20)
    await until(lambda: len(house.pop3) == 0)


async def test_a_client_that_does_not_read_holds_nobody_up(houses: MakeHouse) -> None:
    house = houses(pop3=Pop3Limits(stop_grace=0.05, write_buffer=1000))
    house.add("anna")
    await house.deliver("anna", message(body="x" * 2_000_000))
    client = await house.pop3_client()
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    client.send(*["RETR 1"] * 20)
    [session] = house.pop3._sessions
    await until(lambda: session.stream._writing)
    await house.pop3.close()
    await until(lambda: len(house.pop3) == 0)


async def test_a_handshake_that_does_not_come(houses: MakeHouse, server_tls: ssl.SSLContext) -> None:
    house = houses(pop3=Pop3Limits(handshake=0.05), tls=server_tls)
    client = await house.connect(await house.listen(house.pop3))
    await client.line()
    assert (await client.ask("STLS")).startswith(b"+OK")
    await until(lambda: len(house.pop3) == 0)


async def test_connections_that_have_not_logged_in(houses: MakeHouse) -> None:
    house = houses(throttle=ThrottleLimits(waiting=2))
    house.add("anna")
    port = await house.listen(house.pop3)
    greetings = [await (await house.connect(port)).line() for _ in range(3)]
    assert [greeting[:3] for greeting in greetings] == [b"+OK", b"+OK", b"-ER"]
    assert greetings[2] == b"-ERR [SYS/TEMP] Not possible now, try again later"
