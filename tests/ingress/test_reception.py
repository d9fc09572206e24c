"""Where a message goes, what is put on top of it, what the filters do to it: with the real rooms."""

import asyncio
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from mailplat.filtering.dns import open_dns
from mailplat.filtering.pipeline import build
from mailplat.wire.smtp.address import parse_address
from tests.ingress.house import HOSTNAME, House
from tests.ingress.wire import PATIENCE, Wire

LETTER = b"From: a@remote.example\r\nDate: Tue, 14 Nov 2023 22:13:20 +0000\r\nSubject: x\r\n\r\nbody\r\n"


async def greeted(house: House, **limits: int) -> Wire:
    wire = await Wire.open(await house.listen(**limits))
    await wire.ask("EHLO client.example")
    return wire


def filtered(house: House, stages: Sequence[str]) -> None:
    zone = house.folder / "zone"
    zone.write_text('remote.example. 60 IN TXT "v=spf1 -all"\n')
    pipeline = build({"stages": list(stages)}, open_dns(f"zone:{zone}"), house.executors, HOSTNAME)
    house.rooms = replace(house.rooms, pipeline=pipeline)


def nameless_files(folder: Path) -> list[Path]:
    """Files that this process has open in `folder` and that no directory knows."""
    names = [
        os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if int(fd) > 2 and alive(fd)
    ]
    return [Path(name) for name in names if name.startswith(f"{folder}/") and name.endswith(" (deleted)")]


def alive(fd: str) -> bool:
    return os.path.lexists(f"/proc/self/fd/{fd}")


def queued(house: House) -> list[str]:
    return sorted(str(entry.recipient) for entry in house.queue.entries())


async def test_mail_for_a_legacy_account_is_queued(house: House) -> None:
    wire = await greeted(house)
    assert (await wire.mail(LETTER, ["olga@example.org"])).startswith("250 2.0.0 ")
    assert queued(house) == ["olga@example.org"]
    assert house.spooled() == []


async def test_mail_for_two_shards_is_one_commit_in_the_queue(house: House) -> None:
    wire = await greeted(house)
    assert (await wire.mail(LETTER, ["anna@example.org", "carl@example.org"])).startswith("250 ")
    assert queued(house) == ["anna@example.org", "carl@example.org"]
    assert house.kept("anna") == house.kept("carl") == []


async def test_the_null_sender(house: House) -> None:
    wire = await greeted(house)
    await wire.say("MAIL FROM:<>", "RCPT TO:<anna@example.org>", "DATA")
    assert (await wire.ask(LETTER + b".")).startswith("250 ")
    assert house.kept("anna")[0].startswith(
        b"Return-Path: <>\r\nReceived: from client.example ([127.0.0.1])\r\n"
    )


async def test_bare_postmaster_is_the_platforms(house: House) -> None:
    wire = await greeted(house)
    assert (await wire.mail(LETTER, ["postmaster"])).startswith("250 ")
    assert b"\tfor <postmaster>;\r\n" in house.kept("anna")[0]


async def test_postmasters_that_nobody_is(house: House) -> None:
    house.rooms = replace(house.rooms, postmaster=parse_address("bert@example.org"))
    wire = await greeted(house)
    for name in ("POSTMASTER", "Postmaster@example.org"):
        assert (await wire.mail(LETTER, [name])).startswith("250 ")
    assert b"\tfor <postmaster>;\r\n" in house.kept("anna")[0].lower(), "the platform has one of its own"
    assert b"\tfor <Postmaster@example.org>;\r\n" in house.kept("bert")[0]
    await wire.ask("MAIL FROM:<a@remote.example>")
    assert (await wire.ask("RCPT TO:<postmaster@elsewhere.example>")).startswith("550 5.7.1 ")
    assert (await wire.ask("RCPT TO:<postmistress@example.org>")).startswith("550 5.1.1 ")


async def test_a_declared_size_that_does_not_fit_the_quota(house: House) -> None:
    wire = await greeted(house)
    await wire.ask("MAIL FROM:<a@remote.example> SIZE=5000")
    assert (await wire.ask("RCPT TO:<full@example.org>")).startswith("452 4.2.2 ")
    assert (await wire.ask("RCPT TO:<anna@example.org>")).startswith("250 ")


