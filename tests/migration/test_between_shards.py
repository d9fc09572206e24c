"""Accounts from shard to shard: what is to be seen there is what was to be seen here, to the last number."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mailplat.core.errors import StaleEpoch
from mailplat.core.route import RouteState, ShardHome
from tests.migration.shards import Shards
from tests.until import until

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Callable[..., Shards]]:
    opened: list[Shards] = []

    def open_house(*names: str) -> Shards:
        opened.append(Shards(tmp_path / "house", names))
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

    from migration import transfer

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
    from migration import transfer

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
    from migration import transfer

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
    from mailplat.core.errors import DiskFull

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


async def test_a_hold_goes_with_its_account(house: Callable[..., Shards]) -> None:
    from mailplat.store.vault import owner

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
