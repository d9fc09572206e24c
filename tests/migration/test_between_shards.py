"""Accounts from shard to shard: what is to be seen there is what was to be seen here, to the last number."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mailplat.core.errors import DiskFull, StaleEpoch
from mailplat.core.rights import parse
from mailplat.core.route import Residence, RouteState, ShardHome
from mailplat.core.spool import Body
from mailplat.store import Mailbox, NewMessage
from mailplat.store.annotations import ACCOUNT
from mailplat.store.vault import owner
from migration import fence, transfer
from tests.migration.house import letter
from tests.migration.shards import Shards
from tests.until import until

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Callable[..., Shards]]:
    opened: list[Shards] = []

    def open_house(*names: str, **settings: str) -> Shards:
        opened.append(Shards(tmp_path / "house", names, **settings))
        return opened[-1]

    yield open_house
    for each in opened:
        each.close()


async def furnish(here: Shards, name: str) -> None:
    """What a mailbox has after some years: gaps, keywords, old dates, foreign UIDLs, dedupe keys."""
    home = here.residence(name)
    shard = here.shard(home.shard)
    shard.create(home, "Archive/2019", special_use="")
    shard.create(home, "Sent", special_use="\\Sent")
    shard.create(home, "Gone")
    shard.create(home, "Empty")
    await here.append(
        name, count=12, internaldate=1_500_000_000, internaldate_zone=330, flags=("\\Seen", "$Work")
    )
    await here.append(name, uidl="OLD-1", dedupe="queue/1")
    await here.append(name, "Archive/2019", 5, internaldate=1_000_000_000)
    await here.append(name, "Sent", 3)
    await here.append(name, "Gone", 3)
    inbox = here.mailbox(name)
    shard.store_flags(home, inbox.id, [(3, 5)], "add", ["\\Flagged", "NotJunk"])
    shard.store_flags(home, inbox.id, [(3, 3)], "remove", ["\\Seen"])
    shard.expunge_uids(home, inbox.id, [(7, 8)])
    archive = here.mailbox(name, "Archive/2019")
    shard.expunge_uids(home, archive.id, [(5, 5)])  # the highest: UIDNEXT is above it
    shard.delete(home, "Gone")
    shard.delete(home, "Archive")  # its child stays
    shard.subscribe(home, "Sent", True)
    shard.subscribe(home, "Nowhere", True)
    for number in (ACCOUNT, inbox.id, here.mailbox(name, "Empty").id):
        shard.annotate(home, number, {"/private/comment": b"of %d" % number})
    shard.change_acl(home, archive.id, "bob@example.test", 2, "", parse("lrs"))
    shard.change_acl(home, here.mailbox(name, "Empty").id, "anyone", 0, "", parse("l"))


async def test_to_another_shard_and_back(house: Callable[..., Shards]) -> None:
    here = house("ann", "bob")
    await furnish(here, "ann")
    before = here.content("ann")
    async with here.engine():
        here.ask("s2", "ann")
        await here.done("ann")
        assert here.home("ann") == "s2"
        assert here.route("ann").state is RouteState.FINAL
        assert here.content("ann") == before
        await until(lambda: not here.shard("s1").site.account_folder(here.accounts["ann"].id).exists())
        assert here.residents("s1") == [here.accounts["bob"].id]
        assert here.residents("s2") == [here.accounts["ann"].id]
        here.ask("s1", "ann")
        await here.done("ann")
    assert here.home("ann") == "s1"
    assert here.content("ann") == before
    assert here.residents("s2") == []


async def test_numbers_go_on_where_they_were(house: Callable[..., Shards]) -> None:
    here = house("ann")
    await furnish(here, "ann")
    before = here.mailbox("ann")
    async with here.engine():
        here.ask("s2", "ann")
        await here.done("ann")
    (done,) = await here.append("ann")
    assert (done.uidvalidity, done.uid, done.modseq) == (
        before.uidvalidity,
        before.uidnext,
        before.modseq + 1,
    )
    (again,) = await here.append("ann", dedupe="queue/1")
    assert again.duplicate, "a delivery that was cut short before its settlement is not made twice"


async def test_everything_changes_meanwhile(
    house: Callable[..., Shards], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the first copy and the fence: new mail, flags, expunges, a mailbox renamed, deleted, deleted and made
    again, one made; subscriptions."""
    here = house("ann")
    await furnish(here, "ann")
    home = here.residence("ann")
    shard = here.shard("s1")
    shard.create(home, "Again")
    await here.append("ann", "Again", 4)
    await here.append("ann", "Empty", 2)
    entered = asyncio.Event()
    proceed = asyncio.Event()

    first = transfer.note_copied

    async def pausing(crossing: transfer.Transfer) -> None:
        await first(crossing)
        entered.set()
        await proceed.wait()

    monkeypatch.setattr(transfer, "note_copied", pausing)
    async with here.engine():
        here.ask("s2", "ann")
        await entered.wait()
        inbox = here.mailbox("ann")
        await here.append("ann", count=3)
        shard.store_flags(home, inbox.id, [(1, 4)], "set", ["\\Deleted", "NewWord"])
        shard.expunge(home, inbox.id, [(1, 2)])
        shard.expunge_uids(home, inbox.id, [(14, 14)])  # came and went between two rounds
        shard.rename(home, "Sent", "Posted")
        shard.delete(home, "Again")
        shard.create(home, "Again")
        await here.append("ann", "Again", 1)
        shard.delete(home, "Empty")
        shard.create(home, "Later/Deep")
        await here.append("ann", "Later/Deep", 2)
        shard.subscribe(home, "Later/Deep", True)
        shard.subscribe(home, "Sent", False)
        before = here.content("ann")
        proceed.set()
        await here.done("ann")
    assert here.home("ann") == "s2"
    assert here.content("ann") == before


