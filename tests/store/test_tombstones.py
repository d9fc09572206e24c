"""Expunged UIDs are forgotten beyond a limit, and whoever asks for older ones is told of it."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from mailplat.core.errors import Unavailable
from mailplat.store import StoreLimits
from mailplat.store.repair import rebuild, verify
from mailplat.store.tombstones import forget_tombstones
from tests.store.conftest import HOME, Rig

LIMIT = 5


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path / "s1", StoreLimits(tombstones=LIMIT))
    yield rig
    rig.close()


def expunge(rig: Rig, *uids: int) -> None:
    rig.shard.expunge_uids(HOME, rig.inbox.id, [(uid, uid) for uid in uids])


def kept(rig: Rig) -> list[tuple[int, int]]:
    with rig.shard.site.read() as connection:
        found = connection.exec_driver_sql("SELECT modseq, uid FROM expunged ORDER BY modseq, uid").fetchall()
    return [tuple(row) for row in found]  # type: ignore[misc]


def test_all_are_told_up_to_the_limit(rig: Rig) -> None:
    rig.fill(10)
    before = rig.inbox.modseq
    expunge(rig, *range(1, LIMIT + 1))
    assert forget_tombstones(rig.shard.site) == 0
    changes = rig.shard.changes(HOME, rig.inbox.id, before)
    assert (list(changes.expunged), changes.present) == ([1, 2, 3, 4, 5], None)


def test_the_oldest_are_forgotten_and_who_asks_for_them_gets_all_uids(rig: Rig) -> None:
    rig.fill(20)
    before = rig.inbox.modseq
    for uid in range(1, 9):
        expunge(rig, uid)
    assert forget_tombstones(rig.shard.site) == 3
    assert kept(rig) == [(before + 3, 0), *((before + uid, uid) for uid in range(4, 9))]
    old = rig.shard.changes(HOME, rig.inbox.id, before + 2)
    assert (list(old.expunged), list(old.present or ())) == ([], list(range(9, 21)))
    young = rig.shard.changes(HOME, rig.inbox.id, before + 3)
    assert (list(young.expunged), young.present) == ([4, 5, 6, 7, 8], None)
    nothing = rig.shard.changes(HOME, rig.inbox.id, rig.inbox.modseq)
    assert (list(nothing.expunged), nothing.present) == ([], None)
    for uid in range(9, 12):
        expunge(rig, uid)
    assert forget_tombstones(rig.shard.site) == 4  # an older mark too
    assert len(kept(rig)) == LIMIT + 1


def test_one_expunge_of_more_than_the_limit(rig: Rig) -> None:
    rig.fill(20)
    before = rig.inbox.modseq
    expunge(rig, *range(1, 16))
    assert forget_tombstones(rig.shard.site) == 15
    assert list(rig.shard.changes(HOME, rig.inbox.id, before).present or ()) == [16, 17, 18, 19, 20]
    assert rig.shard.changes(HOME, rig.inbox.id, before + 1).present is None


def test_a_mailbox_that_is_deleted_meanwhile(rig: Rig) -> None:
    rig.shard.create(HOME, "Box")
    rig.fill(10, "Box")
    box = rig.shard.mailbox(HOME, "Box").id
    rig.shard.expunge_uids(HOME, box, None)
    rig.shard.delete(HOME, "Box")
    assert forget_tombstones(rig.shard.site) == 0
    assert kept(rig) == []


def test_a_snapshot_from_before(rig: Rig) -> None:
    """One that is kept is brought forward only as long as all that went is known."""
    rig.fill(30)
    rng = Random(1)
    for _ in range(6):
        rig.shard.snapshot(HOME, rig.inbox.id)
        there = [uid for (uid,) in rig.shard.rows(HOME, rig.inbox.id, None, ["uid"])]
        for uid in rng.sample(there, 4):
            expunge(rig, uid)
        rig.fill(3)
        forget_tombstones(rig.shard.site)
        wanted = [uid for (uid,) in rig.shard.rows(HOME, rig.inbox.id, None, ["uid"])]
        assert list(rig.shard.snapshot(HOME, rig.inbox.id).uids) == wanted


def test_a_rebuild_keeps_the_mark(rig: Rig) -> None:
    rig.fill(10)
    before = rig.inbox.modseq
    expunge(rig, *range(1, 8))
    forget_tombstones(rig.shard.site)
    rig.shard.settle_names()
    rebuild(rig.shard)
    assert verify(rig.shard).problems == []
    assert list(rig.shard.changes(HOME, rig.inbox.id, before).present or ()) == [8, 9, 10]


@pytest.mark.parametrize("left", [0, 3])
def test_a_rebuild_without_an_index_knows_that_it_knows_nothing(rig: Rig, left: int) -> None:
    rig.fill(7)
    before = rig.inbox.modseq
    expunge(rig, *range(1, 8 - left))
    rig.shard.sweep()
    rig.shard.settle_names()
    rig.store.close()
    for path in rig.path.glob("index.db*"):
        path.unlink()
    rig.rebuild()
    changes = rig.shard.changes(HOME, rig.inbox.id, before)
    assert changes.present is not None
    assert list(changes.present) == list(range(8 - left, 8))


def test_all_are_kept_of_an_account_that_may_go_back(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until nobody needs them; and while nobody can say, too."""
    rig.fill(20)
    for uid in range(1, 12):
        expunge(rig, uid)

    def unknown(account_id: int) -> bool:
        raise Unavailable("the database does not answer")

    monkeypatch.setattr(rig.shard.site, "_pinned", unknown)
    with pytest.raises(Unavailable):
        forget_tombstones(rig.shard.site)
    monkeypatch.setattr(rig.shard.site, "_pinned", lambda account_id: account_id == HOME.account_id)
    assert forget_tombstones(rig.shard.site) == 0
    assert [uid for _, uid in kept(rig)] == list(range(1, 12))
    monkeypatch.setattr(rig.shard.site, "_pinned", lambda account_id: False)
    expunge(rig, 12)
    assert forget_tombstones(rig.shard.site) == 12 - LIMIT
