"""The worker: routes at each attempt, fences, failures, notifications."""

import asyncio
from pathlib import Path

import pytest

from mailplat.core.address import NULL_SENDER, Address
from mailplat.core.clock import ManualClock
from mailplat.core.envelope import Envelope
from mailplat.core.route import RouteState
from mailplat.core.spool import Body
from mailplat.delivery import WorkerLimits
from mailplat.delivery.trace import relay_field
from mailplat.directory import routes
from mailplat.directory.watch import acknowledged
from mailplat.queue import QueueRecipient, RetrySchedule
from tests.delivery.house import EAGER, HOSTNAME, MESSAGE, PEER, RECEIVED, House, stored
from tests.delivery.remote import DROP, Remote, listening
from tests.until import until

MARK = relay_field(HOSTNAME, "legacy")
RELAYED = MARK + RECEIVED + MESSAGE + b".\r\n"
ANNA = Envelope(Address("anna", "example.org"), "8BITMIME")


def empty(house: House) -> bool:
    return house.queue.counts()["messages"] == 0


async def test_each_recipient_goes_to_its_home(house: House) -> None:
    async with listening(Remote()) as remote:
        house.add_backend(remote.next_hop)
        (
            house.add("bert", "s1"),
            house.add("cleo", "s2"),
            house.add("dora", "legacy"),
            house.add("emil", "legacy"),
        )
        await house.accept("bert", "cleo", "dora", "emil")
        async with house.working():
            await until(lambda: empty(house))
        assert house.inbox("bert", "s1") == house.inbox("cleo", "s2") == [stored()]
        assert remote.kept == [RELAYED]
        assert remote.messages[0].recipients == ["RCPT TO:<dora@example.org>", "RCPT TO:<emil@example.org>"]
        assert remote.messages[0].sender.startswith("MAIL FROM:<sender@example.com>")
        assert not list(house.queue.tmp.parent.glob("??/*"))


async def test_a_hint_wakes_it(house: House) -> None:
    async with listening(Remote()) as remote:
        house.add_backend(remote.next_hop)
        house.add("bert", "legacy")
        async with house.working(limits=WorkerLimits(poll=3600)):
            await house.accept("bert")
            await until(lambda: empty(house))
        assert remote.kept == [RELAYED]


@pytest.mark.parametrize(
    ("verb", "answer"),
    [
        ("GREETING", "421 4.3.2 starting"),
        ("RCPT", "450 4.2.1 later"),
        ("RCPT", "421 4.7.0 closing"),
        ("DATA", DROP),
        ("END", "451 4.3.0 later"),
    ],
)
async def test_a_temporary_failure_is_tried_again_and_arrives_once(
    house: House, verb: str, answer: str
) -> None:
    async with listening(Remote()) as remote:
        remote.answers[verb] = [answer, answer]
        house.add_backend(remote.next_hop)
        house.add("bert", "legacy")
        await house.accept("bert")
        async with house.working():
            await until(lambda: empty(house))
        assert remote.kept == [RELAYED]


async def test_the_one_way_to_double_a_message(house: House) -> None:
    """It was kept and the answer was lost: the crash table's named instant. It must never be lost instead."""
    async with listening(Remote(lmtp=True)) as remote:
        remote.answers["END"] = [DROP]
        house.add_backend(remote.next_hop)
        house.add("bert", "legacy")
        await house.accept("bert")
        async with house.working():
            await until(lambda: empty(house))
        assert remote.kept == [RELAYED]
        assert sum(command == "DATA" for command in remote.commands) == 2


async def test_a_refusal_is_told_to_the_sender_once(house: House) -> None:
    async with listening(Remote()) as remote:
        remote.answers["RCPT"] = ["550 5.1.1 no such user", "250 2.1.5 ok", "550 5.7.1 not you"]
        house.add_backend(remote.next_hop)
        (
            house.add("anna", "s1"),
            house.add("bert", "legacy"),
            house.add("cleo", "legacy"),
            house.add("dora", "legacy"),
        )
        await house.accept("bert", "cleo", "dora", envelope=ANNA)
        async with house.working():
            await until(lambda: empty(house))
        [report] = house.inbox("anna")
        assert report.startswith(b"Return-Path: <>\r\nFrom: Mail Delivery System")
        assert b"Final-Recipient: rfc822; bert@example.org" in report
        assert b"Final-Recipient: rfc822; dora@example.org" in report
        assert b"cleo" not in report
        assert b"Subject: hello" in report
        assert b"body\r\n" not in report
        assert remote.messages[0].recipients == ["RCPT TO:<cleo@example.org>"]


