"""One file for all recipients of a message in one shard, over both ways; each stands for itself."""

import os
from collections import Counter
from pathlib import Path

import pytest

from mailplat.core.route import Residence, RouteState
from mailplat.delivery import WorkerLimits
from tests.delivery.house import MESSAGE, House, stored
from tests.delivery.remote import Remote, listening
from tests.delivery.test_crash import killed_worker
from tests.delivery.test_worker import empty
from tests.until import until


def files(house: House, shard: str) -> list[os.stat_result]:
    """Every message file in the shard's accounts."""
    return [
        path.stat()
        for place in ("cur", "new")
        for path in (house.root / shard / "accounts").rglob(f"{place}/*")
        if path.is_file()
    ]


def usage(house: House, name: str, shard: str = "s1") -> tuple[int, int]:
    account = house.target(name)
    return house.store.shard(shard).usage(Residence(account.account_id, shard, account.route.epoch))


def nothing_in_tmp(house: House) -> bool:
    return not any(
        path.is_file() for shard in ("s1", "s2") for path in (house.root / shard / "tmp").iterdir()
    )


async def work_off(house: House) -> None:
    async with house.working():
        await until(lambda: empty(house))


async def test_at_once(house: House) -> None:
    names = [f"user{n}" for n in range(20)]
    for name in names:
        house.add(name)
    await house.accept(*names)
    found = files(house, "s1")
    assert len(found) == 20
    assert {(each.st_ino, each.st_nlink) for each in found} == {(found[0].st_ino, 20)}
    assert {usage(house, name) for name in names} == {(len(stored()), 1)}


async def test_through_the_queue(house: House) -> None:
    """More recipients than a lease asks for, in two shards and elsewhere."""
    async with listening(Remote()) as remote:
        house.add_backend(remote.next_hop)
        here = [f"here{n}" for n in range(60)]
        there = [f"there{n}" for n in range(12)]
        for name in here:
            house.add(name, "s1")
        for name in there:
            house.add(name, "s2")
        house.add("dora", "legacy")
        mixed = [name for pair in zip(here, there * 5, strict=True) for name in pair][: len(here) * 2]
        await house.accept(*dict.fromkeys(mixed), "dora")
        await work_off(house)
        for shard, names in (("s1", here), ("s2", there)):
            found = files(house, shard)
            assert len(found) == len(names)
            assert {(each.st_ino, each.st_nlink) for each in found} == {(found[0].st_ino, len(names))}
            assert {usage(house, name, shard) for name in names} == {(len(stored()), 1)}
            assert all(house.inbox(name, shard) == [stored()] for name in names)
        assert len(remote.kept) == 1
        assert nothing_in_tmp(house)


async def test_who_cannot_have_it_keeps_nobody_from_it(house: House) -> None:
    """Over quota, fenced, removed, gone from its shard: each has its own outcome, the others share a file."""
    house.add("full", quota=3)
    names = ["anna", "bert", "cleo"]
    for name in [*names, "fenced", "removed", "moved"]:
        house.add(name)
    house.add("other", "s2")
    await house.accept("full", "anna", "fenced", "bert", "removed", "moved", "cleo", "other")
    house.directory.remove_account(house.target("removed").address)
    house.advance("fenced", RouteState.FENCED, fence_s=60)
    moved = house.target("moved")  # the shard has granted more than the route says: another process is ahead
    house.store.shard("s1").grant(moved.account_id, moved.route.epoch + 1)
    async with house.working(limits=WorkerLimits(poll=0.05, drain=5)):
        await until(
            lambda: (
                {str(each.recipient) for each in house.queue.entries()}
                == {"full@example.org", "fenced@example.org", "moved@example.org"}
                and {each.attempts > 0 for each in house.queue.entries() if each.recipient.local == "full"}
                == {True}
            )
        )
        waiting = {entry.recipient.local: entry for entry in house.queue.entries()}
        assert "452 4.2.2" in str(waiting["full"].last)
        assert waiting["fenced"].attempts == waiting["moved"].attempts == 0
    assert [each.st_nlink for each in files(house, "s1")] == [3, 3, 3]
    assert [each.st_nlink for each in files(house, "s2")] == [1]
    assert all(house.inbox(name) == [stored()] for name in names)
    assert nothing_in_tmp(house)


async def test_a_remembered_mailbox_that_is_another_one_by_now(house: House) -> None:
    for name in ("anna", "bert"):
        house.add(name)
    house.add("other", "s2")
    await house.accept("anna", "bert")  # the shard remembers both
    bert = house.target("bert")
    shard = house.store.shard("s1")
    shard.remove_account(Residence(bert.account_id, "s1", 1))
    house.advance("bert", RouteState.FENCED, fence_s=60)
    house.advance("bert", RouteState.NEW, "s1")
    await house.accept("anna", "bert", "other")
    await work_off(house)
    assert house.inbox("anna") == [stored()] * 2
    assert house.inbox("bert") == [stored()]


async def test_one_account_under_two_addresses(house: House) -> None:
    """The queue may say one account twice: both arrive, as before."""
    house.add("anna"), house.add("other", "s2")
    await house.accept("anna", "anna", "other")
    await work_off(house)
    assert house.inbox("anna") == [stored()] * 2


@pytest.mark.parametrize("step", ["append.link", "append.rename", "append.commit"])
async def test_a_crash_doubles_nothing(tmp_path: Path, step: str) -> None:
    house = House(tmp_path)
    names = ["anna", "bert", "cleo"]
    for name in names:
        house.add(name)
    house.add("other", "s2")
    await house.accept(*names, "other")
    house.close()
    await killed_worker(tmp_path, step)
    house = House(tmp_path)
    try:
        await work_off(house)
        assert [house.inbox(name) for name in names] == [[stored()]] * 3
        assert house.inbox("other", "s2") == [stored()]
    finally:
        house.close()


async def test_lmtp_answers_each_and_writes_one_file(house: House) -> None:
    house.add("full", quota=3)
    for name in ("anna", "bert"):
        house.add(name)
    house.add("other", "s2")
    replies = await house.accept("anna", "full", "bert", "other", separately=True)
    assert isinstance(replies, list)
    assert [reply.code for reply in replies] == [250, 452, 250, 250]
    assert [each.st_nlink for each in files(house, "s1")] == [2, 2]
    assert nothing_in_tmp(house)


async def test_many_at_once_stay_apart(house: House) -> None:
    """Twenty messages to the same people at the same time."""
    names = ["anna", "bert", "cleo"]
    for name in names:
        house.add(name)
    house.add("other", "s2")
    for n in range(20):
        await house.accept(*names, "other", octets=b"Subject: %d\r\n\r\n" % n + MESSAGE)
    await work_off(house)
    links = Counter(each.st_ino for each in files(house, "s1"))
    assert sorted(links.values()) == [3] * 20
    for name in names:
        assert len(set(house.inbox(name))) == 20
