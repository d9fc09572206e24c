"""A shard is emptied: accounts by placement, then the vault; the mark says what is in the way."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailplat.app.cli._drain import remains
from mailplat.core.address import Address
from mailplat.core.errors import DiskFull, NotFound, Unavailable
from mailplat.core.route import BackendHome
from mailplat.directory import Backend
from mailplat.store.vault import finding, owner
from migration import transfer
from migration.ledger import Ledger
from tests.migration.shards import DOMAIN, Shards
from tests.until import until

pytestmark = pytest.mark.timeout(180)

NAMES = ["ann", "bob", "cat", "dan"]


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Shards]:
    opened = Shards(tmp_path, NAMES)
    yield opened
    opened.close()


def left(here: Shards) -> dict[str, int]:
    return remains(here.platform, "s1")


async def test_to_the_last_message_of_the_vault(here: Shards) -> None:
    """Of those that live there, of one under a hold, of one that was removed."""
    for name in NAMES:
        await here.append(name, count=3)
        here.shard("s1").expunge_uids(here.residence(name), here.mailbox(name).id, [(1, 1)])
    held, gone = here.accounts["bob"].id, here.accounts["dan"]
    owner.hold(here.shard("s1").site, held, address=f"bob@{DOMAIN}", reason="case 7", by="root")
    here.shard("s1").remove_account(here.residence("dan"), address=f"dan@{DOMAIN}")
    here.platform.directory.remove_account(gone.address)
    before = {name: here.content(name) for name in NAMES[:3]}
    here.platform.drains.begin("s1", [])
    async with here.engine():
        await until(lambda: not any(left(here).values()), 60)
    assert {here.home(name) for name in NAMES[:3]} == {"s2"}, "s3 has placement = false"
    assert {name: here.content(name) for name in NAMES[:3]} == before
    kept = {each.account_id: each.messages for each in finding.totals(here.shard("s2").site)}
    assert kept[here.accounts["ann"].id] == 1
    assert kept[gone.id] == 3
    # A hold keeps the messages of the account in the shard that it leaves, and so in the vault that is carried.
    assert kept[held] == 3
    assert owner.owner_of(here.shard("s2").site, held).hold_reason == "case 7"
    assert owner.owner_of(here.shard("s2").site, gone.id).address == f"dan@{DOMAIN}"
    assert here.platform.drains.all()["s1"].note == ""
    with pytest.raises(Unavailable, match="s1: is being drained"):
        here.platform.place_account(["s1"])


async def test_to_those_that_are_named(here: Shards) -> None:
    here.platform.drains.begin("s1", ["s3"])
    async with here.engine():
        await until(lambda: not any(left(here).values()), 60)
    assert {here.home(name) for name in NAMES} == {"s3"}


async def test_whoever_leads_does_it(here: Shards) -> None:
    """Not one worker of a machine: that one may be gone."""
    here.platform.drains.begin("s1", ["s3"])
    async with here.engine(index=0, workers=2), here.engine(index=1, workers=2):
        await until(lambda: "s3" in {here.home(name) for name in NAMES}, 60)
    here.platform.drains.begin("s3", ["s2"])
    async with here.engine(index=1, workers=2):
        await until(lambda: {here.home(name) for name in NAMES} == {"s2"}, 60)


async def test_cancelled_what_has_not_moved_stays(here: Shards, monkeypatch: pytest.MonkeyPatch) -> None:
    async def waits(crossing: transfer.Transfer) -> None:
        if crossing.move.address.startswith("ann"):
            return
        while True:
            crossing.checkpoint()
            await asyncio.sleep(0.01)

    monkeypatch.setattr(transfer, "_compare", waits)
    here.platform.drains.begin("s1", [])
    async with here.engine():
        await until(lambda: here.home("ann") == "s2" and len(here.ledger.moves()) == len(NAMES))
        here.platform.drains.cancel("s1")
        await until(lambda: [move.address for move in here.ledger.moves()] == [f"ann@{DOMAIN}"])
        await until(lambda: here.residents("s2") == [here.accounts["ann"].id])
    assert [here.home(name) for name in NAMES] == ["s2", "s1", "s1", "s1"]


async def test_a_full_target_gives_way_to_another(here: Shards, monkeypatch: pytest.MonkeyPatch) -> None:
    full = here.shard("s2").site

    def refuse(octets: int) -> None:
        raise DiskFull(f"{full.path}: no room for {octets}")

    for name in NAMES:
        await here.append(name)
    monkeypatch.setattr(full, "check_space", refuse)
    here.platform.drains.begin("s1", ["s2", "s3"])
    async with here.engine():
        await until(lambda: not any(left(here).values()), 90)
    assert {here.home(name) for name in NAMES} == {"s3"}
    assert here.residents("s2") == []


async def test_nowhere_to_go_is_said(here: Shards, monkeypatch: pytest.MonkeyPatch) -> None:
    here.platform.drains.begin("s2", [])
    here.platform.drains.begin("s1", [])
    async with here.engine():
        await until(lambda: "no shard takes new accounts" in here.platform.drains.all()["s1"].note)
    assert {here.home(name) for name in NAMES} == {"s1"}


async def test_planned_moves_from_a_backend_find_another_shard(here: Shards) -> None:
    directory = here.platform.directory
    directory.add_backend(Backend("old", imap="127.0.0.1:1"))
    directory.add_account(Address("eve", DOMAIN), home=BackendHome("old"))
    ledger = Ledger(here.platform.database, here.platform.clock)
    ledger.plan(DOMAIN, ["s1"])
    here.platform.drains.begin("s1", [])
    async with here.engine():
        await until(lambda: [move.shard for move in ledger.moves()] == ["s2"])


async def test_the_mark_goes_with_the_shard(here: Shards, tmp_path: Path) -> None:
    here.platform.drains.begin("s1", [])
    async with here.engine():
        await until(lambda: not any(left(here).values()), 60)
    config = tmp_path / "mailplat.toml"
    config.write_text(re.sub(r"\[store\.shards\.s1\]\npath = .*\n", "", config.read_text()))
    again = Shards(tmp_path)
    try:
        async with again.engine():
            await until(lambda: not again.platform.drains.all())
        assert {again.home(name) for name in NAMES} == {"s2"}
    finally:
        again.close()


def test_one_that_is_not_there(here: Shards) -> None:
    with pytest.raises(NotFound):
        here.platform.drains.cancel("s1")
    assert here.platform.drains.all() == {}
