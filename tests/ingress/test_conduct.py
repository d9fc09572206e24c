"""Who behaves like no mail server: points, late answers, a closed door; and nobody else notices."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.core.limits.smtp import SmtpLimits
from mailplat.core.network import Networks
from mailplat.ingress.conduct import EARLY, MESSAGE, MISTAKE, Conduct
from tests.ingress.house import House
from tests.ingress.proxying import header
from tests.ingress.wire import PATIENCE, Wire
from tests.until import until

LETTER = b"Subject: hello\r\n\r\nbody\r\n"
TO_RCPT = ("EHLO c", "MAIL FROM:<a@remote.example>")


class Hands:
    """A clock."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def conduct(hands: Hands | None = None, trusted: tuple[str, ...] = (), **limits: float) -> Conduct:
    return Conduct(SmtpLimits(**limits), Networks(trusted), hands or Hands())  # type: ignore[arg-type]


def test_points_are_forgiven_by_halves() -> None:
    hands = Hands()
    made = conduct(hands, forgiven=60.0)
    made.note("192.0.2.1", 8.0)
    hands.now = 60.0
    assert made.points("192.0.2.1") == 4.0
    made.note("192.0.2.1", 4.0)
    hands.now = 180.0
    assert made.points("192.0.2.1") == 2.0


@given(st.lists(st.sampled_from([EARLY, MISTAKE, MESSAGE, 5.0]), max_size=40))
def test_points_are_never_below_zero(events: list[float]) -> None:
    made = conduct()
    for points in events:
        made.note("192.0.2.1", points)
        assert made.points("192.0.2.1") >= 0.0


def test_late_and_later_and_not_at_all() -> None:
    made = conduct(tarpit_points=20.0, closed_points=100.0, tarpit_delay=5.0)
    delays = []
    for _ in range(10):
        made.note("192.0.2.1", 10.0)
        delays.append(made.delay("192.0.2.1"))
    assert delays == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 5.0, 5.0, 5.0, 5.0]
    assert made.is_closed("192.0.2.1")
    assert not made.is_closed("192.0.2.2")


def test_a_customer_of_ipv6_is_his_network() -> None:
    made = conduct()
    made.note("2001:db8::1", 200.0)
    assert made.is_closed("2001:db8::2")
    assert not made.is_closed("2001:db8:0:1::1")


def test_of_whom_we_trust_nothing_is_noted() -> None:
    made = conduct(trusted=("192.0.2.0/24",))
    made.note("192.0.2.1", 500.0)
    assert made.points("192.0.2.1") == made.greet_wait("192.0.2.1") == 0.0


def test_the_memory_is_bounded_and_keeps_the_last() -> None:
    made = conduct(remembered=3)
    for number in range(10):
        made.note(f"192.0.2.{number}", 5.0)
        made.note("192.0.2.0", 1.0)
    assert [number for number in range(10) if made.points(f"192.0.2.{number}")] == [0, 8, 9]


async def test_who_speaks_first_has_points_and_is_served(house: House) -> None:
    address = await house.listen(trusted=(), greet_wait=PATIENCE)
    wire = Wire(*await asyncio.open_connection(*address))
    await wire.send(b"EHLO c\r\n")
    assert (await wire.reply()).startswith("220 ")
    assert (await wire.reply()).startswith("250-")
    assert house.gate.conduct.points("127.0.0.1") == pytest.approx(EARLY, rel=0.01)
    assert house.gate.conduct.greet_wait("127.0.0.1") == PATIENCE, "it has not shown that it can wait"


async def test_who_waits_need_not_again(house: House) -> None:
    address = await house.listen(trusted=(), greet_wait=0.05)
    first = await Wire.open(address)
    assert house.gate.conduct.greet_wait("127.0.0.1") == 0.0
    assert (await first.ask("NOOP")).startswith("250 ")
    assert house.gate.conduct.points("127.0.0.1") == 0.0


async def test_who_leaves_while_it_waits(house: House) -> None:
    address = await house.listen(trusted=(), greet_wait=PATIENCE)
    wire = Wire(*await asyncio.open_connection(*address))
    await until(lambda: bool(house.gate.connections))
    await wire.close()
    await until(lambda: not house.gate.connections)


