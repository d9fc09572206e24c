"""LMTP (RFC 2033): LHLO, and a reply for each recipient."""

import pytest

from mailplat.core.errors import DiskFull
from mailplat.core.spool import MEMORY_LIMIT
from mailplat.store.types import StoreLimits
from tests.ingress.house import House
from tests.ingress.wire import Wire

LETTER = b"Subject: hello\r\n\r\nbody\r\n"


async def greeted(house: House) -> Wire:
    wire = await Wire.open(await house.listen(lmtp=True))
    assert (await wire.ask("LHLO relay.example")).startswith("250-mx.example.org\n250-PIPELINING\n")
    return wire


async def test_smtp_greetings_are_not_lmtp(house: House) -> None:
    wire = await Wire.open(await house.listen(lmtp=True))
    assert (await wire.ask("HELO c")).startswith("500 5.5.2 ")
    assert (await wire.ask("EHLO c")).startswith("500 5.5.2 ")
    assert (await wire.ask("MAIL FROM:<a@x.org>")).startswith("503 5.5.1 ")


async def test_one_reply_for_each_recipient_that_was_accepted(house: House) -> None:
    wire = await greeted(house)
    await wire.ask("MAIL FROM:<a@remote.example>")
    for name, code in (("anna", "250"), ("nobody", "550"), ("both", "250"), ("anna", "250")):
        assert (await wire.ask(f"RCPT TO:<{name}@example.org>")).startswith(code)
    await wire.ask("DATA")
    await wire.send(LETTER + b".\r\nNOOP\r\n")
    assert [(await wire.reply())[:9] for _ in range(4)] == ["250 2.0.0"] * 4
    assert len(house.kept("anna")) == len(house.kept("bert")) == 1


async def test_a_refused_message_is_refused_for_each(house: House) -> None:
    wire = await greeted(house)
    house.delivery.failure = DiskFull("disk")
    first = await wire.mail(LETTER, ("anna@example.org", "bert@example.org"))
    assert first.startswith("452 4.3.1 ")
    assert (await wire.reply()).startswith("452 4.3.1 ")
    house.delivery.failure = None
    first = await wire.mail(b"bare\nnewline\r\n", ("anna@example.org", "bert@example.org"))
    assert first.startswith("550 5.6.0 ")
    assert (await wire.reply()).startswith("550 5.6.0 ")


async def test_who_lives_on_a_full_disk_keeps_nobody_from_a_message(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where he is named first, and the message is too long to be held in memory."""
    monkeypatch.setattr(house.store.shard("s2").site, "limits", StoreLimits(reserve=2**62))
    monkeypatch.setattr("mailplat.store.site._RESERVED_PART", 1)
    wire = await greeted(house)
    await wire.ask("MAIL FROM:<a@remote.example>")
    assert (await wire.ask("RCPT TO:<carl@example.org>")).startswith("452 4.3.1 ")
    monkeypatch.undo()  # both shards are on one disk here
    assert (await wire.ask("RCPT TO:<anna@example.org>")).startswith("250 ")
    await wire.ask("DATA")
    await wire.send(
        LETTER + b"x" * 70 + b"\r\n" + (b"y" * 70 + b"\r\n") * (2 * MEMORY_LIMIT // 72) + b".\r\n"
    )
    assert (await wire.reply()).startswith("250 2.0.0")
    assert (len(house.kept("anna")), len(house.kept("carl"))) == (1, 0)


@pytest.mark.parametrize("reach", ["at once", "in the middle"])
async def test_a_spool_that_takes_nothing_is_left_for_another(house: House, reach: str) -> None:
    """The folder is gone where a disk would say no: the message goes on beside the mail of the next recipient."""
    wire = await greeted(house)
    await wire.ask("MAIL FROM:<a@remote.example>")
    for name in ("carl", "anna"):
        assert (await wire.ask(f"RCPT TO:<{name}@example.org>")).startswith("250 ")
    await wire.ask("DATA")
    line = b"y" * 70 + b"\r\n"
    half = LETTER + line * ((MEMORY_LIMIT if reach == "in the middle" else 100) // len(line))
    await wire.send(half)
    (house.folder / "s2/tmp").rename(house.folder / "s2/away")
    await wire.send(line * (2 * MEMORY_LIMIT // len(line)) + b".\r\n")
    replies = [await wire.reply() for _ in range(2)]
    assert (replies[0][:3], replies[1][:9]) == ("451", "250 2.0.0")
    [kept] = house.kept("anna")
    assert kept.endswith(half + line * (2 * MEMORY_LIMIT // len(line)))
    assert not list((house.folder / "s1/tmp").iterdir())


async def test_data_without_a_recipient(house: House) -> None:
    wire = await greeted(house)
    await wire.say("MAIL FROM:<a@remote.example>", "RCPT TO:<nobody@example.org>")
    assert (await wire.ask("DATA")).startswith("503 ")  # RFC 2033 4.2


async def test_the_trace_field_says_lmtp(house: House) -> None:
    wire = await greeted(house)
    await wire.mail(LETTER)
    assert b" with LMTP\r\n" in house.kept("anna")[0]