async def test_a_write_under_the_old_route_is_refused_on_both_sides(house: Callable[..., Shards]) -> None:
    here = house("ann")
    await furnish(here, "ann")
    old = here.residence("ann")
    async with here.engine():
        here.ask("s2", "ann")
        await here.done("ann")
    with pytest.raises(StaleEpoch):
        here.shard("s1").create(old, "Late")
    with pytest.raises(StaleEpoch):
        here.shard("s1").grant(old.account_id, old.epoch)
    with pytest.raises(StaleEpoch):
        here.shard("s2").grant(old.account_id, old.epoch)


async def test_cancelled_it_stays_and_its_copy_goes(
    house: Callable[..., Shards], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = house("ann")
    await furnish(here, "ann")
    before, epoch = here.content("ann"), here.route("ann").epoch

    async def waits(crossing: transfer.Transfer) -> None:
        while True:
            crossing.checkpoint()
            await asyncio.sleep(0.01)

    monkeypatch.setattr(transfer, "_compare", waits)
    async with here.engine():
        here.ask("s2", "ann")
        await until(lambda: here.move("ann").stage == "tracking")
        assert here.ledger.cancel([here.accounts["ann"].id]) == 1
        await until(lambda: not here.ledger.moves())
        assert here.residents("s2") == []
        assert here.home("ann") == "s1"
        assert here.route("ann").epoch == epoch, "no session was ended"
        assert here.content("ann") == before
        monkeypatch.undo()
        here.ask("s2", "ann")  # the same shard, under the same epoch
        await here.done("ann")
    assert here.home("ann") == "s2"
    assert here.content("ann") == before


async def test_an_account_removed_on_its_way_leaves_no_copy(
    house: Callable[..., Shards], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = house("ann")
    await furnish(here, "ann")

    async def waits(crossing: transfer.Transfer) -> None:
        while True:
            crossing.checkpoint()
            await asyncio.sleep(0.01)

    monkeypatch.setattr(transfer, "_compare", waits)
    async with here.engine():
        here.ask("s2", "ann")
        await until(lambda: here.move("ann").stage == "tracking")
        home = here.residence("ann")
        here.shard("s1").remove_account(home, address="ann@shards.test")
        here.platform.directory.remove_account(here.accounts["ann"].address)
        await until(lambda: not here.residents("s2"))
    assert here.ledger.orphans() == []


async def test_a_target_that_fills_up_is_left_and_tried_again(
    house: Callable[..., Shards], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = house("ann")
    await furnish(here, "ann")
    before = here.content("ann")
    full = here.shard("s2").site

    def refuse(octets: int) -> None:
        raise DiskFull(f"{full.path}: no room for {octets}")

    monkeypatch.setattr(full, "check_space", refuse)
    async with here.engine():
        here.ask("s2", "ann")
        await until(lambda: "full" in here.move("ann").note)
        assert here.residents("s2") == []
        assert here.route("ann").home == ShardHome("s1")
        monkeypatch.undo()
        await here.done("ann")
    assert here.content("ann") == before


async def test_a_source_that_stalls_inside_the_fence_is_served_from_again(
    house: Callable[..., Shards], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its users wait no longer than the patience of its lane."""
    here = house("ann", MAILPLAT_STORE__PATIENCE="1")
    await furnish(here, "ann")
    before = here.content("ann")
    shard, answers, asked = here.shard("s1"), threading.Event(), threading.Event()
    mailboxes = shard.mailboxes

    def stalls(home: Residence) -> list[Mailbox]:
        if here.route("ann").state is RouteState.SHARD_FENCED and not asked.is_set():
            asked.set()
            answers.wait(60)
        return mailboxes(home)

    monkeypatch.setattr(shard, "mailboxes", stalls)
    async with here.engine():
        here.ask("s2", "ann")
        await until(lambda: here.move("ann").aborts == 1 and here.route("ann").state is RouteState.FINAL)
        assert asked.is_set()
        assert here.home("ann") == "s1"
        answers.set()
        await here.done("ann")
    assert here.content("ann") == before


async def test_a_hold_goes_with_its_account(house: Callable[..., Shards]) -> None:
    here = house("ann")
    await furnish(here, "ann")
    number = here.accounts["ann"].id
    owner.hold(here.shard("s1").site, number, address="ann@shards.test", reason="case 7", by="root")
    async with here.engine():
        here.ask("s2", "ann")
        await here.done("ann")
    held = owner.owner_of(here.shard("s2").site, number)
    assert (held.hold_reason, held.hold_by) == ("case 7", "root")
    assert held.held_at is not None


@pytest.mark.parametrize("damage", ["flags", "gone", "new", "octets"])
async def test_a_difference_found_inside_the_fence_takes_it_back(
    house: Callable[..., Shards], monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    """What the last delta did not bring; mailboxes were found equal before."""
    here = house("ann")
    await furnish(here, "ann")
    await here.append("ann", "Empty", 2)
    original = fence.run_round
    spoiled = 0

    async def spoiling(crossing: transfer.Transfer, kind: str) -> object:
        nonlocal spoiled
        done = await original(crossing, kind)
        if not spoiled:
            spoiled += 1
            copy = crossing.target.residence
            shard = here.shard("s2")
            box = shard.mailbox(copy, "Empty")
            if damage == "flags":
                shard.store_flags(copy, box.id, [(1, 1)], "add", ["\\Answered"])
            elif damage == "gone":
                shard.expunge_uids(copy, box.id, [(1, 1)])
            elif damage == "new":
                await here.platform.store.append(copy, "Empty", [NewMessage(Body.of(letter(1)))])
            else:
                await _other_octets(here, copy, box)
        return done

    monkeypatch.setattr(fence, "run_round", spoiling)
    if damage == "octets":
        monkeypatch.setattr(transfer, "_catch_up", _late_mail(here, transfer._catch_up))
    async with here.engine():
        here.ask("s2", "ann")
        await until(lambda: here.move("ann").aborts)
        assert here.home("ann") == "s1"
        assert "differ" in here.move("ann").note or "Empty" in here.move("ann").note


def _late_mail(here: Shards, catch_up: Callable[..., object]) -> Callable[..., object]:
    """A message that came after the comparison: the fence is where its octets are looked at."""

    async def catching(crossing: transfer.Transfer) -> None:
        await here.append("ann", "Empty")
        await catch_up(crossing)  # type: ignore[misc]

    return catching


async def _other_octets(here: Shards, copy: Residence, box: Mailbox) -> None:
    site = here.shard("s2").site
    folder = site.account_folder(copy.account_id) / f".m{box.id}"
    newest = max(folder.glob("cur/*"), key=lambda path: int(path.name.partition(",U=")[2].partition(":")[0]))
    newest.write_bytes(newest.read_bytes().replace(b"letter", b"LETTER"))