@pytest.mark.parametrize("sender", [NULL_SENDER, Address("stranger", "example.com")])
async def test_nobody_is_told_where_nobody_can_be(house: House, sender: Address) -> None:
    async with listening(Remote()) as remote:
        remote.answers["RCPT"] = ["550 5.1.1 no such user"]
        house.add_backend(remote.next_hop)
        house.add("bert", "legacy")
        await house.accept("bert", envelope=Envelope(sender))
        async with house.working():
            await until(lambda: empty(house))
        assert remote.kept == []


async def test_a_stranger_is_told_over_the_smart_host(house: House) -> None:
    async with listening(Remote()) as remote, listening(Remote()) as smart:
        remote.answers["RCPT"] = ["550 5.1.1 no such user"]
        house.add_backend(remote.next_hop)
        house.add("bert", "legacy")
        await house.accept("bert")
        async with house.working(smart_host=smart.next_hop):
            await until(lambda: empty(house))
        [report] = smart.messages
        assert report.sender.startswith("MAIL FROM:<> ")
        assert report.recipients == ["RCPT TO:<sender@example.com>"]
        assert b"X-Mailplat-Relay" not in report.octets.split(b"\r\n\r\n")[0]


async def test_what_cannot_be_delivered_in_five_days_fails(tmp_path: Path) -> None:
    clock = ManualClock()
    house = House(tmp_path, clock=clock, schedule=EAGER)
    try:
        async with listening(Remote()) as remote:
            remote.answers["RCPT"] = ["452 4.2.2 mailbox full"]
            house.add_backend(remote.next_hop)
            house.add("anna"), house.add("bert", "legacy")
            await house.accept("bert", envelope=ANNA)
            clock.advance(RetrySchedule().give_up + 1)
            async with house.working():
                await until(lambda: empty(house))
            [report] = house.inbox("anna")
            assert b"Status: 5.4.7\r\n" in report
            assert b"452 4.2.2 mailbox full" in report.replace(b"\r\n    ", b" ")
    finally:
        house.close()


async def test_a_loop_that_begins_after_acceptance_ends_with_a_report(house: House) -> None:
    async with listening(Remote()) as remote:
        house.add_backend(remote.next_hop)
        house.add("anna"), house.add("bert", "legacy")
        to = [QueueRecipient(Address("bert", "example.org"), house.target("bert").account_id)]
        house.queue.put(ANNA, to, Body.of(MARK + MESSAGE), b"", peer=PEER)
        async with house.working():
            await until(lambda: empty(house))
        assert remote.kept == []
        assert b"Status: 5.4.6" in house.inbox("anna")[0]


async def test_an_account_that_was_removed_meanwhile(house: House) -> None:
    house.add("anna"), house.add("bert", "s1"), house.add("cleo", "s2")
    await house.accept("bert", "cleo", envelope=ANNA)
    house.directory.remove_account(Address("cleo", "example.org"))
    async with house.working():
        await until(lambda: empty(house))
    assert len(house.inbox("bert")) == 1
    assert b"Status: 5.1.1" in house.inbox("anna")[0]


async def test_over_quota_waits_and_the_others_do_not(house: House) -> None:
    house.add("bert", "s1", quota=10), house.add("cleo", "s1")
    await house.accept("bert", "cleo")
    async with house.working():
        await until(lambda: house.inbox("cleo"))
        await until(lambda: house.queue.entries()[0].attempts)
        house.directory.set_account(house.target("bert").account_id, quota=0)
        await until(lambda: empty(house))
    assert house.inbox("bert") == house.inbox("cleo") == [stored()]


def fence(house: House, name: str) -> None:
    house.advance(name, RouteState.SEEDING)
    house.advance(name, RouteState.TRACKING)
    house.advance(name, RouteState.FENCED, fence_s=30)