async def test_a_domain_that_is_full_is_said_to_be(house: House) -> None:
    """At RCPT, where the declared size says it, and after DATA; its accounts have no quota of their own."""
    wire = await greeted(house)
    house.directory.set_domain("example.org", quota=3000)
    await wire.ask("MAIL FROM:<a@remote.example> SIZE=3001")
    for name in ("anna", "carl"):  # in two shards
        reply = await wire.ask(f"RCPT TO:<{name}@example.org>")
        assert reply == "452 4.2.2 The mailboxes of this domain together are over their quota"
    await wire.ask("RSET")
    reply = await wire.mail(LETTER + b"x" * 3000 + b"\r\n", ["anna@example.org"])
    assert reply.startswith("452 4.2.2 The mailboxes of this domain together")
    await wire.ask("MAIL FROM:<a@remote.example> SIZE=1001")
    assert (await wire.ask("RCPT TO:<full@example.org>")) == "452 4.2.2 Mailbox is over its quota"
    house.directory.set_domain("example.org", quota=0)
    assert (await wire.ask("RCPT TO:<anna@example.org>")).startswith("250 ")


async def test_an_undeclared_size_that_does_not_fit_the_quota(house: House) -> None:
    wire = await greeted(house)
    assert (await wire.mail(LETTER + b"x" * 5000 + b"\r\n", ["full@example.org"])).startswith("452 4.2.2 ")
    assert house.kept("full") == []


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize(
    ("recipient", "folder"), [("anna", "s1"), ("carl", "s2"), ("olga", "queue"), ("both", "s1")]
)
async def test_a_big_body_is_spooled_where_it_will_be_kept(house: House, recipient: str, folder: str) -> None:
    wire = await greeted(house)
    await wire.say("MAIL FROM:<a@remote.example>", f"RCPT TO:<{recipient}@example.org>", "DATA")
    house.delivery.gate.clear()
    await wire.send(LETTER + (b"x" * 998 + b"\r\n") * 1000 + b".\r\n")
    await asyncio.wait_for(house.delivery.entered.wait(), PATIENCE)
    [spooled] = nameless_files(house.folder)
    assert spooled.is_relative_to(house.folder / folder)
    house.delivery.gate.set()
    assert (await wire.reply()).startswith("250 ")


async def test_forged_authentication_results_are_removed_and_nothing_else(house: House) -> None:
    wire = await greeted(house)
    forged = b"Authentication-Results: mx.example.org;\r\n\tspf=pass smtp.mailfrom=bank.example\r\n"
    other = b"Authentication-Results: mx.elsewhere.example; spf=pass\r\n"
    assert (await wire.mail(b"X-One: 1\r\n" + forged + other + LETTER)).startswith("250 ")
    [kept] = house.kept("anna")
    assert kept.endswith(b"+0000\r\nX-One: 1\r\n" + other + LETTER)
    assert b"bank.example" not in kept


async def test_fields_of_the_filters_stand_above_ours(house: House) -> None:
    filtered(house, ("loops", "limits", "mailauth"))
    wire = await greeted(house)
    assert (await wire.mail(LETTER)).startswith("250 ")
    names = [line.partition(b":")[0] for line in house.kept("anna")[0].splitlines() if line[:1].isalpha()]
    assert names[:3] == [b"Return-Path", b"Authentication-Results", b"Received"]
    assert house.kept("anna")[0].endswith(LETTER)


async def test_a_loop_is_refused(house: House) -> None:
    filtered(house, ("loops",))
    wire = await greeted(house)
    assert (await wire.mail(b"Received: from x by y; date\r\n" * 120 + LETTER)).startswith("554 5.4.6 ")
    assert house.kept("anna") == []
    assert (await wire.mail(LETTER)).startswith("250 ")


async def test_a_message_that_is_only_a_header(house: House) -> None:
    wire = await greeted(house)
    for letter in (b"Subject: no empty line\r\n", b"\r\n", b"", b"no header at all\r\n"):
        assert (await wire.mail(letter)).startswith("250 ")
        assert house.kept("anna")[-1].endswith(b"+0000\r\n" + letter)