async def test_lmtp_is_spoken_by_servers_of_the_house(house: House) -> None:
    address = await house.listen(lmtp=True, trusted=(), greet_wait=60.0, connections_per_address=1)
    wire, other = await Wire.open(address), await Wire.open(address)
    assert (await other.ask("NOOP")).startswith("250 ")
    await wire.say("LHLO c", "MAIL FROM:<a@remote.example>", "RCPT TO:<nobody@example.org>")
    assert house.gate.conduct.points("127.0.0.1") == 0.0


@pytest.mark.parametrize(
    ("command", "points"),
    [
        ("RCPT TO:<nobody@example.org>", 2.0),
        ("RCPT TO:<anna@elsewhere.example>", 5.0),
        ("RCPT TO:<anna@example.org>", 0.0),
        ("RCPT TO:<full@example.org>", 0.0),
        ("NONSENSE", 1.0),
        ("RCPT", 1.0),
        ("N\0OP", 1.0),
        ("DATA", 1.0),
        ("x" * 5000, 1.0),
    ],
)
async def test_what_has_points(house: House, command: str, points: float) -> None:
    await house.fill("full")
    wire = await Wire.open(await house.listen(trusted=(), greet_wait=0))
    await wire.say(*TO_RCPT, command)
    assert house.gate.conduct.points("127.0.0.1") == pytest.approx(points, rel=0.01)


async def test_a_message_takes_points_away(house: House) -> None:
    wire = await Wire.open(await house.listen(trusted=(), greet_wait=0))
    await wire.say("EHLO c", *["NONSENSE"] * 5)
    assert house.gate.conduct.points("127.0.0.1") > 4.0
    assert (await wire.mail(LETTER)).startswith("250 ")
    assert house.gate.conduct.points("127.0.0.1") == 0.0


async def tarpitted(house: House) -> Wire:
    """A session whose next refusal comes in an hour."""
    wire = await Wire.open(
        await house.listen(trusted=(), greet_wait=0, tarpit_points=0.5, tarpit_delay=3600.0)
    )
    await wire.say("EHLO c")
    house.gate.conduct.note("127.0.0.1", 40_000.0)
    return wire


async def test_refusals_come_late_and_the_rest_does_not(house: House) -> None:
    wire = await tarpitted(house)
    assert (await wire.ask("NOOP")).startswith("250 ")
    await wire.send(b"NONSENSE\r\n")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(wire.reader.read(1), 0.3)


async def test_a_drain_does_not_wait_for_a_late_answer(house: House) -> None:
    wire = await tarpitted(house)
    await wire.send(b"NONSENSE\r\n")
    await until(lambda: any(each._late is not None for each in house.gate.connections))  # type: ignore[attr-defined]
    assert house.server is not None
    assert await house.server.drain(PATIENCE) == 0
    assert (await wire.reply()).startswith("500 ")
    assert (await wire.reply()).startswith("421 4.3.2 ")


async def test_a_closed_door_opens_again(house: House) -> None:
    address = await house.listen(trusted=(), greet_wait=0, closed_points=50.0, forgiven=0.2)
    house.gate.conduct.note("127.0.0.1", 5_000.0)
    wire = await Wire.open(address, greeted=False)
    assert (await wire.reply()).startswith("421 4.7.0 Too many errors")
    assert await wire.closed()
    assert not house.gate.connections
    await until(lambda: not house.gate.conduct.is_closed("127.0.0.1"))
    assert (await (await Wire.open(address)).ask("NOOP")).startswith("250 ")


async def test_the_cap_on_connections_from_one_network(house: House) -> None:
    address = await house.listen(
        proxies=("127.0.0.0/8",),
        trusted=(),
        greet_wait=0,
        connections_per_network=2,
        connections_per_address=2,
    )
    wires = []
    for number in range(3):
        wire = await Wire.open(address, greeted=False)
        await wire.send(header(f"192.0.2.{number}"))
        wires.append((wire, await wire.reply()))
    assert [reply[:9] for _, reply in wires] == ["220 mx.ex", "220 mx.ex", "421 4.7.0"]
    await wires[0][0].close()
    await until(lambda: len(house.gate.connections) == 1)
    again = await Wire.open(address, greeted=False)
    await again.send(header("192.0.2.77"))
    assert (await again.reply()).startswith("220 ")