async def test_held_behind_a_fence_and_delivered_once_to_the_new_home(house: House) -> None:
    async with listening(Remote()) as remote:
        house.add_backend(remote.next_hop)
        house.add("bert", "legacy")
        async with house.working(watched=True):
            fence(house, "bert")
            for number in range(5):
                await house.accept("bert", octets=b"Subject: %d\r\n\r\n" % number)
            await until(lambda: house.queue.counts()["held"] == 5)
            house.advance("bert", RouteState.NEW, shard="s2")
            await until(lambda: empty(house))
        assert sorted(house.inbox("bert", "s2")) == [
            stored(b"Subject: %d\r\n\r\n" % number) for number in range(5)
        ]
        assert remote.connections == 0


async def test_held_behind_a_fence_and_delivered_once_to_legacy_after_an_abort(house: House) -> None:
    async with listening(Remote()) as remote:
        house.add_backend(remote.next_hop)
        house.add("bert", "legacy")
        async with house.working(watched=True):
            fence(house, "bert")
            await house.accept("bert")
            await until(lambda: house.queue.counts()["held"] == 1)
            assert remote.connections == 0
            house.advance("bert", RouteState.TRACKING)
            await until(lambda: empty(house))
        assert remote.kept == [RELAYED]


def fence_is_acknowledged(house: House) -> bool:
    account_id = house.target("bert").account_id
    with house.database.read() as connection:
        return acknowledged(connection, house.clock, account_id, routes.last_change(connection))


async def test_a_fence_waits_for_the_relay_that_has_passed_its_final_dot(house: House) -> None:
    async with listening(Remote()) as remote:
        house.add_backend(remote.next_hop)
        house.add("bert", "legacy")
        async with house.working(watched=True):
            remote.gate.clear()
            await house.accept("bert")
            await remote.at_end.wait()
            fence(house, "bert")
            await asyncio.sleep(0.5)  # far longer than the patience: it must go on waiting
            assert not fence_is_acknowledged(house)
            remote.gate.set()
            await until(lambda: fence_is_acknowledged(house))
            assert remote.kept == [RELAYED]
            assert empty(house)  # settled before the fence may begin


async def test_a_fence_stops_the_relay_that_has_not(house: House) -> None:
    async with listening(Remote()) as remote:
        house.add_backend(remote.next_hop)
        house.add("bert", "legacy")
        remote.answers["DATA"] = ["silence"]
        async with house.working(watched=True):
            await house.accept("bert")
            await until(lambda: "DATA" in remote.commands)
            fence(house, "bert")
            await until(lambda: fence_is_acknowledged(house))
            assert remote.kept == []
            assert house.queue.entries()[0].attempts == 0
            house.advance("bert", RouteState.NEW, shard="s1")
            await until(lambda: empty(house))
        assert house.inbox("bert") == [stored()]
        assert remote.kept == []


async def test_nothing_is_relayed_by_a_process_that_nobody_waits_for(house: House) -> None:
    async with listening(Remote()) as remote:
        house.add_backend(remote.next_hop)
        house.add("bert", "legacy")
        async with house.working(watched=True) as worker:
            remote.answers["DATA"] = ["silence"]
            await house.accept("bert")
            await until(lambda: "DATA" in remote.commands)
            await worker.lease_lost()
            await until(lambda: empty(house))
        assert remote.kept == [RELAYED]


async def test_a_stop_lets_end_what_is_on_its_way(house: House) -> None:
    async with listening(Remote()) as remote:
        house.add_backend(remote.next_hop)
        house.add("bert", "legacy")
        remote.gate.clear()
        await house.accept("bert")
        async with house.working():
            await remote.at_end.wait()
            asyncio.get_running_loop().call_later(0.1, remote.gate.set)
        assert empty(house)
        assert remote.kept == [RELAYED]


async def test_a_slow_backend_does_not_delay_local_mail(house: House) -> None:
    async with listening(Remote()) as remote:
        house.add_backend(remote.next_hop)
        house.add("bert", "legacy"), house.add("cleo", "s1"), house.add("dora", "s2")
        remote.gate.clear()
        async with house.working():
            for _ in range(30):
                await house.accept("bert")
            await remote.at_end.wait()
            await house.accept("cleo", "dora")
            await until(lambda: house.inbox("dora", "s2"))
            assert remote.most_open <= 10
            remote.gate.set()
            await until(lambda: empty(house))
        assert len(remote.kept) == 30
