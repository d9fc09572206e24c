"""What the pipeline says before there is a message, through the door."""

from dataclasses import replace

import pytest

from mailplat.filtering.pipeline import build
from mailplat.filtering.verdict import Verdict
from mailplat.filtering.zone import Zone
from mailplat.ingress.screen import field
from tests.ingress.house import HOSTNAME, House
from tests.ingress.proxying import header
from tests.ingress.wire import Wire

LETTER = b"Subject: hello\r\nX-Mailplat-Verdict: score=-100\r\n\r\nbody\r\n"
ZONE = """
1.2.0.192.in-addr.arpa.     60 PTR mail.remote.example.
mail.remote.example.        60 A 192.0.2.1
66.2.0.192.bl.example.      60 A 127.0.0.2
remote.example.             60 MX 10 mail.remote.example.
null.example.               60 MX 0 .
"""
TABLE = {
    "stages": ["dnslists", "iprev", "helo", "senders", "greylist"],
    "dnslists": {"lists": ["bl.example 5"], "refuse_at": 5.0},
}


async def listen(house: House, stages: tuple[str, ...] = (), **more: object) -> tuple[str, int]:
    table = {**TABLE, "stages": list(stages or TABLE["stages"]), **more}
    pipeline = build(table, Zone(ZONE), house.executors, HOSTNAME, house.bus)
    house.rooms = replace(house.rooms, pipeline=pipeline)
    return await house.listen(proxies=("127.0.0.0/8",), trusted=(), greet_wait=0)


async def come(
    address: tuple[str, int], client: str = "192.0.2.1", helo: str = "mail.remote.example"
) -> Wire:
    wire = await Wire.open(address, greeted=False)
    await wire.send(header(client))
    await wire.reply()
    await wire.ask(f"EHLO {helo}")
    return wire


async def test_a_well_known_sender_comes_in_and_its_verdict_is_ours(house: House) -> None:
    wire = await come(await listen(house, ("dnslists", "iprev", "helo", "senders")))
    assert (await wire.mail(LETTER)).startswith("250 ")
    (kept,) = house.kept("anna")
    assert kept.count(b"X-Mailplat-Verdict:") == 1
    assert b"X-Mailplat-Verdict: score=0.0\r\n" in kept


async def test_points_and_reasons_are_told(house: House) -> None:
    wire = await come(await listen(house, ("iprev", "helo")), "192.0.2.3", "pc")
    assert (await wire.mail(LETTER)).startswith("250 ")
    assert b"X-Mailplat-Verdict: score=3.0; iprev: no name; helo: a name without a domain\r\n" in (
        house.kept("anna")[0].replace(b"\r\n\t", b" ")
    )


@pytest.mark.parametrize(
    ("client", "helo", "mail", "reply"),
    [
        ("192.0.2.66", "mail.remote.example", "a@remote.example", "554 5.7.1 "),
        ("192.0.2.1", HOSTNAME, "a@remote.example", "550 5.7.1 "),
        ("192.0.2.1", "mail.remote.example", "a@null.example", "550 5.7.27 "),
        ("192.0.2.1", "mail.remote.example", "a@nowhere.example", "550 5.1.8 "),
        ("192.0.2.1", "mail.remote.example", "a@remote.example", "451 4.7.1 "),
    ],
    ids=["listed", "our name", "null MX", "no domain", "greylisted"],
)
async def test_refused_at_rcpt_but_not_for_the_postmaster(
    house: House, client: str, helo: str, mail: str, reply: str
) -> None:
    wire = await come(await listen(house), client, helo)
    assert (await wire.ask(f"MAIL FROM:<{mail}>")).startswith("250 ")
    assert (await wire.ask("RCPT TO:<anna@example.org>")).startswith(reply)
    assert (await wire.ask("RCPT TO:<nobody@example.org>")).startswith(reply), (
        "nothing is told of who is here"
    )
    assert (await wire.ask("RCPT TO:<postmaster>")).startswith("250 ")
    assert (await wire.ask("DATA")).startswith("354 ")
    await wire.send(LETTER + b".\r\n")
    assert (await wire.reply()).startswith("250 ")
    assert len(house.kept("anna")) == 1


async def test_the_connection_is_asked_for_once_and_the_sender_each_time(house: House) -> None:
    wire = await come(await listen(house, ("dnslists", "iprev", "helo", "senders")))
    for mail, expected in (
        ("a@remote.example", "250 "),
        ("a@null.example", "550 "),
        ("a@remote.example", "250 "),
    ):
        await wire.ask(f"MAIL FROM:<{mail}>")
        assert (await wire.ask("RCPT TO:<anna@example.org>")).startswith(expected)
        await wire.ask("RSET")


async def test_another_greeting_is_looked_at_again(house: House) -> None:
    wire = await come(await listen(house, ("helo",)))
    await wire.say("MAIL FROM:<a@remote.example>")
    assert (await wire.ask("RCPT TO:<anna@example.org>")).startswith("250 ")
    await wire.say(f"EHLO {HOSTNAME}", "MAIL FROM:<a@remote.example>")
    assert (await wire.ask("RCPT TO:<anna@example.org>")).startswith("550 5.7.1 ")


async def test_many_points_refuse_the_message(house: House) -> None:
    wire = await come(await listen(house, ("iprev", "helo"), refuse_score=3.0), "192.0.2.3", "pc")
    assert (await wire.mail(LETTER)).startswith("550 5.7.1 Message is taken for spam")
    assert house.kept("anna") == []


async def test_many_points_do_not_keep_anybody_from_the_postmaster(house: House) -> None:
    wire = await come(await listen(house, ("iprev", "helo"), refuse_score=3.0), "192.0.2.3", "pc")
    assert (await wire.mail(LETTER, ["postmaster@" + HOSTNAME])).startswith("250 ")
    assert len(house.kept("anna")) == 1


async def test_who_is_trusted_is_not_looked_at(house: House) -> None:
    pipeline = build(TABLE, Zone(ZONE), house.executors, HOSTNAME, house.bus)
    house.rooms = replace(house.rooms, pipeline=pipeline)
    wire = await Wire.open(await house.listen())
    await wire.ask(f"EHLO {HOSTNAME}")
    assert (await wire.mail(LETTER)).startswith("250 ")
    assert b"X-Mailplat-Verdict" not in house.kept("anna")[0], "a verdict of somebody else is none"


async def test_who_vanishes_while_it_is_looked_at(house: House) -> None:
    zone = Zone(";!timeout remote.example\n", deadline=60.0)
    pipeline = build({"stages": ["senders"]}, zone, house.executors, HOSTNAME, house.bus)
    house.rooms = replace(house.rooms, pipeline=pipeline)
    address = await house.listen(trusted=(), greet_wait=0)
    wire = await Wire.open(address)
    await wire.say("EHLO c", "MAIL FROM:<a@remote.example>")
    await wire.send(b"RCPT TO:<anna@example.org>\r\n")
    await wire.close()
    await house.gate.left.wait()
    assert not house.gate.connections


def test_the_field_is_harmless_whatever_reasons_quote() -> None:
    text = field(Verdict(score=1.25, reasons=("a: \r\nX-Evil: 1", "b: " + "ü" * 2000, "c: \x00\x1b[31m")))
    assert text.endswith(b"\r\n")
    assert all(line.startswith((b"X-Mailplat-Verdict: ", b"\t")) for line in text[:-2].split(b"\r\n"))
    assert text.isascii()
    assert len(text) < 1200
