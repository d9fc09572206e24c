"""A shard as a source, asked as the engine asks it; no route and no engine here."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailplat.core.errors import NotFound, StaleEpoch, Unavailable
from mailplat.core.executors import Executors
from mailplat.core.spool import MEMORY_LIMIT, Body
from mailplat.store import NewMessage
from migration.sources.contract import SourceMailbox, Status
from migration.sources.shard import ShardAccount
from tests.migration.house import letter
from tests.migration.shards import Shards


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Shards]:
    opened = Shards(tmp_path, ["ann"])
    yield opened
    opened.close()


@pytest.fixture
def source(here: Shards) -> ShardAccount:
    return ShardAccount(here.platform.store, here.platform.executors, here.residence("ann"))


async def inbox_of(source: ShardAccount) -> SourceMailbox:
    (inbox,) = [each for each in (await source.survey()).mailboxes if each.name == "INBOX"]
    return inbox


async def test_an_account_as_it_is(here: Shards, source: ShardAccount) -> None:
    home = here.residence("ann")
    here.shard("s1").create(home, "Sent/2024", special_use="\\Sent")
    here.shard("s1").subscribe(home, "Nowhere", True)
    await here.append("ann", count=3)
    survey = await source.survey()
    assert [(each.name, each.special_use) for each in survey.mailboxes] == [
        ("INBOX", ""), ("Sent", ""), ("Sent/2024", "\\Sent"),
    ]  # fmt: skip
    assert survey.subscriptions == {"Nowhere"}
    box = here.mailbox("ann")
    assert survey.statuses["INBOX"] == Status(box.uidvalidity, 4, 3, box.modseq)


async def test_changes_by_modseq(here: Shards, source: ShardAccount) -> None:
    await here.append("ann", count=4)
    status = await source.examine(await inbox_of(source))
    assert status.modseq is not None
    assert await source.scan(since=status.modseq) == []
    home, box = here.residence("ann"), here.mailbox("ann")
    here.shard("s1").store_flags(home, box.id, [(2, 2)], "add", ["\\Flagged", "$X"])
    here.shard("s1").expunge_uids(home, box.id, [(3, 3)])
    await here.append("ann")
    listed = await source.scan(since=status.modseq)
    assert [(each.uid, set(each.flags)) for each in listed] == [(2, {"\\Flagged", "$X"}), (5, set())]
    assert all(each.modseq is not None and each.modseq > status.modseq for each in listed)
    said = await source.traces(status.modseq)
    assert [uid for uid, _ in said.expunged] == [3]
    assert (said.modseq, said.uidnext) == (here.mailbox("ann").modseq, 6)
    assert [each.uid for each in await source.scan(uids=[1, 3, 5])] == [1, 5]
    assert await source.scan(uids=[]) == []


@pytest.mark.parametrize("size", [100, MEMORY_LIMIT, MEMORY_LIMIT + 1, 3_000_000])
async def test_octets_flags_and_dates(here: Shards, source: ShardAccount, size: int) -> None:
    octets = letter(1) + b"x" * (size - len(letter(1))) if size > len(letter(1)) else b"x" * size
    message = NewMessage(
        Body.of(octets),
        flags=("\\Seen", "w"),
        internaldate=1e9,
        internaldate_zone=-90,
        saved_at=1.2e9,
        uidl="OLD",
    )
    (done,) = await here.platform.store.append(here.residence("ann"), "INBOX", [message])
    await here.append("ann")
    status = await source.examine(await inbox_of(source))
    (fetched,) = await source.fetch([done.uid])
    try:
        assert fetched.body.octets() == octets
        assert (fetched.uid, set(fetched.flags), fetched.modseq) == (done.uid, {"\\Seen", "w"}, done.modseq)
        assert (fetched.internaldate, fetched.zone, fetched.saved_at) == (1_000_000_000, -90, 1_200_000_000)
    finally:
        fetched.body.close()
    assert await source.uidls([1, 2], status.uidvalidity) == {1: "OLD"}


async def test_a_body_outlives_an_expunge(here: Shards, source: ShardAccount) -> None:
    octets = letter(1) + b"x" * MEMORY_LIMIT
    await here.platform.store.append(here.residence("ann"), "INBOX", [NewMessage(Body.of(octets))])
    await source.examine(await inbox_of(source))
    (fetched,) = await source.fetch([1])
    here.shard("s1").expunge_uids(here.residence("ann"), here.mailbox("ann").id, None)
    here.shard("s1").sweep()
    assert fetched.body.octets() == octets
    fetched.body.close()
    assert await source.fetch([1]) == []


async def test_a_mailbox_that_has_gone(here: Shards, source: ShardAccount) -> None:
    home = here.residence("ann")
    here.shard("s1").create(home, "Box")
    (box,) = [each for each in (await source.survey()).mailboxes if each.name == "Box"]
    here.shard("s1").rename(home, "Box", "Other")
    with pytest.raises(NotFound):
        await source.examine(box)
    here.shard("s1").delete(home, "Other")
    with pytest.raises(NotFound):
        await source.examine(box)


async def test_writes_end_with_the_fence(here: Shards, source: ShardAccount) -> None:
    home = here.residence("ann")
    await source.close_writes(home.epoch + 1)
    with pytest.raises(StaleEpoch):
        here.shard("s1").create(home, "Late")
    await source.close_writes(home.epoch + 1)


async def test_a_disk_that_does_not_answer(here: Shards, monkeypatch: pytest.MonkeyPatch) -> None:
    executors = Executors(patience=0.2)
    source = ShardAccount(here.platform.store, executors, here.residence("ann"))
    released = threading.Event()
    monkeypatch.setattr(here.shard("s1"), "mailboxes", lambda _: released.wait(60))
    with pytest.raises(Unavailable):
        await source.survey()
    released.set()
    executors.close()
